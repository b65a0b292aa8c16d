"""Reading and writing at keys of every form, beside PyTorch: values, gradients, views, and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradus

X = np.arange(24.0).reshape(2, 3, 4) / 10
MASK3 = X % 0.7 > 0.3
I = np.array([1, 0, 1])


def t(T: Any, data: Any) -> Any:
    return T.tensor(np.asarray(data))


# Keys of a (2, 3, 4) tensor.
KEYS: dict[str, Callable[[Any], Any]] = {
    "int": lambda T: 1,
    "negative": lambda T: -1,
    "numpy int": lambda T: np.int64(1),
    "ints": lambda T: (1, 2, -4),
    "two ints": lambda T: (0, 1),
    "slice": lambda T: slice(0, 1),
    "steps": lambda T: (slice(None), slice(None, None, 2), slice(1, None, 3)),
    "empty slice": lambda T: slice(2, 2),
    "beyond the end": lambda T: (slice(None), slice(1, 99)),
    "negative slice": lambda T: (slice(-1, None), slice(-3, -1)),
    "ellipsis": lambda T: ...,
    "ellipsis and int": lambda T: (..., 1),
    "int and ellipsis": lambda T: (1, ...),
    "int ellipsis int": lambda T: (1, ..., 2),
    "none": lambda T: None,
    "nones": lambda T: (None, slice(None), None),
    "none at the end": lambda T: (..., None),
    "int and none": lambda T: (0, None, slice(None), 1),
    "nothing": lambda T: (),
    "list": lambda T: [1, 0],
    "list with negatives": lambda T: [-1, 0, -2],
    "list in a tuple": lambda T: (slice(None), [2, 0]),
    "empty list": lambda T: [],
    "list of lists": lambda T: [[0, 1], [1, 1]],
    "list of bools": lambda T: [True, False],
    "tensor": lambda T: t(T, I),
    "tensor in a tuple": lambda T: (slice(None), t(T, [2, 0, 2])),
    "tensor of rank 2": lambda T: (slice(None), t(T, [[2, 0], [1, 1]])),
    "0-d tensor": lambda T: t(T, 1),
    "0-d tensors": lambda T: (t(T, 1), t(T, 2)),
    "0-d tensor and slice": lambda T: (slice(None), t(T, -1)),
    "int32 tensor": lambda T: t(T, np.array([1, 0], "int32")),
    "empty tensor": lambda T: t(T, np.zeros(0, "int64")),
    "two tensors": lambda T: (t(T, [1, 0]), t(T, [2, 0])),
    "two tensors that broadcast": lambda T: (t(T, [[1], [0]]), t(T, [2, 0, 1])),
    "tensors with a slice between": lambda T: (t(T, [1, 0]), slice(None), t(T, [3, 0])),
    "tensors with none between": lambda T: (t(T, [1, 0]), None, t(T, [2, 0])),
    "int and tensor": lambda T: (1, t(T, [2, 0])),
    "int slice tensor": lambda T: (1, slice(None), t(T, [2, 0])),
    "slice tensor int": lambda T: (slice(None), t(T, [2, 0]), 1),
    "three tensors": lambda T: (t(T, [1, 0]), t(T, [1, 2]), t(T, [0, 0])),
    "ellipsis and tensor": lambda T: (..., t(T, [3, 3, 0])),
    "numpy array": lambda T: np.array([1, 0]),
    "mask of all": lambda T: t(T, MASK3),
    "mask of two axes": lambda T: t(T, MASK3[..., 0]),
    "mask of one axis": lambda T: t(T, [True, False]),
    "mask of the second axis": lambda T: (slice(None), t(T, [True, False, True])),
    "mask and int": lambda T: (t(T, [True, False]), 1),
    "mask of nothing": lambda T: t(T, np.zeros((2, 3, 4), bool)),
    "numpy mask": lambda T: MASK3,
    "true": lambda T: t(T, np.array(True)),
    "range": lambda T: list(range(2)),
    "out of range": lambda T: 2,
    "negative out of range": lambda T: -3,
    "tensor out of range": lambda T: t(T, [0, 5]),
    "too many": lambda T: (0, 0, 0, 0),
    "float": lambda T: 1.0,
    "float tensor": lambda T: t(T, [0.0, 1.0]),
    "mask of a wrong length": lambda T: t(T, [True, False, True]),
    "tensors that do not broadcast": lambda T: (t(T, [0, 1]), t(T, [0, 1, 2])),
    "text": lambda T: "a",
    "two ellipses": lambda T: (..., ...),
}
# PyTorch takes a list of lists for a tuple of lists (and warns that it will not for ever), and two ellipses for one.
NUMPYS_WAY = {"list of lists", "two ellipses"}
REPEATED = {
    "list of lists",
    "tensor",
    "tensor in a tuple",
    "tensor of rank 2",
    "ellipsis and tensor",
}  # what a write leaves there is undefined


@pytest.mark.parametrize("name", [name for name in KEYS if name not in NUMPYS_WAY])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_read(name: str, dtype: str, agree: Any) -> None:
    agree(lambda x: x[KEYS[name](gradus)], lambda x: x[KEYS[name](torch)], [X.astype(dtype)], name)


VALUES: dict[str, Callable[..., Any]] = {
    "number": lambda T, like, v: 7.5,
    "0-d": lambda T, like, v: v.sum(),
    "last axis": lambda T, like, v: v.reshape(-1)[: like.shape[-1] if like.ndim else 1].reshape(like.shape[-1:] if like.ndim else ()),
    "full": lambda T, like, v: v.reshape(-1)[: like.numel()].reshape(tuple(like.shape)),
    "extra axes": lambda T, like, v: v.reshape(-1)[: like.numel()].reshape((1, 1, *like.shape)),
    "misfit": lambda T, like, v: v.reshape(-1)[:9].reshape(3, 3),
}


def written(T: Any, name: str, value: str, x: Any, v: Any) -> Any:
    y = x * 1 if x.dtype != T.bool else x.clone()
    key = KEYS[name](T)
    y[key] = VALUES[value](T, y[key].detach(), v)
    return y


@pytest.mark.parametrize("name", [name for name in KEYS if name not in REPEATED | NUMPYS_WAY])
def test_write(name: str, agree: Any) -> None:
    """Into a tensor of the graph, a value of the graph: both gradients."""
    for value in VALUES:
        agree(
            lambda x, v, value=value: written(gradus, name, value, x, v),
            lambda x, v, value=value: written(torch, name, value, x, v),
            [X, np.sin(X)],
            f"[{name}] = {value}",
            value == "misfit",
        )


@pytest.mark.parametrize("name", [name for name in KEYS if name not in REPEATED | NUMPYS_WAY])
def test_write_of_constants(name: str, agree: Any) -> None:
    for a, b in (("int64", "float64"), ("float32", "int64"), ("bool", "float32"), ("float32", "float64")):
        arrays = [X.astype(a), np.sin(X).astype(b)]

        def call(T: Any, x: Any, v: Any) -> Any:
            return written(T, name, "full", x.detach(), v.detach())

        agree(
            lambda x, v: call(gradus, x, v), lambda x, v: call(torch, x, v), arrays, f"{a}[{name}] = {b}", lenient=True
        )  # PyTorch casts at some keys only


@pytest.mark.parametrize("name", ["tensor", "tensor in a tuple", "ellipsis and tensor"])
def test_write_where_a_place_is_named_twice_sets_one_of_the_values(name: str, agree: Any) -> None:
    agree(lambda x, v: written(gradus, name, "number", x, v), lambda x, v: written(torch, name, "number", x, v), [X, X], name)


@pytest.mark.parametrize("name", ["int", "slice", "ellipsis and int", "ints", "mask of one axis", "list"])
def test_augmented_writes(name: str, agree: Any) -> None:
    def call(T: Any, x: Any, v: Any) -> Any:
        y = x * 1
        y[KEYS[name](T)] *= 3
        y[KEYS[name](T)] += v.sum()
        return y

    agree(lambda x, v: call(gradus, x, v), lambda x, v: call(torch, x, v), [X, X], name)


def test_views_share_and_copies_do_not() -> None:
    for name, key in KEYS.items():
        if name in NUMPYS_WAY:
            continue
        try:
            wanted = torch.tensor(X)[key(torch)]
        except (IndexError, TypeError, ValueError, RuntimeError):
            continue
        if not wanted.numel():
            continue
        x, theirs = gradus.tensor(X), torch.tensor(X)
        x[key(gradus)].zero_()
        theirs[key(torch)].zero_()
        np.testing.assert_array_equal(x.numpy(), theirs.numpy(), err_msg=name)


@pytest.mark.parametrize("length", [0, 1, 5])
def test_vectors(length: int, agree: Any) -> None:
    x = np.arange(float(length))
    for key in (slice(None), slice(None, None, 2), slice(-2, None), None, ..., [], np.zeros(0, "int64"), x > 1):
        agree(lambda v, key=key: v[key], lambda v, key=key: v[torch.tensor(key) if isinstance(key, np.ndarray) else key], [x], repr(key))


def test_indexing_errors_are_typed() -> None:
    x = gradus.tensor(X)
    for key in (2, (0, 3), gradus.tensor([0, 9]), (0, 0, 0, 0), gradus.tensor([True, False, True])):
        with pytest.raises(IndexError) as caught:
            x[key]
        assert isinstance(caught.value, gradus.GradusError), key
        assert "test_indexing.py" in caught.value.where
        with pytest.raises(IndexError) as caught:
            x[key] = 0.0
        assert isinstance(caught.value, gradus.GradusError), key


def test_tensors_as_python_indices() -> None:
    assert [10, 20, 30][gradus.tensor(1)] == 20
    assert list(range(gradus.tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        [10, 20][gradus.tensor(1.0)]
