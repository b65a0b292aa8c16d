"""Training: the Learner, its callbacks, metrics and history, and runs on disk."""

from gradus.train.activation_stats import ActivationStats
from gradus.train.callbacks import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    ClipGradients,
    EarlyStopping,
    Schedule,
)
from gradus.train.history import History
from gradus.train.learner import Learner
from gradus.train.lr_finder import LearningRates
from gradus.train.metrics import Accuracy, BinaryAccuracy, MeanAbsoluteError, Metric, RSquared
from gradus.train.models import build_model
from gradus.train.progress import Progress
from gradus.train.runs import load_run

__all__ = [
    "Accuracy",
    "ActivationStats",
    "BinaryAccuracy",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "ClipGradients",
    "EarlyStopping",
    "History",
    "Learner",
    "LearningRates",
    "MeanAbsoluteError",
    "Metric",
    "Progress",
    "RSquared",
    "Schedule",
    "build_model",
    "load_run",
]
