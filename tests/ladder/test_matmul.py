"""Every version of the matrix product against exact integer arithmetic and against PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from gradus.ladder import matmul as rung
from gradus.ladder import matmul_timings

SHAPES = [(4, 3, 2), (1, 1, 1), (5, 784, 10), (2, 1, 3), (3, 0, 2), (0, 3, 2), (3, 2, 0)]
ON_ARRAYS = {name: version for name, version in rung.VERSIONS.items() if version is not rung.loops_over_lists}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ON_ARRAYS)
def test_versions_agree_exactly_on_integers(name: str, shape: tuple[int, int, int]) -> None:
    n, m, l = shape
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 10, (n, m)), rng.integers(-9, 10, (m, l))
    # The definition in Python's own integers.
    expected = [[sum(int(a[i, k]) * int(b[k, j]) for k in range(m)) for j in range(l)] for i in range(n)]
    c = ON_ARRAYS[name](a, b)
    assert (c.tolist(), c.shape, c.dtype) == (expected, (n, l), np.int64)
    if m:  # without rows of b a list does not know how many columns there would be
        assert rung.loops_over_lists(a.tolist(), b.tolist()) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ON_ARRAYS)
def test_versions_agree_with_pytorch(name: str, dtype: type) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((5, 784)).astype(dtype), rng.standard_normal((784, 10)).astype(dtype)
    c = ON_ARRAYS[name](a, b)
    assert c.dtype == dtype
    exact = torch.from_numpy(a).double() @ torch.from_numpy(b).double()
    np.testing.assert_allclose(c, exact.numpy(), atol=784 * np.finfo(dtype).eps)
    rung.test_near(c, (torch.from_numpy(a) @ torch.from_numpy(b)).numpy())
    strided = ON_ARRAYS[name](a[::2, ::-1], b[::-1, 1::3])
    np.testing.assert_allclose(strided, (exact[::2][:, 1::3]).numpy(), atol=784 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", rung.VERSIONS)
def test_shapes_that_do_not_fit_are_told_with_both_numbers(name: str) -> None:
    a, b = np.ones((2, 3)), np.ones((4, 5))
    text = "Dimension mismatch for A and B: 3 != 4" if name == "three loops, arrays" else "Inner dimensions must match: 3 not equal to 4"
    operands = (a.tolist(), b.tolist()) if rung.VERSIONS[name] is rung.loops_over_lists else (a, b)
    with pytest.raises(ValueError) as caught:
        rung.VERSIONS[name](*operands)
    assert str(caught.value) == text


def test_the_worked_example() -> None:
    a, b = [[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]], [[1, 1], [2, 2], [3, 3]]
    assert rung.loops_over_lists(a, b) == [[6, 6], [12, 12], [18, 18], [24, 24]]
    assert rung.summands(a, b, 2, 0) == [3, 6, 9]
    assert sum(rung.summands(a, b, 2, 0)) == 18
    with pytest.raises(ValueError, match="3 not equal to 2"):
        rung.summands(a, [[1], [2]], 0, 0)


def test_star_is_not_dot() -> None:
    a, b = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    assert rung.library(a, b).tolist() == a.dot(b).tolist() == [[19, 22], [43, 50]]
    assert (a * b).tolist() == [[5, 12], [21, 32]]
    with pytest.raises(ValueError, match="3 not equal to 2"):
        rung.library(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("seed", range(3))
def test_threads_of_a_grid_need_no_order_and_stay_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((3, 6)), rng.standard_normal((6, 5))
    memory = np.full((4, 6), -1.0)
    c = memory[:3, :5]
    c[...] = 0
    rung.launch_kernel(rung.matmul, 8, 8, a, b, c, rng=rng)
    np.testing.assert_allclose(c, a @ b, rtol=1e-13, atol=1e-14)
    assert (memory[3] == -1).all() and (memory[:, 5] == -1).all()


def test_a_kernel_is_launched_once_for_each_place() -> None:
    for rng in (None, np.random.default_rng(0)):
        places: list = []
        rung.launch_kernel(lambda grid, record: record.append(grid), 2, 3, places, rng=rng)
        assert sorted(places) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_timings_have_a_row_for_each_version() -> None:
    rows = matmul_timings.timings()
    assert [row.name for row in rows] == list(rung.VERSIONS)
    seconds = {row.name: row.seconds for row in rows}
    assert all(row.seconds > 0 for row in rows)
    assert {row.name: row.ratio for row in rows} == pytest.approx({name: max(seconds.values()) / value for name, value in seconds.items()})


def lines_of_python(version: Callable, n: int, m: int, l: int) -> int:
    """How many lines the interpreter runs for (n, m) @ (m, l)."""
    lines = 0

    def note(frame: object, event: str, _: object) -> Callable:
        nonlocal lines
        lines += event == "line"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        version(np.ones((n, m)), np.ones((m, l)))
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "name, loops",
    [("three loops, arrays", "nml"), ("row * column", "nl"), ("broadcasting", "n"), ("einsum", ""), ("library", "")],
)
def test_each_step_takes_a_loop_out_of_python(name: str, loops: str) -> None:
    """What Python has to do grows with the lengths that it loops over, and with no other."""
    lengths = {"n": 3, "m": 4, "l": 5}
    least = lines_of_python(rung.VERSIONS[name], **lengths)
    grown = {letter: lines_of_python(rung.VERSIONS[name], **{**lengths, letter: 3 * length}) for letter, length in lengths.items()}
    assert "".join(letter for letter in "nml" if grown[letter] > least) == loops
    assert all(grown[letter] == least for letter in "nml" if letter not in loops)


def test_a_version_that_is_wrong_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rung.VERSIONS, "wrong", lambda a, b: (a @ b) * 1.01)
    with pytest.raises(AssertionError, match="wrong"):
        matmul_timings.timings((3, 4, 5), ["wrong"])


@pytest.mark.slow
def test_all_of_mnist_at_once() -> None:
    rows = matmul_timings.timings((50_000, 784, 10), matmul_timings.PRINTED_FULL)  # which compares each product with the library's
    assert [row.name for row in rows] == list(matmul_timings.PRINTED_FULL)


def test_what_was_printed_names_versions_that_exist() -> None:
    for printed in [*matmul_timings.PRINTED.values(), matmul_timings.PRINTED_FULL]:
        assert set(printed) <= set(rung.VERSIONS)
        assert list(printed.values()) == sorted(printed.values(), reverse=True) or printed is matmul_timings.PRINTED_FULL
    chapter = matmul_timings.PRINTED["chapter 17, 2020"]
    assert [round(chapter["three loops, arrays"] / chapter[name], -2) for name in ("row * column", "broadcasting")] == [700, 3200]


def fails(call: Callable, *args: object) -> bool:
    try:
        call(*args)
    except AssertionError:
        return True
    return False


def test_the_five_test_functions_can_fail() -> None:
    rung.test_eq([1, 2], [1, 2])
    assert fails(rung.test_eq, 1, 2)
    rung.test(1, 2, lambda a, b: a < b)
    assert fails(rung.test, 2, 1, lambda a, b: a < b)
    rung.test_near([1.0, 100.0], [1.0009, 100.09])
    assert fails(rung.test_near, [1.0], [1.0011])
    assert fails(rung.test_near, np.ones((3, 1)), np.ones(3))  # allclose alone broadcasts
    assert fails(rung.test_near, [np.nan], [np.nan])
    rung.test_near_zero([0.0, -9e-4])
    assert fails(rung.test_near_zero, [0.0, -1.1e-3])
    assert fails(rung.test_near_zero, [np.nan])
    # A gradient of 0.01 with an error of 8 %: near zero in the difference, but not near.
    rung.test_near_zero(0.0108 - 0.01)
    assert fails(rung.test_near, 0.0108, 0.01)


def test_a_test_shows_what_it_compared() -> None:
    with pytest.raises(AssertionError, match="==:\n1\n2"):
        rung.test_eq(1, 2)
    with pytest.raises(AssertionError, match="near:\n3\n4"):
        rung.test_near(3, 4)
