"""Feed: turns a person's data into the batches that a model takes: checked, cast, normalised, split and shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradus import dtypes
from gradus.data import DataLoader, Dataset, LabelEncoder, Normalizer, TensorDataset
from gradus.errors import DataError, UsageError
from gradus.nn import Module
from gradus.random import Generator, permutation
from gradus.tensors import Tensor, wrap
from gradus.train.arrays import check_finite, check_lengths, split_rows, to_array, to_inputs, to_targets
from gradus.train.losses import Task

Names = tuple[str, str]


def is_loader(data: Any) -> bool:
    """Whether ``data`` yields batches by itself, or samples that make batches, rather than being an array, list, Tensor or data frame."""
    if isinstance(data, Dataset):
        return True
    return hasattr(data, "__iter__") and not isinstance(data, list | tuple) and not hasattr(data, "__array__")


class Feed:
    """What a Learner knows about its data.

    Attributes:
        normalizer: what every input passes through, if any; fitted on the first training rows unless it is already.
        encoder: names of the classes, if they have names; learnt from the first training labels that are strings.
        input_dtype: dtype that inputs are cast to, or None for that of the model's parameters.
    """

    def __init__(
        self,
        model: Module,
        task: Task,
        normalizer: Normalizer | None,
        encoder: LabelEncoder | None,
        input_dtype: Any,
        say: Callable[[str], None],
    ) -> None:
        self.model, self.task, self.normalizer, self.encoder, self.say = model, task, normalizer, encoder, say
        self.input_dtype = None if input_dtype is None else np.dtype(input_dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that the model computes in: that of its first floating parameter."""
        return next((p.dtype for p in self.model.parameters() if p.dtype.kind == "f"), np.dtype(dtypes.float32))

    def inputs(self, x: Any, name: str) -> np.ndarray:
        """All rows as the model takes them."""
        dtype = self.input_dtype or self.dtype
        array = to_inputs(x, name, dtype, self.normalizer is not None, self.say)
        return array if self.normalizer is None else self.normalizer(array).numpy().astype(dtype, copy=False)

    def pair(self, x: Any, y: Any, names: Names) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of one length."""
        if y is None:
            raise UsageError(f"{names[1]} is missing", wanted=f"{names[0]} and {names[1]}, or a DataLoader")
        target = to_targets(y, names[1], self.task, self.dtype, self.encoder, self.say)
        inputs = self.inputs(x, names[0])
        check_lengths(inputs, target, names)
        return inputs, target

    def learn_statistics(self, x: np.ndarray, y: np.ndarray, rows: np.ndarray | None) -> None:
        """Fit what is not fitted yet: the names of the classes on all labels, the normalizer on the training rows alone."""
        if y.dtype.kind in "US" and self.encoder is None and self.task.name == "classification":
            self.encoder = LabelEncoder().fit(y)
        if self.normalizer is not None and not self.normalizer.fitted:
            check_finite(x, "X")
            self.normalizer.fit(x if rows is None else x[rows])

    def split(
        self, x: Any, y: Any, validation: Any, generator: Generator | None
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
        """Training rows, and validation rows if any."""
        if y is None:
            raise UsageError("Y is missing", wanted="fit(X, Y) or fit(loader)")
        raw_x, raw_y = to_array(x, "X"), to_array(y, "Y")
        check_lengths(raw_x, raw_y, ("X", "Y"))
        rows = held_out = None
        if isinstance(validation, int | float) and not isinstance(validation, bool):
            rows, held_out = split_rows(len(raw_x), validation, permutation(len(raw_x), generator))
        elif validation is not None and not (isinstance(validation, tuple | list) and len(validation) == 2):
            raise UsageError("validation must be a share of the rows, a pair (X, Y) or None", got=type(validation).__name__)
        self.learn_statistics(raw_x, raw_y, rows)
        inputs, target = self.pair(x, y, ("X", "Y"))
        if rows is not None:
            return (inputs[rows], target[rows]), (inputs[held_out], target[held_out])
        if validation is None:
            return (inputs, target), None
        return (inputs, target), self.pair(validation[0], validation[1], ("the validation X", "the validation Y"))

    @staticmethod
    def batches(
        pair: tuple[np.ndarray, np.ndarray], batch_size: int, shuffle: bool = False, generator: Generator | None = None
    ) -> DataLoader:
        """A loader over rows that are ready."""
        return DataLoader(TensorDataset(wrap(pair[0]), wrap(pair[1])), batch_size=batch_size, shuffle=shuffle, generator=generator)

    def loader(self, data: Any, batch_size: int, shuffle: bool = False, generator: Generator | None = None) -> FittingLoader:
        """A loader or Dataset of a person's own."""
        if isinstance(data, Dataset):
            data = DataLoader(data, batch_size=batch_size, shuffle=shuffle, generator=generator)
        if not hasattr(data, "__len__"):
            raise UsageError(
                "a loader must know its length", got=type(data).__name__, wanted="a DataLoader, or an object with __len__ and __iter__"
            )
        if self.normalizer is not None and not self.normalizer.fitted:
            raise UsageError("the normalizer has seen no data", got="a loader", fix="Normalizer().fit(x_train)")
        return FittingLoader(data, self)


class FittingLoader:
    """The batches of another loader, in the model's dtype and normalised."""

    def __init__(self, loader: Any, feed: Feed) -> None:
        self.loader, self.feed = loader, feed

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.loader:
            if not isinstance(batch, tuple | list) or len(batch) < 2:
                raise DataError("a batch must be (input, …, target)", got=type(batch).__name__, wanted="a tuple of at least two Tensors")
            tensors = [value if isinstance(value, Tensor) else Tensor(value) for value in batch]
            if self.feed.normalizer is not None:
                tensors[0] = self.feed.normalizer(tensors[0])
            yield tuple(self.fit(tensor) for tensor in tensors)

    def fit(self, tensor: Tensor) -> Tensor:
        """One Tensor of a batch in the dtype of the model, if it is floating."""
        if tensor.dtype.kind != "f" or tensor.dtype == self.feed.dtype:
            return tensor
        self.feed.say(f"the loader yields {tensor.dtype}: cast to {self.feed.dtype}, the dtype that the model computes in")
        return wrap(tensor.numpy().astype(self.feed.dtype))
