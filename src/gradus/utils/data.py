"""PyTorch's names of what lives in :mod:`gradus.data`."""

from gradus.data import DataLoader, Dataset, RandomSampler, SequentialSampler, TensorDataset, random_split

__all__ = ["DataLoader", "Dataset", "RandomSampler", "SequentialSampler", "TensorDataset", "random_split"]
