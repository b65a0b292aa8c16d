"""Every entry of the table of PyTorch's names beside PyTorch: values, shapes, dtypes, gradients, and errors where PyTorch has errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus.torch_names import FUNCTIONS, METHODS

FLOATS = "float64 float32"
NUMBERS = "float64 float32 int64 int32 uint8"
ALL = NUMBERS + " bool"
SHAPES = [(), (1,), (0,), (3,), (2, 3), (0, 3), (2, 1, 4)]
AXES = [(1,), (0,), (3,), (2, 3), (0, 3), (2, 1, 4)]
PAIRS = [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((), (3,)), ((2, 1, 4), (3, 1)), ((0, 3), (1,)), ((2, 3), ())]


class Call:
    """Arguments after the tensors; arrays among them become tensors of each library."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __repr__(self) -> str:
        return f"({', '.join([repr(a) for a in self.args] + [f'{k}={v!r}' for k, v in self.kwargs.items()])})"

    def in_library(self, library: Any) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as one library takes them: dtypes are written ``"dtype:float32"``."""

        def converted(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return library.tensor(value)
            if isinstance(value, str) and value.startswith("dtype:"):
                return getattr(library, value[6:])
            return [converted(v) for v in value] if isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value) else value

        return [converted(a) for a in self.args], {k: converted(v) for k, v in self.kwargs.items()}


class Row:
    """One line of the table: names, the kinds of the tensors, dtypes, shapes (or tuples of shapes), and the calls to make."""

    def __init__(self, names: str, kinds: str, dtypes: str, shapes: list[Any], *calls: Call) -> None:
        self.names, self.kinds, self.dtypes, self.shapes, self.calls = names.split(), kinds, dtypes.split(), shapes, calls or (Call(),)


c = Call
DIMS = [c(), c(0), c(-1), c(1), c(dim=-1), c(axis=-1), c(-2), c(5)]
REDUCE = [c(), c(0), c(-1), c(1), c((0, 1)), c((0, -1)), c(dim=-1, keepdim=True), c(axis=0, keepdims=True), c(5), c(-3, True), c((0, 0))]
MATRIX_PAIRS = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 2, 3), (3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((2, 2, 3), (2, 3, 1)),
    ((0, 3), (3, 2)),
    ((2, 3), (2, 3)),
    ((), (3,)),
    ((2, 0), (0, 2)),
    ((3,), (4, 3, 2)),
    ((2, 4, 3), (3,)),
]
INDEX = np.array([[0, 2], [1, 1]])

TABLE = [
    # Elementwise.
    Row("exp exp2 expm1 sin cos sinh cosh tanh asinh arcsinh atan arctan erf sigmoid", "r", ALL, SHAPES),
    Row("sqrt rsqrt log log2 log10 log1p", "p", ALL, SHAPES),
    Row("asin arcsin acos arccos atanh arctanh tan", "u", ALL, SHAPES),
    Row("acosh arccosh", "g", ALL, SHAPES),
    Row("reciprocal", "n", ALL, SHAPES),
    Row("negative neg abs absolute sign square relu floor ceil round trunc fix isnan isinf isfinite logical_not", "r", ALL, SHAPES),
    Row("round", "r", FLOATS, [(3,)], c(decimals=1)),
    Row("add subtract sub multiply mul maximum minimum", "rr", ALL, PAIRS),
    Row("divide div true_divide", "rn", ALL, PAIRS),
    Row("floor_divide remainder", "nn", NUMBERS, PAIRS),
    Row("floor_divide remainder", "n", NUMBERS, [(3,), ()], c(2), c(1.5), c(-2)),
    Row("div divide", "nn", NUMBERS, PAIRS, c(rounding_mode="floor"), c(rounding_mode="trunc"), c(rounding_mode=None)),
    Row(
        "add subtract sub multiply mul divide div true_divide pow eq ne lt gt le ge",
        "p",
        ALL,
        [(3,), (), (0, 3)],
        c(2),
        c(2.5),
        c(True),
        c(-1),
        c(1),
    ),
    Row("add sub subtract", "rr", NUMBERS, [((3,), (3,))], c(alpha=2), c(alpha=1)),
    Row("add sub", "rr", FLOATS, [((3,), (3,))], c(alpha=0.5)),
    Row("atan2 arctan2 hypot logaddexp", "nn", FLOATS, PAIRS),
    Row("atan2", "nn", "int64 uint8", PAIRS),
    Row("eq not_equal ne less lt less_equal le greater gt greater_equal ge logical_and logical_or logical_xor", "rr", ALL, PAIRS),
    Row("bitwise_and bitwise_or bitwise_xor", "rr", ALL, PAIRS),
    Row("pow", "pr", FLOATS, PAIRS),
    Row("pow", "pp", NUMBERS, PAIRS),
    Row("pow", "r", ALL, [(3,), ()], c(0), c(1), c(2), c(3), c(4), c(-1), c(2.0)),
    Row("pow", "p", FLOATS, [(3,)], c(0.5), c(-0.5), c(1.5), c(-2)),
    Row("clamp clip", "r", NUMBERS, SHAPES, c(-1, 2), c(min=1), c(max=0), c(None, 1), c()),
    Row("clamp clip", "r", FLOATS, [(3,)], c(-0.5, 0.5), c(np.array([0.0, 1, -1]), np.array([1.0, 2, 0.5])), c(min=np.array([0.0, 1, -1]))),
    Row("clamp_min clamp_max", "r", NUMBERS, SHAPES, c(0), c(1)),
    Row("clamp_min clamp_max", "r", FLOATS, SHAPES, c(0.0), c(np.array(0.5))),
    Row("lerp", "rr", FLOATS, PAIRS, c(0.3)),
    Row("lerp", "rrr", FLOATS, [((3,), (3,), (3,)), ((2, 3), (3,), ())]),
    Row("addcmul", "rrr", FLOATS + " int64", [((3,), (3,), (3,)), ((2, 3), (3,), (2, 1))], c(), c(value=2)),
    Row("addcdiv", "rnn", FLOATS, [((3,), (3,), (3,)), ((2, 3), (3,), (2, 1))], c(), c(value=0.5)),
    Row(
        "masked_fill",
        "r",
        NUMBERS,
        [(2, 3)],
        c(np.array([[True, False, True]] * 2), 7),
        c(np.array([True, False, False]), 1),
        c(np.array(True), np.array(3)),
    ),
    Row(
        "masked_select",
        "r",
        ALL,
        [(2, 3)],
        c(np.array([[True, False, True]] * 2)),
        c(np.array([True, False, False])),
        c(np.array([[True], [False]])),
    ),
    Row("softmax log_softmax", "r", FLOATS, AXES, c(-1), c(0), c(dim=-1), c(-1, dtype="dtype:float64"), c(5)),
    Row("softmax log_softmax", "r", "int64", [(3,)], c(-1), c(0, dtype="dtype:float32")),
    # Reductions.
    Row("sum prod", "r", ALL, SHAPES, *REDUCE, c(dtype="dtype:float32"), c([0]), c(())),
    Row("mean", "r", ALL, SHAPES, *REDUCE, c(dtype="dtype:float32"), c([0])),
    Row("all any", "r", ALL, SHAPES, *REDUCE),
    Row("count_nonzero", "r", ALL, SHAPES, c(), c(0), c(-1), c((0, 1)), c(dim=0)),
    Row("logsumexp", "r", FLOATS + " int64", SHAPES, c(0), c(-1), c((0, -1)), c(dim=-1, keepdim=True), c(5)),
    Row("argmax argmin", "r", ALL, SHAPES, c(), c(0), c(-1), c(1, True), c(dim=0, keepdim=True), c(None, True), c(keepdim=True), c(5)),
    Row("amax amin", "r", ALL, SHAPES, *REDUCE, c(())),
    Row("max min", "r", ALL, SHAPES, c(), c(0), c(-1), c(1, True), c(dim=0, keepdim=True), c(5)),
    Row("max min", "rr", ALL, PAIRS),
    Row(
        "var std",
        "r",
        FLOATS + " int64",
        [(3,), (2, 3), (4, 2, 3)],
        *REDUCE,
        c(False),
        c(True),
        c(0, False),
        c(0, correction=0),
        c(correction=2),
        c(dim=0, unbiased=False),
        c(-1, correction=1, keepdim=True),
    ),
    Row(
        "norm",
        "r",
        FLOATS,
        SHAPES,
        c(),
        c(1),
        c(2),
        c(3),
        c("fro"),
        c(2.0, -1),
        c(1, 0),
        c(p=2, dim=0, keepdim=True),
        c(p=float("inf")),
        c(0),
        c(p=float("-inf"), dim=0),
    ),
    Row("norm", "r", "int64", [(3,)], c()),
    Row("cumsum cumprod", "r", ALL, SHAPES, c(0), c(-1), c(dim=0), c(axis=0), c(5)),
    Row("sort", "r", NUMBERS, SHAPES, c(), c(0), c(-1, True), c(descending=True), c(0, descending=True, stable=True), c(5)),
    Row("argsort", "r", "float32 int64", SHAPES, c(), c(0, True), c(descending=True, stable=True), c(-1, stable=True)),
    Row("topk", "r", FLOATS, [(3,), (2, 3), (4, 3)], c(2), c(1, 0), c(2, -1, False), c(3, dim=1), c(0), c(9), c(2, largest=False, dim=0)),
    Row("topk", "r", FLOATS, [()], c(1)),
    # Shapes.
    Row("reshape", "r", ALL, [(2, 3)], c((3, 2)), c((-1,)), c((6, -1)), c((4, 2)), c((-1, -1)), c([1, 6])),
    Row("reshape", "r", FLOATS, [(0, 3)], c((3, 0)), c((0, -1)), c((-1, 3))),
    Row("flatten", "r", FLOATS, [*SHAPES, (2, 3, 2, 2)], c(), c(1), c(0, 1), c(-2), c(start_dim=1, end_dim=2), c(0, -2), c(1, 0), c(7)),
    Row("unflatten", "r", FLOATS, [(6, 4)], c(0, (2, 3)), c(-1, (2, -1)), c(1, [2, 2]), c(0, (4, 2))),
    Row("permute", "r", FLOATS, [(2, 1, 4)], c((2, 0, 1)), c((-1, 0, 1)), c([0, 1, 2]), c((0, 0, 1)), c((0, 1)), c((0, 1, 3))),
    Row("transpose swapaxes", "r", FLOATS, [*AXES, ()], c(0, 1), c(-1, 0), c(0, 0), c(0, 5)),
    Row("t", "r", FLOATS, SHAPES),
    Row("squeeze", "r", FLOATS, [*SHAPES, (1, 2, 1, 1)], c(), c(0), c(1), c(-1), c((0, 2)), c(dim=0), c(6)),
    Row("unsqueeze", "r", FLOATS, SHAPES, c(0), c(-1), c(1), c(dim=0), c(7), c(-9)),
    Row("broadcast_to", "r", FLOATS, [(3,), (1,), (2, 1, 3), ()], c((2, 3)), c((2, 5, 3)), c([4]), c((2, -1, 3))),
    Row("roll", "r", FLOATS, [(3,), (2, 3)], c(1), c(-2, 0), c((1, 2), (0, 1)), c(shifts=1, dims=0), c((1,), (-1,)), c(1, 7)),
    Row("flip", "r", FLOATS, [(3,), (2, 3), (0, 3)], c((0,)), c((0, 1)), c([-1]), c((0, 0))),
    Row("tril triu", "r", ALL, [(2, 3), (3, 3), (2, 4, 3), (3,)], c(), c(1), c(-1), c(diagonal=2)),
    Row("movedim", "r", FLOATS, [(2, 1, 4)], c(0, 2), c(-1, 0), c((0, 1), (1, 2)), c(0, 5)),
    Row("narrow", "r", FLOATS, [(5, 3)], c(0, 1, 3), c(-1, 0, 2), c(0, 0, 0), c(0, 3, 4), c(0, -2, 2), c(1, 1, -1)),
    Row("diag", "r", FLOATS, [(3,), (3, 3), (2, 4), (0,), (1, 2, 3)], c(), c(1), c(-1), c(3), c(diagonal=-2)),
    Row(
        "split", "r", FLOATS, [(6, 4), (5,)], c(2), c(4), c([1, 4], 0), c(3, 1), c(2, dim=-1), c([1, 1]), c([2, 2], dim=1), c(10), c((2, 3))
    ),
    Row("chunk", "r", FLOATS, [(6, 4), (5,), (1,), (0, 2)], c(2), c(4), c(3, 1), c(2, dim=-1), c(10), c(0)),
    Row("unbind", "r", FLOATS, [(3,), (2, 3), (0, 2), ()], c(), c(1), c(-1), c(dim=0)),
    # Indices.
    Row(
        "gather",
        "r",
        ALL,
        [(2, 3)],
        c(1, INDEX),
        c(0, np.array([[0, 1, 1]])),
        c(-1, INDEX),
        c(1, np.array([[5]])),
        c(0, INDEX),
        c(1, np.array([0])),
    ),
    Row("gather", "r", FLOATS, [(3,)], c(0, np.array([2, 2, 0])), c(0, np.zeros(0, "int64"))),
    Row(
        "scatter_add", "rr", NUMBERS, [((2, 3), (2, 3)), ((2, 3), (3, 4))], c(1, INDEX), c(0, np.array([[0, 1, 1]])), c(1, np.array([[9]]))
    ),
    Row(
        "index_select",
        "r",
        ALL,
        [(3, 4)],
        c(0, np.array([2, 0, 0])),
        c(-1, np.array([1])),
        c(1, np.array([7])),
        c(0, np.zeros(0, "int64")),
        c(0, INDEX),
    ),
    Row("take_along_dim", "r", FLOATS, [(2, 3)], c(INDEX, 1), c(np.array([[2]]), 1), c(np.array([0, 5]))),
    Row(
        "where",
        "r",
        FLOATS,
        [(3,)],
        c(np.array([True, False, True]), np.array([1.0, 2, 3], "float32")),
        c(np.array([True, False, True]), 0.0),
    ),
    Row("nonzero", "r", ALL, SHAPES, c(), c(as_tuple=True)),
    Row(
        "unique",
        "r",
        "float32 int64 bool",
        [(3,), (2, 3), (0,)],
        c(),
        c(return_counts=True),
        c(return_inverse=True),
        c(return_inverse=True, return_counts=True),
    ),
    Row("bincount", "p", "int64 int32 uint8", [(3,), (0,)], c(), c(minlength=9)),
    Row("bincount", "p", "int64", [(3,)], c(np.array([0.5, 1.0, 2.0])), c(np.array([0.5, 1.0, 2.0], "float32"))),
    Row("histc", "r", FLOATS, [(3,), (2, 3)], c(), c(4), c(bins=5, min=-1, max=2), c(10, -3, 3)),
    # Products.
    Row("matmul", "rr", NUMBERS, MATRIX_PAIRS),
    Row("mm", "rr", FLOATS, MATRIX_PAIRS),
    Row("mv", "rr", FLOATS, MATRIX_PAIRS),
    Row("dot", "rr", FLOATS, MATRIX_PAIRS),
    Row("bmm", "rr", FLOATS, MATRIX_PAIRS),
    Row("inner", "rr", FLOATS, [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (4, 3)), ((2, 1, 3), (4, 3)), ((), (3,)), ((2, 3), (2, 4, 3))]),
    Row("outer", "rr", ALL, [((3,), (2,)), ((0,), (2,)), ((2, 1), (3,))]),
    # Comparison of whole tensors.
    Row("allclose", "rr", FLOATS, [((3,), (3,)), ((2, 3), (3,)), ((2,), (3,))], c(), c(rtol=10.0), c(atol=10.0, equal_nan=True)),
    Row("isclose", "rr", NUMBERS, [((3,), (3,)), ((2, 3), (3,))], c(), c(rtol=10.0), c(atol=3.0)),
    Row("equal", "rr", ALL, [((3,), (3,)), ((2, 3), (3,)), ((0,), (0,))]),
    # Type and memory.
    Row("clone detach numel is_floating_point", "r", ALL, SHAPES),
    Row(
        "float double half long int short byte char bool",
        "r",
        ALL,
        [*SHAPES[:3], (3,), (2, 3)],
    ),
    Row(
        "contiguous is_contiguous dim ndimension nelement element_size stride size cpu T type",
        "r",
        ALL,
        [*SHAPES[:3], (3,), (2, 3)],
    ),
    Row("mT", "r", FLOATS, [(2, 3), (2, 1, 4), (3,)]),
    Row(
        "to",
        "r",
        ALL,
        [(2, 3)],
        c("dtype:float64"),
        c(dtype="dtype:int64"),
        c("cpu"),
        c("cpu", "dtype:float32"),
        c(np.zeros(1)),
        c("dtype:float32", copy=True),
    ),
    Row("type", "r", ALL, [(2,)], c("dtype:float64")),
    Row("type_as view_as reshape_as expand_as", "rr", FLOATS, [((2, 3), (2, 3)), ((1, 3), (2, 3)), ((2, 3), (3, 2))]),
    Row("size stride", "r", FLOATS, [(2, 3)], c(0), c(-1), c(dim=1), c(5)),
    Row("view", "r", FLOATS, [(2, 3)], c(3, 2), c(-1), c((6,)), c(2, -1), c(4, 2)),
    Row("expand", "r", FLOATS, [(3,), (2, 1), (1,), ()], c(2, 3), c((2, 3)), c(-1), c(4, -1, 3), c(2, 2)),
    Row("repeat", "r", FLOATS, [(3,), (2, 3), ()], c(2), c(2, 2), c((1, 3)), c(2, 1, 2), c(0, 1)),
    # In place, on copies that the in-place test below makes.
    Row("add_ sub_ mul_", "rr", NUMBERS, PAIRS),
    Row("div_", "rn", FLOATS + " int64", PAIRS),
    Row("add_ sub_ mul_ div_ __iadd__ __isub__ __imul__ __itruediv__", "p", NUMBERS, [(3,), ()], c(2), c(2.5)),
    Row("add_ sub_", "rr", FLOATS, [((3,), (3,))], c(alpha=3)),
    Row("pow_ __ipow__", "p", FLOATS + " int64", [(2, 3)], c(2), c(3), c(0.5)),
    Row("neg_ abs_ exp_ tanh_ sigmoid_ relu_ square_ floor_ ceil_ round_ sin_ cos_ erf_ zero_", "r", FLOATS + " int64", [(), (2, 3), (0,)]),
    Row("log_ sqrt_ reciprocal_", "p", FLOATS, [(), (2, 3), (0,)]),
    Row("clamp_ ", "r", FLOATS, [(2, 3)], c(-1, 1), c(min=0.0), c(max=0.5)),
    Row("clamp_min_ clamp_max_ fill_", "r", FLOATS, [(2, 3)], c(0.25), c(np.array(0.5))),
    Row("masked_fill_", "r", FLOATS, [(2, 3)], c(np.array([True, False, True]), 2.0)),
    Row("lerp_", "rr", FLOATS, [((2, 3), (3,))], c(0.25)),
    Row("addcmul_ addcdiv_", "rnn", FLOATS, [((2, 3), (3,), (2, 1))], c(), c(value=2.0)),
    Row("scatter_add_", "rr", FLOATS, [((2, 3), (2, 3))], c(1, INDEX)),
    Row("copy_", "rr", NUMBERS, [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), ()), ((3,), (2, 3))]),
    # Compositions: diagonals and axes.
    Row(
        "diagonal",
        "r",
        ALL,
        [(3, 3), (2, 4), (4, 2), (2, 3, 4), (0, 3), (3,), ()],
        c(),
        c(1),
        c(-1),
        c(9),
        c(-9),
        c(0, -2, -1),
        c(1, 1, 0),
        c(offset=1, dim1=0, dim2=1),
        c(0, 1, 1),
        c(0, 0, 5),
    ),
    Row("trace", "r", ALL, [(3, 3), (2, 4), (0, 3), (3,), (2, 2, 2)]),
    Row(
        "diag_embed", "r", ALL, [(3,), (2, 3), (0,), (2, 0), (2, 1, 2)], c(), c(1), c(-2), c(0, 0, -1), c(1, 0, 1), c(0, -1, -2), c(0, 1, 1)
    ),
    Row("diagflat", "r", ALL, [(3,), (2, 3), (), (0,)], c(), c(1), c(-2)),
    Row("moveaxis", "r", FLOATS, [(2, 1, 4)], c(0, 2), c((0, 1), (1, 2)), c(0, 5)),
    Row("swapdims", "r", FLOATS, [(2, 1, 4)], c(0, 2), c(0, 5)),
    Row("ravel", "r", ALL, SHAPES),
    Row("adjoint", "r", FLOATS, [(2, 3), (2, 1, 4)]),
    Row("mH", "r", FLOATS, [(2, 3), (2, 1, 4)]),
    Row("fliplr flipud", "r", ALL, [(2, 3), (3,), (0, 3), (2, 1, 4), ()]),
    Row(
        "rot90",
        "r",
        FLOATS,
        [(2, 3), (2, 3, 4), (3,)],
        c(),
        c(2),
        c(3),
        c(-1),
        c(4),
        c(1, (1, 0)),
        c(1, [0, -1]),
        c(3, (-1, 0)),
        c(k=1, dims=(0, 0)),
        c(1, (0,)),
    ),
    Row("tile", "r", FLOATS, [(3,), (2, 3), ()], c((2,)), c((2, 2)), c((1, 2, 3)), c((0, 1))),
    Row(
        "repeat_interleave",
        "r",
        ALL,
        [(3,), (2, 3), (0, 3)],
        c(2),
        c(2, 0),
        c(0, dim=-1),
        c(np.array([1, 0, 2]), -1),
        c(np.array([2, 1]), dim=0),
        c(2, 5),
    ),
    Row("combinations", "r", FLOATS, [(4,), (1,), (2, 2)], c(), c(3), c(2, True), c(r=1)),
    Row("tensor_split", "r", FLOATS, [(7,), (6, 5), (0, 2)], c(3), c([1, 4]), c(2, dim=-1), c((2, 9)), c((-2,)), c(0), c(4, 5)),
    Row("hsplit", "r", FLOATS, [(6,), (2, 6), (2, 4, 3), ()], c(2), c([1, 3]), c(4), c(0)),
    Row("vsplit", "r", FLOATS, [(6, 2), (4,)], c(2), c([1, 3]), c(4)),
    Row("dsplit", "r", FLOATS, [(2, 1, 6), (2, 3)], c(2), c([1, 3]), c(4)),
    # Compositions: reading and writing at indices.
    Row("select", "r", ALL, [(2, 3), (3,)], c(0, 1), c(-1, 0), c(0, -1), c(0, 9), c(dim=0, index=0)),
    Row("argwhere", "r", ALL, SHAPES),
    Row(
        "take",
        "r",
        ALL,
        [(2, 3), (3,)],
        c(np.array([0, 2, 2])),
        c(np.array([[1], [0]])),
        c(np.array(2)),
        c(np.array([-1])),
        c(np.array([99])),
    ),
    Row(
        "scatter",
        "rr",
        NUMBERS,
        [((2, 3), (2, 3)), ((2, 3), (3, 4))],
        c(1, np.array([[0, 2], [1, 0]])),
        c(0, np.array([[0, 1, 1]])),
        c(1, np.array([[9]])),
    ),
    Row("scatter", "r", NUMBERS, [(2, 3)], c(1, np.array([[0, 2], [1, 0]]), 5), c(0, np.array([[0, 1, 1]]), value=2)),
    Row("index_add", "r", FLOATS, [(3, 2)], c(0, np.array([0, 0, 2]), np.ones((3, 2), "float32")), c(-1, np.array([1]), np.ones((3, 1)))),
    Row("index_fill", "r", NUMBERS, [(3, 2), (4,)], c(0, np.array([0, 2]), 4), c(-1, np.array([1]), 1), c(0, np.array([9]), 1)),
    Row("index_put", "r", FLOATS, [(3, 2)], c([np.array([0, 2])], np.array(2.0, "float32")), c([np.array([0, 0])], np.array(2.0), True)),
    Row("msort", "r", NUMBERS, [(4,), (3, 2), (0, 2)]),
    # Compositions: elementwise.
    Row("positive", "r", ALL, SHAPES),
    Row("bitwise_not", "r", ALL, [(3,), ()]),
    Row("sgn", "r", "int64 int32 uint8", SHAPES),
    Row("frac", "r", FLOATS, SHAPES),
    Row("fmod", "nn", NUMBERS, PAIRS),
    Row("fmod", "n", NUMBERS, [(3,)], c(2), c(1.5), c(-2)),
    Row("deg2rad rad2deg", "r", ALL, SHAPES),
    Row("logit", "u", FLOATS, SHAPES, c(0.1), c(eps=0.2)),
    Row("logit", "p", FLOATS, SHAPES, c(0.01)),
    Row("sinc", "r", ALL, SHAPES),
    Row("xlogy", "rp", FLOATS, PAIRS),
    Row("xlogy", "r", FLOATS, [(3,)], c(np.array([0.0, 1.0, 2.0]))),
    Row("logaddexp2", "rr", FLOATS, PAIRS),
    Row("float_power", "pr", FLOATS, PAIRS),
    Row("float_power", "p", "float32 int64", [(3,)], c(2), c(0.5)),
    Row("heaviside", "rr", "int64", [((3,), (3,)), ((3,), ())]),
    Row("signbit", "r", NUMBERS, SHAPES),
    Row("copysign", "nn", FLOATS, PAIRS),
    Row("fmax fmin", "rr", NUMBERS, PAIRS),
    Row("nan_to_num", "r", NUMBERS, SHAPES, c(), c(1.0), c(nan=2.0, posinf=3.0, neginf=4.0)),
    Row("isposinf isneginf", "r", ALL, SHAPES),
    # Compositions: products, distances, areas.
    Row(
        "addmm",
        "rrr",
        FLOATS + " int64",
        [((2, 4), (2, 3), (3, 4)), ((4,), (2, 3), (3, 4)), ((), (2, 3), (3, 4)), ((3, 2, 4), (2, 3), (3, 4))],
        c(),
        c(beta=2, alpha=3),
        c(beta=0),
    ),
    Row("addmv", "rrr", FLOATS, [((2,), (2, 3), (3,)), ((), (2, 3), (3,)), ((5,), (2, 3), (3,))], c(), c(beta=2, alpha=3)),
    Row("addr", "rrr", FLOATS, [((2, 3), (2,), (3,)), ((), (2,), (3,))], c(), c(beta=2, alpha=3)),
    Row("baddbmm addbmm", "rrr", FLOATS, [((2, 4), (5, 2, 3), (5, 3, 4)), ((2, 4), (5, 2, 3), (4, 3, 4))], c(), c(beta=2, alpha=3)),
    Row("baddbmm", "rrr", FLOATS, [((5, 2, 4), (5, 2, 3), (5, 3, 4))]),
    Row("addmm", "r", "float64", [(2, 2)], c(mat1=np.ones((2, 3)), mat2=np.ones((3, 2)))),
    Row("addmv", "r", "float64", [(2,)], c(mat=np.ones((2, 3)), vec=np.ones(3))),
    Row("addr", "r", "float64", [(2, 3)], c(vec1=np.ones(2), vec2=np.ones(3))),
    Row("baddbmm addbmm", "r", "float64", [(2, 2)], c(batch1=np.ones((1, 2, 3)), batch2=np.ones((1, 3, 2)))),
    Row("diff", "r", "float64", [(2, 3)], c(prepend=np.ones((2, 1))), c(n=2, append=np.ones((2, 2)))),
    Row("vdot", "rr", FLOATS, [((3,), (3,)), ((0,), (0,)), ((3,), (2,)), ((2, 2), (2, 2))]),
    Row("kron", "rr", ALL, [((2,), (3,)), ((2, 3), (3, 2)), ((2, 3), (2,)), ((), (2, 2)), ((0, 2), (3, 1))]),
    Row(
        "tensordot",
        "rr",
        FLOATS,
        [((2, 3, 4), (3, 4, 5)), ((2, 3), (4, 5))],
        c(),
        c(2),
        c(0),
        c(([1, 2], [0, 1])),
        c(dims=([-1], [1])),
        c(1),
    ),
    Row("matrix_power", "r", FLOATS, [(3, 3), (2, 3, 3), (2, 3), (3,)], c(0), c(1), c(2), c(3), c(5)),
    Row("cross", "rr", FLOATS, [((3,), (3,)), ((2, 3), (2, 3)), ((3, 3), (1, 3)), ((2,), (2,))], c(dim=-1)),
    Row("dist", "rr", FLOATS, [((3,), (3,)), ((2, 3), (3,)), ((), ())], c(), c(1), c(3.0), c(p=float("inf"))),
    Row(
        "cdist",
        "rr",
        FLOATS,
        [((2, 3), (4, 3)), ((5, 2, 3), (5, 4, 3)), ((2, 3), (4, 2)), ((2, 3), (4, 1)), ((3,), (3,))],
        c(),
        c(1.0),
        c(p=3.0),
        c(float("inf")),
    ),
    Row("pairwise_distance", "rr", FLOATS, [((2, 3), (2, 3)), ((3,), (3,))], c(), c(1.0), c(2.0, 1e-3, True)),
    Row("cosine_similarity", "rr", FLOATS, [((2, 3), (2, 3)), ((2, 3, 4), (2, 3, 4))], c(), c(0), c(dim=-1, eps=0.5)),
    Row("diff", "r", ALL, [(4,), (2, 3), (0, 3), ()], c(), c(2), c(1, 0), c(n=1, dim=-1), c(9)),
    Row("trapezoid trapz", "r", FLOATS + " int64", [(4,), (2, 3)], c(), c(dx=0.5), c(dim=0)),
    Row("trapezoid", "rr", FLOATS, [((4,), (4,)), ((2, 3), (3,)), ((2, 3), (2, 3))]),
    # Compositions: order and spread.
    Row("aminmax", "r", NUMBERS, SHAPES, c(), c(dim=0), c(dim=-1, keepdim=True)),
    Row("cummax cummin", "r", NUMBERS, [*SHAPES, (9,), (3, 6)], c(0), c(-1), c(dim=0)),
    Row("cummax cummin", "r", FLOATS, [(3,)], c(5)),
    Row("logcumsumexp", "r", FLOATS, [*SHAPES, (9,), (3, 6)], c(0), c(-1), c(dim=0), c(5)),
    Row(
        "masked_scatter masked_scatter_",
        "rr",
        FLOATS + " int64",
        [((2, 3), (6,)), ((2, 3), (2, 2)), ((2, 3), (1,)), ((2, 3), (0,)), ((0, 3), (1,))],
        c(np.array([True, False, True])),
        c(np.array([[True], [False]])),
        c(np.array(False)),
    ),
    Row("kthvalue", "r", FLOATS, [(4,), (2, 3), ()], c(1), c(2, 0), c(2, -1, True), c(9), c(0)),
    Row("median", "r", FLOATS + " int64", [(4,), (3,), (2, 3), (4, 3), (), (1,)], c(), c(0), c(-1, True), c(dim=-1), c(5)),
    Row("nanmedian", "r", FLOATS + " int64", [(4,), (3,), (2, 3), (4, 3), ()], c(), c(0), c(-1, True), c(dim=-1), c(5)),
    Row(
        "quantile", "r", FLOATS, [(4,), (2, 3), (), (5, 2, 1)], c(0.5), c(0.3, -1), c(0.25, 0, True), c(0.3, dim=None, keepdim=True), c(2.0)
    ),
    Row(
        "quantile",
        "r",
        FLOATS,
        [(4,), (3, 5)],
        *[c(0.35, -1, interpolation=way) for way in "linear lower higher midpoint nearest other".split()],
    ),
    Row("quantile", "r", "float64", [(4,), (3, 5)], c(np.array([0.1, 0.5, 1.0])), c(np.array([0.1, 0.5]), dim=0, keepdim=True)),
    Row("nansum", "r", NUMBERS, SHAPES, c(), c(0), c(-1, True), c((0, -1)), c(dtype="dtype:float64")),
    Row("nanmean", "r", FLOATS, SHAPES, c(), c(0), c(-1, True), c((0, -1))),
    Row("var_mean std_mean", "r", FLOATS, [(3,), (2, 3)], c(), c(0), c(-1, correction=0), c(dim=-1, keepdim=True), c(False)),
    Row("cov", "r", FLOATS, [(4,), (2, 3), (3, 5)], c(), c(correction=0)),
    Row("corrcoef", "r", FLOATS, [(2, 4), (3, 5)]),
    Row("is_nonzero", "n", ALL, [(), (1,), (2,)]),
    Row("nbytes itemsize", "r", ALL, [(), (2,)]),
    Row("is_complex", "r", ALL, [(), (2,)]),
    # In place.
    Row("tril_ triu_", "r", FLOATS, [(3, 3), (2, 3)], c(), c(1)),
    Row("tan_ asin_ acos_ atan_", "u", FLOATS, [(2, 3)]),
    Row("sinh_ cosh_ exp2_ expm1_ trunc_ frac_ nan_to_num_", "r", FLOATS, [(2, 3)]),
    Row("log1p_ log2_ log10_ rsqrt_", "p", FLOATS, [(2, 3)]),
    Row("clip_", "r", FLOATS, [(2, 3)], c(-1, 1)),
    Row("logit_", "u", FLOATS, [(2, 3)], c(0.1)),
    Row("remainder_ floor_divide_ fmod_", "nn", FLOATS + " int64", [((2, 3), (3,))]),
    Row("scatter_", "r", FLOATS, [(2, 3)], c(1, np.array([[0, 2], [1, 0]]), 5.0)),
    Row("index_fill_", "r", FLOATS, [(3, 2)], c(0, np.array([0, 2]), 4.0)),
    Row("index_put_", "r", "float64", [(3, 2)], c([np.array([0, 2])], np.array(2.0))),
    Row("addmm_", "rrr", FLOATS, [((2, 4), (2, 3), (3, 4))], c(), c(beta=2, alpha=3)),
    Row("addmv_", "rrr", FLOATS, [((2,), (2, 3), (3,))], c(), c(beta=2)),
    Row("baddbmm_", "rrr", FLOATS, [((5, 2, 4), (5, 2, 3), (5, 3, 4))]),
    Row("fill_diagonal_", "r", FLOATS + " int64", [(3, 3), (2, 4), (4, 2), (2, 2, 2), (3,), (2, 3, 4)], c(7)),
]

ELSEWHERE = {
    "tril_indices triu_indices atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors": "test_parity_lists.py",
    "hstack vstack row_stack dstack": "test_parity_lists.py",
    "column_stack block_diag meshgrid cartesian_prod unravel_index isin searchsorted bucketize": "test_parity_lists.py",
    "logspace finfo iinfo": "test_parity_lists.py",
    "promote_types result_type unique_consecutive index_add_ index_copy index_copy_ unfold vander": "test_parity_lists.py",
    "seed initial_seed get_rng_state set_rng_state": "test_parity_lists.py",
    "bernoulli bernoulli_ exponential_ multinomial normal randint_like": "numbers differ: test_parity_lists.py",
    "tensor as_tensor asarray from_numpy zeros ones empty full arange linspace eye": "test_parity_creation.py",
    "zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full new_tensor": "test_parity_creation.py",
    "rand randn randint randperm rand_like randn_like manual_seed uniform_ normal_ random_": "numbers differ: test_parity_creation.py",
    "cat concat concatenate stack einsum is_tensor": "take lists of tensors; test_parity_creation.py",
    "__getitem__ __setitem__": "test_indexing.py",
    "backward register_hook retain_grad detach_": "test_graph.py",
    "data_ptr": "an address; test_aliasing.py",
    "storage": "test_printing.py",
}


def cases() -> Iterator[Any]:
    for number, row in enumerate(TABLE):
        for name in row.names:
            for form, entries, owner in (("function", FUNCTIONS, torch), ("method", METHODS, torch.Tensor)):
                if name in entries and hasattr(owner, name) and not (form == "function" and name in METHODS_ONLY):
                    yield pytest.param(row, name, form, id=f"{name}-{form}-{number}")


METHODS_ONLY = {"size", "stride"}


def caller(library: Any, name: str, form: str, call: Call, writes: bool) -> Any:
    """One call as ``library.name(x, …)`` or ``x.name(…)``; in-place forms act on a copy inside the graph."""

    def run(*tensors: Any) -> Any:
        args, kwargs = call.in_library(library)
        first, rest = tensors[0], tensors[1:]
        if writes:
            first = first.clone()
        if form == "function":
            return getattr(library, name)(first, *rest, *args, **kwargs)
        found = getattr(first, name)
        return found(*rest, *args, **kwargs) if callable(found) else found

    return run


@pytest.mark.parametrize("row, name, form", list(cases()))
def test_agrees_with_pytorch(row: Row, name: str, form: str, agree: Any, sample: Any) -> None:
    writes = name.endswith("_")
    failures = []
    for dtype in row.dtypes:
        for shapes in row.shapes:
            several = shapes if len(row.kinds) > 1 else (shapes,)
            arrays = [sample(kind, shape, dtype, seed) for seed, (kind, shape) in enumerate(zip(row.kinds, several, strict=True))]
            for call in row.calls:
                if any(rule(name, dtype, call) for rule in DEVIATIONS.values()):
                    continue
                what = f"{name}{call} on {shapes} {dtype}"
                lenient = any(rule(name, dtype, call) for rule in MORE_THAN_PYTORCH.values())
                try:
                    agree(caller(gradus, name, form, call, writes), caller(torch, name, form, call, writes), arrays, what, lenient)
                except Exception as error:
                    failures.append(f"{what}: " + " ".join(str(error).split())[:300])
    assert not failures, f"{len(failures)} differ:\n" + "\n".join(failures[:12])


Rule = Callable[[str, str, Call], bool]
ARITHMETIC = set("abs absolute sign square relu floor ceil round trunc fix sigmoid argmax argmin sub subtract pow".split())

# Where the two differ on purpose, and why. This is the list that the documentation gives.
DEVIATIONS: dict[str, Rule] = {
    "a number that uint8 does not hold raises, PyTorch wraps it": lambda name, dtype, call: (
        dtype == "uint8" and str(call)[1:3] in ("-1", "-2")
    ),
    "all and any of uint8 are bool, PyTorch's are uint8": lambda name, dtype, call: name in ("all", "any") and dtype == "uint8",
    "arithmetic functions of bool": lambda name, dtype, call: dtype == "bool" and name in ARITHMETIC,
}
# Where PyTorch raises and Gradus answers.
MORE_THAN_PYTORCH: dict[str, Rule] = {
    "minus True": lambda name, dtype, call: name in ("sub", "subtract") and str(call) == "(True)",
    "softmax of integers": lambda name, dtype, call: "softmax" in name and dtype == "int64",
    "several axes for prod": lambda name, dtype, call: name == "prod" and isinstance((*call.args, None)[0], (tuple, list)),
    "sort takes stable by position or name": lambda name, dtype, call: name in ("sort", "argsort") and "stable" in call.kwargs,
    "negative powers of no integers": lambda name, dtype, call: name == "pow" and str(call) == "(-1)",
}


def test_every_entry_is_covered() -> None:
    covered = {name for row in TABLE for name in row.names} | {name for names in ELSEWHERE for name in names.split()}
    shared = {name for name in FUNCTIONS if hasattr(torch, name)} | {name for name in METHODS if hasattr(torch.Tensor, name)}
    assert sorted(shared - covered) == []
    assert sorted(covered - set(FUNCTIONS) - set(METHODS)) == []
