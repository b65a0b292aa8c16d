"""The graph: how it prints, what it refuses, and that it runs by itself."""

from __future__ import annotations

import numpy as np
import pytest

import gradus
from gradus import ops
from gradus.compiler.graph import CONSTANT, INPUT, RESULT, STATE, Call, Graph, GraphError, Number, Value
from gradus.compiler.inference import infer
from gradus.primitive import REGISTRY

FLOAT = np.dtype("float32")


def small() -> Graph:
    """y = (x + c) * h, and a state that becomes y."""
    graph = Graph()
    x, c = Value(INPUT, (2, 3), FLOAT), Value(CONSTANT, (3,), FLOAT, np.ones(3, np.float32))
    state = Value(STATE, (2, 3), FLOAT, np.zeros((2, 3), np.float32))
    a, y = Value(RESULT, (2, 3), FLOAT), Value(RESULT, (2, 3), FLOAT)
    number = Number(2.0, owner={"lr": 2.0}, key="lr")
    graph.inputs = [x]
    graph.calls = [Call(REGISTRY["add"], (x, c), {}, a), Call(REGISTRY["multiply"], (a, number), {}, y)]
    graph.outputs, graph.updates = [y], [(state, y)]
    return graph


def test_it_prints() -> None:
    assert str(small()) == (
        "x0: float32[2, 3] = input\n"
        "c0: float32[3] = constant\n"
        "s0: float32[2, 3] = state\n"
        "v0: float32[2, 3] = add(x0, c0)\n"
        "v1: float32[2, 3] = multiply(v0, h0)\n"
        "s0 <- v1\n"
        "return v1"
    )


def test_it_runs() -> None:
    graph = small().verify()
    (y,) = graph.interpret([np.zeros((2, 3), np.float32)])
    np.testing.assert_array_equal(y, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(graph.updates[0][0].array, y)
    graph.calls[1].args[1].owner["lr"] = 5
    (y,) = graph.interpret([np.zeros((2, 3), np.float32)])
    assert y.dtype == FLOAT
    np.testing.assert_array_equal(y, np.full((2, 3), 5.0))


def test_numpy_scalars_among_numbers_do_not_raise_the_precision() -> None:
    graph = small()
    graph.calls[1].args[1].owner["lr"] = np.float64(0.1)
    (y,) = graph.interpret([np.zeros((2, 3), np.float32)])
    assert y.dtype == FLOAT


def order(graph: Graph) -> None:
    graph.calls.reverse()


def twice(graph: Graph) -> None:
    graph.calls.append(graph.calls[0])


def foreign_root(graph: Graph) -> None:
    graph.outputs.append(Value(RESULT, (), FLOAT))


def other_type(graph: Graph) -> None:
    graph.updates = [(Value(STATE, (3,), FLOAT, np.zeros(3, np.float32)), graph.outputs[0])]


def stolen(graph: Graph) -> None:
    Call(REGISTRY["add"], graph.calls[0].args, {}, graph.calls[0].output)


@pytest.mark.parametrize(
    "damage, message",
    [
        (order, "not computed yet"),
        (twice, "exists already"),
        (foreign_root, "never computed"),
        (other_type, "would become"),
        (stolen, "another call"),
    ],
)
def test_it_checks_itself(damage, message: str) -> None:
    graph = small()
    damage(graph)
    with pytest.raises(GraphError, match=message):
        graph.verify()


def test_the_interpreter_checks_what_ops_give() -> None:
    graph = small()
    graph.calls[0].output.shape = (2, 4)
    with pytest.raises(GraphError, match="gave float32"):
        graph.interpret([np.zeros((2, 3), np.float32)])


def test_updates_are_read_before_any_is_written() -> None:
    a, b = gradus.tensor([1.0, 2.0]), gradus.tensor([3.0, 4.0])

    @gradus.compile
    def swap() -> None:
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)

    for k in range(1, 6):
        swap()
        assert (a.tolist(), b.tolist()) == (([1, 2], [3, 4]) if k % 2 == 0 else ([3, 4], [1, 2]))
    graph = swap.specialisations[0].traced.graph
    graph.interpret([])
    assert a.tolist() == [1, 2]


INFERRED = [
    (ops.add.record, [(2, 1), (3,)], {}),
    (ops.matmul.record, [(4, 2, 3), (3, 5)], {}),
    (ops.sum.record, [(2, 3, 4)], {"axis": (0, 2), "keepdims": False}),
    (ops.max.record, [(2, 3, 4)], {"axis": 1, "keepdims": True}),
    (ops.greater.record, [(2, 3), (2, 1)], {}),
    (ops.argmax.record, [(2, 3)], {"axis": 1, "keepdims": False}),
    (ops.sum.record, [(0, 3)], {"axis": None, "keepdims": False}),
]


@pytest.mark.parametrize("record, shapes, params", INFERRED, ids=lambda x: getattr(x, "name", ""))
def test_shapes_and_dtypes_are_those_of_the_op(record, shapes, params) -> None:
    for dtype in ("float32", "float64", "int64"):
        values = [Value(INPUT, shape, np.dtype(dtype)) for shape in shapes]
        y = np.asarray(record.raw(*[np.zeros(shape, dtype) for shape in shapes], **params))
        assert infer(record, values, params) == (y.shape, y.dtype)


def test_shapes_that_do_not_fit_raise_what_eager_mode_raises() -> None:
    with pytest.raises(gradus.errors.ShapeError):
        infer(ops.add.record, [Value(INPUT, (2,), FLOAT), Value(INPUT, (3,), FLOAT)], {})
