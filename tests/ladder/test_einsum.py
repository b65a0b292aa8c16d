"""The small einsum against NumPy's and PyTorch's, and the rules as they are."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.ladder.einsum import BY_LIBRARY, einsum, einsum_timings, explain_einsum, parse, rules_at_work

EQUATIONS = ["ik,kj->ij", "ij->ji", "bi,ij,bj->b", "bik,bkj->bij", "ij->", "ij->i", "ii->i", "ii->", "i,j->ij", "i,i,i->", "i,->i", "ij,jk"]
EQUATIONS += ["ba", "iij,j->ij", "->"]
LENGTH = {"b": 4, "i": 3, "j": 2, "k": 5, "a": 2}


def draw(equation: str, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.integers(-9, 10, [LENGTH[letter] for letter in term])) for term in equation.split("->")[0].split(",")]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_loops_give_what_numpy_and_pytorch_give(equation: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    operands = draw(equation)
    y = einsum(equation, *operands)
    np.testing.assert_array_equal(y, np.einsum(equation, *operands), strict=True)
    np.testing.assert_array_equal(y, torch.einsum(equation, *map(torch.tensor, operands)).numpy())
    floats = [x.astype(np.float32) for x in operands]
    assert einsum(equation, *floats).dtype == np.float32


def test_the_chapters_equations_by_other_means() -> None:
    a, b, c = draw("bi,ij,bj->b")
    expected = [sum(a[k, i] * b[i, j] * c[k, j] for i in range(3) for j in range(2)) for k in range(4)]
    assert einsum("bi,ij,bj->b", a, b, c).tolist() == expected
    np.testing.assert_array_equal(einsum("ij->ji", b), b.T)
    a, b = draw("bik,bkj->bij")
    np.testing.assert_array_equal(einsum("bik,bkj->bij", a, b), np.stack([x @ y for x, y in zip(a, b)]))


def test_the_empty_sum_is_0() -> None:
    assert einsum("ik,kj->ij", np.ones((2, 0)), np.ones((0, 3))).tolist() == [[0.0] * 3] * 2


def test_the_rules_as_they_are() -> None:
    a, u = np.array([[1, 2], [3, 4]]), np.array([1, 2])
    cases = rules_at_work()
    assert [case.rule for case in cases] == [1, 1, 2, 3]
    for case in cases:
        operands = [a if len(term) == 2 else u for term in parse(case.equation).operands]
        assert case.result == np.einsum(case.equation, *operands).tolist()
    assert [case.equation for case in cases if case.says.startswith("forbidden")] == ["i,i,i->", "ij->i"]


def test_an_equation_is_explained() -> None:
    assert explain_einsum("ik,kj->ij") == "y[i, j] = sum over k of a[i, k] * b[k, j]"
    assert explain_einsum("bik,bkj->bij") == "y[b, i, j] = sum over k of a[b, i, k] * b[b, k, j]"
    assert explain_einsum(" i , i -> ") == "y[] = sum over i of a[i] * b[i]"


@pytest.mark.parametrize(
    "equation, shapes, text",
    [
        ("ik,kj->ij", [(2, 3), (4, 5)], "k is 3 in one place and 4 in another"),
        ("ii->", [(2, 3)], "i is 2 in one place and 3 in another"),
        ("ik,kj->ij", [(2, 3)], "letters for 2 operands, 1 are given"),
        ("ij->i", [(2, 3, 4)], r"ij names 2 axes, the operand has shape \(2, 3, 4\)"),
        ("ij->ik", [(2, 3)], "k is to be on the left"),
        ("ij->ii", [(2, 3)], "once on the right"),
    ],
)
def test_what_does_not_fit_is_told(equation: str, shapes: list[tuple[int, ...]], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        einsum(equation, *(np.ones(shape) for shape in shapes))
    with pytest.raises(ValueError):
        np.einsum(equation, *(np.ones(shape) for shape in shapes))


def test_the_library_writes_the_same() -> None:
    for equation, call in BY_LIBRARY.items():
        np.testing.assert_array_equal(call(*draw(equation)), einsum(equation, *draw(equation)))


def test_the_rows_of_the_clock() -> None:
    rows = einsum_timings([2, 3], ["ik,kj->ij", "bi,ij,bj->b"])
    assert [(row.equation, row.size) for row in rows] == [("ik,kj->ij", 2), ("ik,kj->ij", 3), ("bi,ij,bj->b", 2), ("bi,ij,bj->b", 3)]
    assert min(min(row[2:]) for row in rows) > 0


def test_einsum_without_optimize_does_not_call_the_library() -> None:
    """Seen by the last bits: the library adds up in another order. Asked to optimise, einsum has the library's bits."""
    a, b = np.random.default_rng(0).standard_normal((2, 250, 250), dtype=np.float32)
    of_the_library = [a @ b, (b.T @ a.T).T]
    plain, optimized = (np.einsum("ik,kj->ij", a, b, optimize=choice) for choice in (False, True))
    np.testing.assert_allclose(plain, optimized, rtol=0, atol=1e-4 * np.sqrt(250))
    assert not any(np.array_equal(plain, product) for product in of_the_library)
    assert any(np.array_equal(optimized, product) for product in of_the_library)
