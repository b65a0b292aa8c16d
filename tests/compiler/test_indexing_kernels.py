"""Compiled indexing, joining and drawing give what eager mode gives, in its order of additions, and raise what it raises."""

import numpy as np
import pytest

import gradus
from gradus import nn, ops, optim
from gradus.backend import INDEX_SLOT
from gradus.errors import IndexRangeError, LabelError
from gradus.nn import functional as F
from gradus.ops.random import Generator
from gradus.tensors import Tensor, wrap

RANDOM = np.random.default_rng(3)


def numbers(*shape, dtype="float32"):
    return np.asarray(RANDOM.standard_normal(shape) * 9).astype(dtype)


def places(length, *shape, dtype="int64"):
    return RANDOM.integers(-length, length, shape).astype(dtype)


def by_kernels(step):
    """Whether a compiled function runs without going back to NumPy between its kernels."""
    return "evaluate(" not in step.source


def message(raised):
    """The parts of an error, without the lines that say where it arose."""
    return [line for line in str(raised.value).splitlines() if not line.strip().startswith(("where:", "layer:"))]


def same(f, *arrays, native=True):
    """Check ``f`` compiled against ``f`` eager, on the arrays and then on others of the same types."""
    step = gradus.compile(f)
    for shift in (0, 0, 1, 2):
        given = [np.roll(a, shift, axis=0) if a.ndim and a.shape[0] else a for a in arrays]
        inputs = [wrap(np.array(a, order="C")) for a in given]
        got, expected = step(*inputs), f(*inputs)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.numpy(), expected.numpy())
    assert by_kernels(step) == native, step.source
    return step


@pytest.mark.parametrize("number", ["int64", "int32"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool", "uint8"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 1, 3)])
def test_rows_by_an_index_array_of_any_shape(dtype, number, shape):
    same(lambda x, i: ops.take(x, i), numbers(5, 3, dtype=dtype), places(5, *shape, dtype=number))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_slices_along_any_axis(axis):
    same(lambda x, i: ops.take(x, i, axis=axis), numbers(4, 4, 4), places(4, 2, 3))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (2, 3)])
@pytest.mark.parametrize("axis", [0, 1])
def test_take_along_axis_and_its_gradient(axis, shape):
    x, i = numbers(*(4,) * len(shape)), places(4, *shape)
    axis = min(axis, len(shape) - 1)
    same(lambda x, i: ops.take_along_axis(x, i, axis=axis), x, i)
    same(lambda g, i: ops.scatter_add_along_axis(x * 0 + g.sum(), i, g, axis=axis), numbers(*shape), i)


def test_several_index_arrays_broadcast():
    x = numbers(3, 4, 5, 2)
    i, j = places(3, 6, 1), places(4, 5, dtype="int32")
    same(lambda x, i, j: x[i, j], x, i, j)
    same(lambda x, i, j: x[:, i, j], numbers(2, 3, 4, 5), i, j)
    same(lambda x, i, j, k: x[i, j, k], x, i, j, places(5, 6, 5))
    same(lambda x, i, j: ops.scatter_add(x, i, j, shape=(3, 4, 2), key=(INDEX_SLOT, INDEX_SLOT)), numbers(6, 5, 2), i, j)


def test_arrays_apart_from_each_other_are_left_to_numpy():
    same(lambda x, i, j: x[i, :, j], numbers(3, 4, 5), places(3, 2), places(5, 2), native=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "inner"), [(1, 1), (5, 3), (65, 128), (3, 33)])
def test_the_gradient_of_an_embedding(dtype, rows, inner):
    key = (INDEX_SLOT,)
    for shape in ((), (1,), (40,), (7, 9)):
        g = np.rint(numbers(*shape, inner, dtype=dtype))  # whole numbers: any order gives the same sum
        same(lambda g, i: ops.scatter_add(g, i, shape=(rows, inner), key=key), g, places(rows, *shape))


def test_sums_run_in_the_order_of_the_indices():
    g, i = numbers(500, 2), places(3, 500)
    expected = np.zeros((3, 2), np.float32)
    np.add.at(expected, i, g)
    step = gradus.compile(lambda g, i: ops.scatter_add(g, i, shape=(3, 2), key=(INDEX_SLOT,)))
    for _ in range(3):
        np.testing.assert_array_equal(step(wrap(g), wrap(i)).numpy() if _ else expected, expected)


@pytest.mark.parametrize("number", ["int64", "int32"])
def test_writing_rows(number):
    x, i = numbers(6, 3), places(6, 4, dtype=number)
    key = (INDEX_SLOT,)
    same(lambda x, v, i: ops.index_update(x, v, i, key=key), x, numbers(4, 3), i)
    same(lambda x, i: ops.index_update(x, 0.0, i, key=key), x, i)
    same(lambda x, i: ops.index_update(x, 3, i, key=key), x, i)
    same(lambda x, v, i: ops.index_update(x, v, i, key=key), x, numbers(3), i, native=False)


STATIC = [
    (slice(1, 3),),
    (..., 1),
    (slice(None), slice(None, None, 2)),
    (slice(None, None, -1), 2),
    (2, 3, 1),
    (None, slice(1, 2)),
    (slice(3, 1, -1), slice(4, None), slice(0, 1)),
    (-1,),
    (...,),
]


@pytest.mark.parametrize("key", STATIC)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_writing_and_adding_at_slices(key, dtype):
    x = numbers(4, 5, 2, dtype=dtype)
    part = x[key]
    same(lambda x: ops.index_update(x * 1, 7.0 if dtype[0] == "f" else 7, key=key), x, native=dtype[0] == "f")
    same(lambda x, v: ops.index_update(x, v, key=key), x, numbers(*np.shape(part), dtype=dtype))
    same(lambda x, v: ops.index_update(x, v, key=key), x, np.array(3, dtype))
    same(lambda v: ops.scatter_add(v, shape=(4, 5, 2), key=key), numbers(*np.shape(part), dtype=dtype))


def test_the_gradient_of_slicing():
    def f(x):
        x = x.detach().requires_grad_()
        (x[1:, ::2] * x[0, 1]).sum().backward()
        return x.grad

    same(f, np.rint(numbers(4, 5)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_joining(dtype, axis):
    a, b = numbers(2, 3, 4, dtype=dtype), numbers(2, 3, 4, dtype=dtype)
    same(lambda a, b: ops.concat([a, b, a], axis=axis), a, b)
    same(lambda a, b: ops.stack([a, b, a], axis=axis), a, b)
    same(lambda a: ops.concat([a], axis=axis), a)
    same(lambda a, b: ops.concat([a[:, :1], b], axis=1), a, b)


def test_joining_scalars_and_different_types():
    same(lambda a, b: ops.stack([a, b], axis=0), numbers(), numbers())
    same(lambda a, b: ops.concat([a, b], axis=0), numbers(3), numbers(2, dtype="float64"))
    same(lambda a: ops.concat([a[k] for k in range(40)], axis=0), numbers(40, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_pad_roll_and_triangles(dtype):
    x = numbers(3, 4, 5, dtype=dtype)
    for width in [((1, 0), (0, 0), (2, 3)), ((0, 0), (0, 0), (0, 0)), ((0, 2), (1, 1), (0, 0))]:
        same(lambda x, width=width: ops.pad(x, width), x)
    for shift, axis in [(1, 0), (-2, 2), ((1, 3), (0, 1)), ((4, 9, -7), (0, 1, 2)), (0, 1), ((1, 1), (0, 0)), (5, None)]:
        same(lambda x, shift=shift, axis=axis: ops.roll(x, shift, axis=axis), x)
    for k in (-99, -2, -1, 0, 1, 3, 99):
        same(lambda x, k=k: ops.tril(x, k=k), x)
        same(lambda x, k=k: ops.triu(x, k=k), x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_places_of_extremes(dtype, axis, keepdims):
    x = np.rint(numbers(6, 4, 5, dtype=dtype) / 4).astype(dtype)  # many ties
    same(lambda x: ops.argmax(x, axis=axis, keepdims=keepdims), x)
    same(lambda x: ops.argmin(x, axis=axis, keepdims=keepdims), x)
    if dtype[0] == "f":
        x[1, 2, 1] = x[3, :, 2] = np.nan
        x[2] = -np.inf
        same(lambda x: ops.argmax(x, axis=axis, keepdims=keepdims), x)
        same(lambda x: ops.argmin(x, axis=axis, keepdims=keepdims), x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums(axis):
    same(lambda x: ops.cumulative_sum(x, axis=axis), numbers(5, 4, 3))
    same(lambda x: ops.cumulative_sum(x, axis=axis), numbers(5, 7, dtype="float64"))


def test_operands_that_do_not_lie_in_rows():
    same(lambda x, i: ops.take(x.T, i.T), numbers(4, 4), places(4, 2, 3))
    same(lambda a, b: ops.concat([a.T, ops.flip(b, axis=1)], axis=0), numbers(3, 3), numbers(3, 3))


def test_nothing_at_all():
    same(lambda x, i: ops.take(x, i), numbers(4, 3), places(4, 0), native=False)
    same(lambda x, i: ops.take(x, i) * 2, numbers(4, 0), places(4, 2), native=False)
    same(lambda a, b: ops.concat([a, b], axis=0), numbers(0, 2), numbers(3, 2), native=False)
    same(lambda g, i: ops.scatter_add(g, i, shape=(4, 3), key=(INDEX_SLOT,)), numbers(0, 3), places(4, 0), native=False)


READS = {
    "take": lambda x, i: ops.take(x, i),
    "grid": lambda x, i: x[i, i],
    "add": lambda x, i: ops.scatter_add(ops.take(x, i * 0), i, shape=(4, 4), key=(INDEX_SLOT,)),
    "put": lambda x, i: ops.index_update(x, ops.take(x, i * 0), i, key=(INDEX_SLOT,)),
    "number": lambda x, i: ops.index_update(x, 0.0, i, key=(INDEX_SLOT,)),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("wrong", [4, -5, 2**40, -(2**40)])
def test_an_index_out_of_range_raises_as_in_eager_mode(name, wrong):
    f = READS[name]
    step = gradus.compile(f)
    x, good, bad = wrap(numbers(4, 4)), wrap(np.array([0, 3, -4])), wrap(np.array([0, wrong, 1]))
    for _ in range(3):
        step(x, good)
    with pytest.raises(IndexError) as compiled:
        step(x, bad)
    with pytest.raises(IndexError) as eager:
        f(x, bad)
    assert message(compiled) == message(eager)
    np.testing.assert_array_equal(step(x, good).numpy(), f(x, good).numpy())


# Random numbers.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [0, 7, 2**63 + 5, 2**64 - 1])
def test_random_numbers_are_those_of_eager_mode(dtype, seed):
    for shape in [(1,), (2,), (3,), (7,), (8,), (9,), (5, 13), (3, 1000)]:
        drawn, again = Generator(seed).fork(1, seed % 1000), Generator(seed).fork(1, seed % 1000)

        def draw(x, drawn=drawn, shape=shape):
            return wrap(ops.random.uniform(shape, dtype, generator=drawn)) + x

        step = gradus.compile(draw)
        zero = wrap(np.zeros((), dtype))
        for _ in range(4):
            np.testing.assert_array_equal(step(zero).numpy(), np.asarray(again.uniform(shape, dtype)))
        assert by_kernels(step) and drawn.get_state() == again.get_state()


def test_a_counter_beyond_the_whole_numbers_of_float64():
    drawn, again = Generator(3), Generator(3)
    step = gradus.compile(lambda x: wrap(ops.random.uniform((10,), "float32", generator=drawn)) + x)
    zero = wrap(np.zeros((), "float32"))
    for start in (0, 5, 2**53 + 1, 2**62 + 3):
        for generator in (drawn, again):
            generator.set_state({"seed": 3, "counter": start})
        np.testing.assert_array_equal(step(zero).numpy(), np.asarray(again.uniform((10,), "float32")))
    assert by_kernels(step)


# Labels and row numbers are checked at every run.


def classifier():
    gradus.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, optim.Adam(model.parameters(), lr=0.01)


def training(model, optimizer, **options):
    def step(x, target):
        loss = F.cross_entropy(model(x), target, **options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": True}, {"ignore_index": 1}, {"reduction": "sum"}])
@pytest.mark.parametrize("number", ["int64", "int32", "uint8"])
def test_a_label_out_of_range_raises_and_leaves_the_weights_as_they_are(options, number):
    options = {key: wrap(np.array([1.0, 2.0, 0.5], "float32")) if key == "weight" else value for key, value in options.items()}
    model, optimizer = classifier()
    plain = training(model, optimizer, **options)
    step = gradus.compile(plain)
    x, good = wrap(numbers(5, 6)), wrap(np.array([0, 2, 1, 0, 2], number))
    for _ in range(3):
        step(x, good)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    for labels in ([0, 3, 1, 0, 2], [0, 1, 2, 2, 200]) if number == "uint8" else ([0, 3, 1, 0, 2], [0, 1, -1, 2, 0]):
        bad = wrap(np.array(labels, number))
        with pytest.raises(LabelError) as compiled:
            step(x, bad)
        with pytest.raises(LabelError) as eager:
            plain(x, bad)
        assert message(compiled) == message(eager) and "E09" in str(compiled.value)
        for p, old in zip(model.parameters(), before, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), old)
    step(x, good)
    assert any((p.detach().numpy() != old).any() for p, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.2}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ignored_rows_that_no_trace_could_know_of(options, dtype):
    ignored = options.get("ignore_index", -100)

    def f(x, target):
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(x, target, **options)
        loss.sum().backward()
        return loss, x.grad

    step = gradus.compile(f)
    for labels in ([0, 2, 0, 2], [0, 2, 0, 2], [0, ignored, 2, ignored], [ignored, 0, 0, 0], [2, 2, 0, 0], [ignored] * 4):
        x, target = wrap(numbers(4, 3, dtype=dtype)), wrap(np.array(labels))
        for got, expected in zip(step(x, target), f(x, target), strict=True):
            tolerance = 1e-12 if dtype == "float64" else 2e-6
            np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_labels_are_checked_where_no_loss_is_used():
    step = gradus.compile(lambda x, target: (F.cross_entropy(x, target), x * 2)[1])
    x = wrap(numbers(2, 3))
    for _ in range(3):
        step(x, wrap(np.array([0, 1])))
    with pytest.raises(LabelError):
        step(x, wrap(np.array([0, 3])))


@pytest.mark.parametrize("wrong", [5, -1])
def test_row_numbers_of_an_embedding_are_checked(wrong):
    table = nn.Embedding(5, 4)
    optimizer = optim.SGD(table.parameters(), lr=0.1)

    def plain(i):
        loss = (table(i) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = gradus.compile(plain)
    for _ in range(3):
        step(Tensor([[0, 4], [2, 2]]))
    before, bad = table.weight.detach().numpy().copy(), Tensor([[0, 1], [wrong, 2]])
    with pytest.raises(IndexRangeError) as compiled:
        step(bad)
    with pytest.raises(IndexRangeError) as eager:
        plain(bad)
    assert message(compiled) == message(eager) and "E41" in str(compiled.value)
    np.testing.assert_array_equal(table.weight.detach().numpy(), before)
