"""Optimisers and learning-rate schedules. Each update rule is a pure function of arrays with its equations above it."""

from gradus.optim import lr_scheduler, schedule
from gradus.optim.adam import Adam, adam_update
from gradus.optim.adamw import AdamW
from gradus.optim.optimizer import Optimizer
from gradus.optim.sgd import SGD, sgd_update

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "adam_update", "lr_scheduler", "schedule", "sgd_update"]
