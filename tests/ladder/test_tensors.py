"""Tensors over flat memory, against PyTorch: values, shapes, strides, storage and the texts of errors."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest

from gradus.ladder.broadcasting import alignment, broadcast_shape, explain_broadcasting
from gradus.ladder.tensors import Tensor, tensor
from gradus.ladder.tensors_at_work import loss_trap, normalize, questionnaire

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this rung")


def same(ours: Tensor, theirs: Any, **tolerance: float) -> None:
    """Equal values, shapes and types."""
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.memory.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), **({"rtol": 0} | tolerance))


def both(data: Any) -> tuple[Tensor, Any]:
    return tensor(data), torch.tensor(data)


A, B, C = [10.0, 6, -4], [2.0, 8, 7], [10.0, 20, 30]
M = [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]


# --- element by element


@pytest.mark.parametrize("data", [A, [[1, 2], [3, 4]], True, 3, 2.5, [True, False], [1, 2.5], [[]]], ids=str)
def test_types_are_those_of_pytorch(data: Any) -> None:
    same(*both(data))
    assert tensor(data).stride() == torch.tensor(data).stride() or not np.size(data)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "gt", "lt", "eq"])
def test_operators_work_element_by_element(name: str) -> None:
    apply = getattr(operator, name)
    (a, ta), (b, tb), (m, tm) = both(A), both(B), both(M)
    same(apply(a, b), apply(ta, tb))
    same(apply(m, m), apply(tm, tm))
    for number in (5, 2.73):
        same(apply(a, number), apply(ta, number))
        same(apply(number, a), apply(number, ta), rtol=1.2e-7)  # PyTorch divides by multiplying with the reciprocal
    ints, tints = both([[1, 0, 3]])
    for (x, tx), (y, ty) in [((ints, tints), (a, ta)), ((a, ta), (ints, tints)), ((ints, tints), (2, 2)), ((ints, tints), (0.5, 0.5))]:
        same(apply(x, y), apply(tx, ty))


def test_the_documents_values() -> None:
    a, b = tensor(A), tensor(B)
    assert repr(a + b) == "tensor([12., 14.,  3.])"
    assert repr(a < b) == "tensor([False,  True,  True])"
    assert repr(((a < b).all(), (a == b).all())) == "(tensor(False), tensor(False))"
    assert repr(a > 0) == "tensor([ True,  True, False])"
    m = tensor(M)
    assert repr(m * m) == repr(torch.tensor(M) * torch.tensor(M))
    assert repr((m - 5) / 2.73) == repr((torch.tensor(M) - 5) / 2.73)
    assert "[-1.4652, -1.0989, -0.7326]" in repr((m - 5) / 2.73)


def test_a_python_number_does_not_change_the_type_or_lose_bits() -> None:
    x = np.array([0.1, 1.0])
    assert (tensor(x) == 0.1).tolist() == [True, False]
    assert (tensor(x) * 0.1).numpy().tolist() == (x * 0.1).tolist()
    assert (tensor([0.5]) * np.float64(2)).memory.dtype == np.float32
    left = np.float64(2) * tensor([0.5])
    assert isinstance(left, Tensor) and left.tolist() == [1.0]


def test_a_reduction_is_of_rank_0_and_item_makes_it_a_number() -> None:
    a, b = tensor(A), tensor(B)
    assert (a + b).mean().shape == (a < b).all().shape == ()
    number = (a + b).mean().item()
    assert (type(number), number) == (float, 9.666666984558105)
    assert tensor(np.array(A) + np.array(B)).mean().item() == 29 / 3  # float64 gives another number
    assert type((a < b).all().item()) is bool
    assert bool((a == a).all()) is True
    with pytest.raises(RuntimeError, match="a Tensor with 3 elements cannot be converted to Scalar"):
        a.item()
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(a == b)


def test_std_is_unbiased_unless_told_otherwise() -> None:
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    mine, theirs = tensor(x), torch.from_numpy(x)
    assert mine.std().item() == pytest.approx(theirs.std().item(), rel=1e-6)
    assert mine.std(unbiased=False).item() == pytest.approx(x.std(), rel=1e-6)  # NumPy's
    assert mine.std().item() / mine.std(unbiased=False).item() == pytest.approx(math.sqrt(9 / 8))
    assert math.isnan(tensor([1.0]).std().item())
    assert tensor([1.0]).std(unbiased=False).item() == 0
    for axis in (0, 1):
        same(mine.sum(axis), theirs.sum(axis), rtol=1e-6)
        same(mine.mean(axis), theirs.mean(axis), rtol=1e-6)


# --- broadcasting

SHAPES = [(), (1,), (2,), (3,), (0,), (1, 1), (2, 3), (3, 1), (1, 3), (3, 3), (0, 3), (2, 1, 3), (4, 3, 1), (4, 2, 3)]


@pytest.mark.parametrize("a", SHAPES, ids=str)
@pytest.mark.parametrize("b", SHAPES, ids=str)
def test_shapes_meet_as_in_pytorch_or_fail_in_its_words(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = torch.arange(math.prod(a)).reshape(a), torch.arange(math.prod(b)).reshape(b) * 10
    ours, theirs = outcome(tensor(x.numpy()), tensor(y.numpy())), outcome(x, y)
    explanation = explain_broadcasting(a, b)
    assert [row.axis for row in explanation.rows] == list(range(max(len(a), len(b))))
    if isinstance(theirs, str):
        assert ours == theirs == explanation.error
        assert explanation.shape is None
    else:
        same(ours, theirs)
        assert explanation.shape == broadcast_shape(a, b) == tuple(theirs.shape)
        assert explanation.error == ""


def outcome(x: Any, y: Any) -> Any:
    """The sum, or the text of its error."""
    try:
        return x + y
    except RuntimeError as error:
        return str(error)


def test_the_documents_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        tensor(M) * tensor([[1.0, 2, 3], [4, 5, 6]])
    assert str(caught.value) == "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0"
    with pytest.raises(RuntimeError) as caught:
        tensor([10.0, 20]) + tensor([[1.0, 2, 3], [4, 5, 6]])
    assert str(caught.value) == "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1"


def test_each_axis_says_why() -> None:
    assert [row.why for row in explain_broadcasting((4, 1, 3, 5), (2, 3, 4)).rows] == [
        "b has no axis here: it counts as 1, repeated 4 times",
        "a is 1, repeated 2 times",
        "equal",
        "5 is not 4, and neither is 1",
    ]
    last = explain_broadcasting((256, 256, 3), (256, 256)).rows[-1]
    assert last == (2, 3, 256, None, "3 is not 256, and neither is 1")


def test_the_tables_of_the_chapter() -> None:
    assert alignment((256, 256, 3), (3,), ("Image", "Scale")) == [
        "Image  (3d tensor): 256 x 256 x 3",
        "Scale  (1d tensor): (1) x (1) x 3",
        "Result (3d tensor): 256 x 256 x 3",
    ]
    assert alignment((3, 3), (3,), ("Matrix", "Vector")) == [
        "Matrix (2d tensor):   3 x 3",
        "Vector (1d tensor): (1) x 3",
        "Result (2d tensor):   3 x 3",
    ]
    assert alignment((256, 256, 3), (256, 256))[-1] == "Result (error)    : 256 x 256 x   ?"


def test_a_vector_meets_a_matrix_in_either_order() -> None:
    m, c = tensor(M), tensor(C)
    assert (m + c).tolist() == [[11, 22, 33], [14, 25, 36], [17, 28, 39]]
    assert (m + c == c + m).all().item() is True
    assert (tensor([[1.0, 2, 3], [4, 5, 6]]) + c).tolist() == [[11, 22, 33], [14, 25, 36]]
    assert (c.unsqueeze(1) + m).tolist() == [[11, 12, 13], [24, 25, 26], [37, 38, 39]]
    assert (c.expand_as(m) + m == c + m).all().item() is True


# --- memory, strides and indexing


def test_expand_repeats_by_a_stride_of_0() -> None:
    c, m = tensor(C), tensor(M)
    for view, strides in [(c.expand_as(m), (0, 1)), (c.unsqueeze(1).expand_as(m), (1, 0))]:
        assert (view.stride(), view.shape) == (strides, (3, 3))
        assert view.storage() is c.storage()
        assert view.storage().tolist() == [10.0, 20.0, 30.0]
    assert c.expand_as(m).tolist() == [C] * 3
    assert c.expand_as(m).numpy().strides == (0, 4)  # bytes
    assert not c.expand_as(m).numpy().flags.writeable
    with pytest.raises(RuntimeError) as caught:
        c.expand(3, 2)
    with pytest.raises(RuntimeError) as theirs:
        torch.tensor(C).expand(3, 2)
    assert str(caught.value) == str(theirs.value)
    with pytest.raises(RuntimeError, match="1 sizes for a tensor of 2"):
        m.expand(3)


EVERY = slice(None)
INDICES: list[Any] = [0, -1, EVERY, None, ..., (EVERY, 1), (None, EVERY), (EVERY, None), (..., None), (None, ..., None), (1, None, 2)]
INDICES += [(EVERY, None, slice(1, None)), slice(1, 3), (slice(None, None, 2), slice(-2, None)), (slice(5, 2),), (0, ..., -1)]
INDICES += [(..., 1), (None, 0), (1, 1, ...), (slice(2, 0),)]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_indexing_makes_the_views_that_pytorch_makes(index: Any, transposed: bool) -> None:
    x, tx = both([[float(10 * i + j) for j in range(4)] for i in range(3)])
    x, tx = (x.t(), tx.t()) if transposed else (x, tx)
    ours, theirs = x[index], tx[index]
    same(ours, theirs)
    assert ours.stride() == theirs.stride()
    assert ours.storage() is x.storage()
    if theirs.numel():
        assert ours.offset == theirs.storage_offset()


def test_a_step_backwards_works_too() -> None:
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(tensor(x)[::-1, ::-2].numpy(), x[::-1, ::-2])


def test_indices_that_do_not_fit_are_refused() -> None:
    m, tm = both(M)
    for index in [(0, 0, 0), 3, (0, -4)]:
        with pytest.raises(IndexError) as theirs:
            tm[index]
        with pytest.raises(IndexError) as ours:
            m[index]
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(IndexError, match="at most once"):
        m[..., ...]


def test_none_and_unsqueeze_are_the_same() -> None:
    c = tensor(C)
    assert [x.shape for x in (c.unsqueeze(0), c.unsqueeze(1), c[None, :], c[:, None], c[None], c[..., None])] == [(1, 3), (3, 1)] * 3 == [
        (1, 3), (3, 1), (1, 3), (3, 1), (1, 3), (3, 1)
    ]  # fmt: skip
    m, tm = both(M)
    for axis in (-3, -1, 0, 1, 2):
        same(m.unsqueeze(axis), tm.unsqueeze(axis))
        assert m.unsqueeze(axis).stride() == tm.unsqueeze(axis).stride()
    for axis in (3, -4):
        with pytest.raises(IndexError) as ours:
            m.unsqueeze(axis)
        with pytest.raises(IndexError) as theirs:
            tm.unsqueeze(axis)
        assert str(ours.value) == str(theirs.value)


def test_squeeze_without_an_axis_takes_the_batch_too() -> None:
    for n in (1, 4):
        x, tx = both([[float(i)] for i in range(n)])
        same(x.squeeze(), tx.squeeze())
        same(x.squeeze(1), tx.squeeze(1))
        same(x.squeeze(-2), tx.squeeze(-2))
        assert x.squeeze(1).shape == (n,)
    assert tensor([[1.0]]).squeeze().shape == ()
    with pytest.raises(IndexError, match="out of range"):
        tensor([[1.0]]).squeeze(2)


def test_a_transpose_swaps_strides() -> None:
    x, tx = both([[1.0, 2, 3], [4, 5, 6]])
    same(x.t(), tx.t())
    assert x.t().stride() == tx.t().stride() == (1, 3)
    assert x.t().storage() is x.storage()
    with pytest.raises(RuntimeError, match="<= 2 dimensions, but self is 3D"):
        x[None].t()


def test_a_dense_layer_is_a_product_with_the_transpose() -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(5, 7), (3, 7), (3,)])
    expected = torch.nn.functional.linear(*map(torch.from_numpy, (x, w, b)))
    same(tensor(x) @ tensor(w).t() + tensor(b), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="7 not equal to 3"):
        tensor(x) @ tensor(w)


# --- what it is good for, and what it hides


def test_images_are_normalized_by_channel() -> None:
    assert broadcast_shape((64, 3, 256, 256), (1, 3, 1, 1)) == (64, 3, 256, 256)
    with pytest.raises(RuntimeError, match=r"a \(256\) must match the size of tensor b \(3\) at non-singleton dimension 3"):
        broadcast_shape((64, 3, 256, 256), (3,))
    rng = np.random.default_rng(0)
    images = (rng.standard_normal((64, 3, 9, 8)) * [[[1.0]], [[2.0]], [[3.0]]] + [[[-1.0]], [[0.0]], [[5.0]]]).astype(np.float32)
    mean, std = images.mean((0, 2, 3)), images.std((0, 2, 3))
    for make in (tensor, np.array, torch.tensor):
        done = normalize(make(images), make(mean), make(std))
        values = done if isinstance(done, np.ndarray) else done.numpy()
        assert values.shape == images.shape and values.dtype == np.float32
        np.testing.assert_allclose(values.mean((0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(values.std((0, 2, 3)), 1, rtol=1e-5)


def test_the_whole_batch_of_the_exercise() -> None:
    images = tensor(np.full((64, 3, 256, 256), 3, np.float32))
    done = normalize(images, tensor([1.0, 2.0, 3.0]), tensor([2.0, 4.0, 8.0]))
    assert done.shape == (64, 3, 256, 256)
    assert done[5, :, 7, 11].tolist() == done[63, :, 255, 255].tolist() == [1.0, 0.25, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_the_trap_of_a_column_less_a_row(seed: int) -> None:
    trap = loss_trap(50, seed)
    targets = np.random.default_rng(seed).standard_normal(50)
    assert trap.shape == (50, 50)
    assert trap.value == pytest.approx(2 * targets.var(), rel=1e-5)
    assert trap.meant == 0
    assert explain_broadcasting((10, 1), (50,)).shape == (10, 50)  # the mistake stays silent


def test_the_questionnaire() -> None:
    answers = {answer.question: answer.result for answer in questionnaire()}
    assert answers == {
        6: "(1, 3)",
        11: "tensor(False)",
        12: "9.666666984558105",
        13: "tensor([2, 3])",
        14: "RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0",
        17: "tensor(True)",
        18: repr(torch.tensor(M) + torch.tensor(C)[:, None]),
        19: "((1, 3), (3, 1), (1, 3), (3, 1))",
        20: "array([10., 20., 30.], dtype=float32)",
        21: "tensor([14., 25., 36.])",
        22: "(12, 12000)",
        32: "((), (1,))",
    }
