"""PyTorch's import path of the schedules; they live in :mod:`gradus.optim.schedule`."""

from gradus.optim.schedule import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, OneCycleLR, StepLR

__all__ = ["CosineAnnealingLR", "LRScheduler", "LambdaLR", "LinearLR", "OneCycleLR", "StepLR"]
