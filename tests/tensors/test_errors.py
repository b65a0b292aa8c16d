"""Mistakes with tensors end in typed errors that say what, got, wanted, where (the user's own line), why, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus.errors import AliasError, DTypeError, GradError, GradusError, IndexRangeError, ShapeError, UsageError


def leaf(*shape: int) -> Any:
    return gradus.ones(*shape, requires_grad=True)


def saved_then_written() -> Any:
    y = leaf(3) * 2
    z = y * y  # the line that saves
    y += 1  # the line that writes
    z.sum().backward()


def stale_output() -> Any:
    y = leaf(3).exp()
    y.add_(1)
    y.sum().backward()


def twice() -> Any:
    loss = (leaf(3) ** 2).sum()
    loss.backward()
    loss.backward()


def under_no_grad() -> Any:
    with gradus.no_grad():
        (leaf(3) * 2).sum().backward()


# code, class, what the message says (pattern), the mistake.
CASES: list[tuple[str, type[Exception], str, Callable[[], Any]]] = [
    (
        "E03",
        ShapeError,
        r"tensor a \(3\) must match.*tensor b \(2\).*dimension 0[\s\S]*got: .*\(3,\) float32",
        lambda: gradus.ones(3) + gradus.ones(2),
    ),
    (
        "E03",
        ShapeError,
        r"tensor a \(3\).*tensor b \(2\).*dimension 1[\s\S]*fix: .*b\[:, None\]",
        lambda: gradus.ones(2, 3) * gradus.ones(2),
    ),
    ("E03", ShapeError, r"tensor a \(3\)", lambda: gradus.where(gradus.ones(2, 3) > 0, gradus.ones(2, 3), gradus.ones(2))),
    ("E03", ShapeError, r"cannot be multiplied \(2x3 and 2x3\)[\s\S]*fix: .*a @ b.mT", lambda: gradus.ones(2, 3) @ gradus.ones(2, 3)),
    ("E03", ShapeError, r"at least 1D", lambda: gradus.ones(3) @ gradus.tensor(1.0)),
    ("E03", ShapeError, r"invalid for input of size 12[\s\S]*fix: .*x\.reshape\(-1\)$", lambda: gradus.ones(3, 4).reshape(5)),
    ("E03", ShapeError, r"invalid for input of size 12[\s\S]*fix: .*x\.reshape\(2, -1\)$", lambda: gradus.ones(3, 4).reshape(2, 5)),
    ("E03", ShapeError, r"invalid for input of size 6[\s\S]*6 elements[\s\S]*fix:", lambda: gradus.ones(2, 3).reshape(4, 2)),
    ("E03", ShapeError, r"shape '\[4, -1\]'", lambda: gradus.ones(2, 3).view(4, -1)),
    ("E03", ShapeError, r"must match except in dimension 0", lambda: gradus.cat([gradus.ones(2, 3), gradus.ones(2, 4)])),
    ("E03", ShapeError, r"equal size", lambda: gradus.stack([gradus.ones(2), gradus.ones(3)])),
    ("E03", ShapeError, r"broadcast", lambda: gradus.ones(2, 3).expand(4, 3)),
    (
        "E03",
        ShapeError,
        r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]",
        lambda: gradus.ones(3).add_(gradus.ones(2, 3)),
    ),
    ("E03", ShapeError, r"could not broadcast|value", lambda: gradus.ones(2, 3).__setitem__(0, gradus.ones(2))),
    ("E03", ShapeError, r"einsum", lambda: gradus.einsum("ij,jk->ik", gradus.ones(2, 3), gradus.ones(2, 3))),
    ("E03", ShapeError, r"split", lambda: gradus.ones(6).split([1, 2])),
    ("E03", ShapeError, r"t\(\) expects", lambda: gradus.ones(1, 2, 3).t()),
    ("E03", ShapeError, r"permute", lambda: gradus.ones(2, 3).permute(0, 0)),
    ("E03", ShapeError, r"bmm", lambda: gradus.ones(2, 3).bmm(gradus.ones(3, 2))),
    ("E14", DTypeError, r"can't be cast to the desired output type int64[\s\S]*fix: .*float", lambda: gradus.arange(3).add_(0.5)),
    ("E14", DTypeError, r"floating point dtype\. Got: int64[\s\S]*fix: .*x\.float\(\)\.mean\(\)", lambda: gradus.arange(3).mean()),
    ("E14", DTypeError, r"boolean", lambda: gradus.where(gradus.ones(2), 1.0, 0.0)),
    ("E14", DTypeError, r"numpy boolean|subtract", lambda: gradus.tensor([True]) - gradus.tensor([True])),
    ("E14", DTypeError, r"out of bounds for uint8", lambda: gradus.ones(2, dtype=gradus.uint8) * -1),
    (
        "E18",
        AliasError,
        r"modified by an inplace operation: multiply[\s\S]*got: .*written at .*test_errors\.py:\d+ in saved_then_written"
        r"[\s\S]*saved at .*test_errors\.py:\d+ in saved_then_written[\s\S]*fix: .*clone",
        saved_then_written,
    ),
    ("E18", AliasError, r"more than one element[\s\S]*clone", lambda: gradus.ones(3, 1).expand(3, 2).add_(1)),
    ("E20", GradError, r"a leaf Variable that requires grad[\s\S]*fix: .*no_grad", lambda: leaf(3).add_(1)),
    ("E20", GradError, r"a leaf Variable", lambda: leaf(3).__setitem__(0, 1.0)),
    ("E20", GradError, r"a leaf Variable", lambda: leaf(3)[0].zero_()),
    (
        "E21",
        GradError,
        r"implicitly created only for scalar outputs[\s\S]*got: .*\(3,\)[\s\S]*fix: .*loss\.mean\(\)\.backward\(\)",
        lambda: (leaf(3) * 2).backward(),
    ),
    ("E21", GradError, r"does not require grad[\s\S]*why: .*detach", lambda: gradus.ones(3).sum().backward()),
    ("E21", GradError, r"does not require grad[\s\S]*detach", lambda: leaf(3).detach().sum().backward()),
    ("E21", GradError, r"does not require grad[\s\S]*no_grad", under_no_grad),
    ("E21", GradError, r"int64[\s\S]*integer", lambda: leaf(3).long().sum().backward()),
    ("E21", GradError, r"only Tensors of floating point dtype can require gradients", lambda: gradus.arange(3).requires_grad_()),
    ("E21", GradError, r"gradient of shape \(2,\), output of shape \(3,\)", lambda: (leaf(3) * 2).backward(gradus.ones(2))),
    ("E21", GradError, r"not have been used in the graph", lambda: gradus.autograd.grad(leaf(3).sum(), leaf(3))),
    ("E21", GradError, r"requires grad[\s\S]*detach\(\)\.numpy\(\)", lambda: leaf(3).numpy()),
    ("E21", GradError, r"only leaves", lambda: (leaf(3) * 2).requires_grad_(False)),
    ("E22", GradError, r"second time[\s\S]*retain_graph=True", twice),
    ("E41", IndexRangeError, r"index 5 is out of bounds for axis 0 with size 3", lambda: gradus.ones(3)[gradus.tensor([0, 5])]),
    ("E41", IndexRangeError, r"index 3 is out of bounds", lambda: gradus.ones(3)[3]),
    ("E41", IndexRangeError, r"index 9", lambda: gradus.ones(2, 3).gather(1, gradus.tensor([[9]]))),
    ("E41", IndexRangeError, r"index -7", lambda: gradus.ones(3).index_select(0, gradus.tensor([-7]))),
    ("E41", IndexRangeError, r"index 4", lambda: gradus.ones(3).__setitem__(4, 1.0)),
    ("E41", IndexRangeError, r"k = 9", lambda: gradus.ones(3).topk(9)),
    ("E45", UsageError, r"Boolean value.*ambiguous[\s\S]*fix: .*all\(\)", lambda: bool(gradus.ones(3) == 1)),
    ("E45", UsageError, r"3 elements cannot be converted", lambda: gradus.ones(3).item()),
    ("E45", UsageError, r"Boolean value of Tensor with no values", lambda: bool(gradus.ones(0))),
]


@pytest.mark.parametrize("code, kind, pattern, mistake", CASES, ids=[f"{code}-{number}" for number, (code, *_) in enumerate(CASES)])
def test_mistake(code: str, kind: type[Exception], pattern: str, mistake: Callable[[], Any]) -> None:
    with pytest.raises(GradusError) as caught:
        mistake()
    error = caught.value
    text = str(error)
    assert type(error) is kind, text
    assert error.code == code, text
    assert text.startswith(f"[{code}] ")
    assert re.search(pattern, text), text
    assert "test_errors.py" in error.where, f"where is {error.where}"
    assert error.got, text
    assert error.wanted or error.why or error.fix, text
    assert error.__cause__ is None, "the user sees one error"


def test_the_errors_are_those_that_pytorch_code_catches() -> None:
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind):
            gradus.ones(2) + gradus.ones(3)
    with pytest.raises(RuntimeError):
        gradus.ones(2).sum().backward()
    with pytest.raises(IndexError):
        gradus.ones(2)[5]
    with pytest.raises(TypeError):
        gradus.arange(3).mean()


@pytest.mark.parametrize(
    "call",
    [
        lambda: gradus.ones(2, 3).sum(dim=2),
        lambda: gradus.ones(2, 3).sum(5),
        lambda: gradus.ones(2, 3).mean(-3),
        lambda: gradus.ones(2).unsqueeze(4),
        lambda: gradus.ones(2, 3).transpose(0, 2),
        lambda: gradus.softmax(gradus.ones(2), 1),
        lambda: gradus.cat([gradus.ones(2)], 1),
        lambda: gradus.ones(2, 3).sort(2),
    ],
)
def test_a_dim_out_of_range_is_an_index_error(call: Callable[[], Any]) -> None:
    with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-\d, \d\], but got"):
        call()


def test_arrays_that_are_no_tensors() -> None:
    for data in ("text", [1, "a"], [[1], [1, 2]], np.array([object()]), 1j, {"a": 1}):
        with pytest.raises(DTypeError):
            gradus.tensor(data)


@pytest.mark.parametrize(
    "create",
    [gradus.zeros, gradus.randn, lambda *n, device: gradus.tensor(n, device=device), lambda *n, device: gradus.full(n, 1.0, device=device)],
)
def test_no_tensor_claims_to_be_on_a_device_that_is_not_there(create):
    assert str(create(2, device="cpu").device) == "cpu"
    with pytest.raises(gradus.errors.UsageError, match="no device"):
        create(2, device="cuda")


def test_kinds_of_arrays_that_compute_in_ways_of_their_own_become_plain():
    with pytest.warns(PendingDeprecationWarning, match="matrix"):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for t in (gradus.from_numpy(matrix), gradus.tensor(matrix), gradus.from_numpy(np.ma.masked_array(np.array(matrix)))):
        assert type(t.value) is np.ndarray and (t * t).tolist() == [[1.0, 4.0], [9.0, 16.0]]
    with pytest.raises(DTypeError, match="cannot hold"):
        gradus.tensor(np.ones(2, np.longdouble))


@pytest.mark.parametrize("join", [gradus.cat, gradus.stack])
def test_joining_nothing_is_told(join):
    with pytest.raises(ShapeError, match="at least one"):
        join([])


@pytest.mark.parametrize("owner, word, meant", [(gradus.ones(1), "sofmax", "softmax"), (gradus, "argmaxx", "argmax")])
def test_a_misspelt_name_is_known_to_python_which_names_the_right_one(owner: Any, word: str, meant: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(owner, word)
    assert (raised.value.name, raised.value.obj) == (word, owner)
    assert meant in dir(owner)
