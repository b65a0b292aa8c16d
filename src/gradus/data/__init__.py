"""Data: sets of samples, batches of them, preparation of inputs and labels, and three ready sets of images."""

from __future__ import annotations

from gradus.data.collate import default_collate
from gradus.data.dataset import Dataset, Subset, TensorDataset, random_split
from gradus.data.digits_set import digits
from gradus.data.encoding import LabelEncoder, one_hot
from gradus.data.idx import read_idx
from gradus.data.loader import DataLoader
from gradus.data.mnist_sets import FASHION_CLASSES, fashion, mnist
from gradus.data.normalization import Normalizer
from gradus.data.sampler import RandomSampler, SequentialSampler

__all__ = [
    "FASHION_CLASSES",
    "DataLoader",
    "Dataset",
    "LabelEncoder",
    "Normalizer",
    "RandomSampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "default_collate",
    "digits",
    "fashion",
    "mnist",
    "one_hot",
    "random_split",
    "read_idx",
]
