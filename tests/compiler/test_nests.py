"""Arguments and results that are no tuples, lists and dicts, or have no end."""

from __future__ import annotations

from collections import UserDict, deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradus
from gradus.errors import TraceError, UsageError


@dataclass
class Scores:
    loss: Any
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Narrow:
    loss: Any


class Batch(list[Any]):
    pass


class Pair(NamedTuple):
    a: Any
    b: Any


CLOSED: list[tuple[Any, str, str]] = [
    (Scores, "Scores", "a dataclass"),
    (Narrow, "Narrow", "a dataclass"),
    (lambda y: Batch([1, {"y": y}]), "Batch", "a list of its own kind"),
    (lambda y: {y}, "set", "a set"),
    (lambda y: deque([y]), "deque", "a deque"),
    (lambda y: UserDict(y=[y]), "UserDict", "a mapping of its own kind"),
    (lambda y: SimpleNamespace(y=y), "SimpleNamespace", "a SimpleNamespace"),
    (lambda y: [Scores(y)], "Scores", "a dataclass"),
]


@pytest.mark.parametrize(("make", "name", "form"), CLOSED, ids=[name for _, name, _ in CLOSED])
def test_a_result_of_another_kind(make: Any, name: str, form: str) -> None:
    f = gradus.compile(lambda x: make(x * 2.0))
    f(gradus.ones(3))
    with pytest.raises(TraceError, match=f"cannot return an? {name} that holds tensors") as caught:
        f(gradus.ones(3))
    error = caught.value
    assert form in error.got and error.wanted and error.why and error.fix and error.where


def test_results_that_are_made_anew() -> None:
    f = gradus.compile(lambda x: (Pair(x * 2.0, [x]), {"a": x * 3.0}, Scores(1.0), "b"))
    for _ in range(3):
        pair, table, scores, text = f(gradus.ones(3))
    assert type(pair) is Pair and pair.a.tolist() == [2.0] * 3 and table["a"].tolist() == [3.0] * 3 and (scores.loss, text) == (1.0, "b")


@pytest.mark.parametrize("tier", ["native", "numpy"])
def test_a_nest_without_an_end(tier: str) -> None:
    circle: list[Any] = [gradus.ones(3)]
    circle.append(circle)
    f = gradus.compile(lambda x: x[0] * 2.0, tier=tier)
    with pytest.raises(UsageError, match="an argument of a compiled function has no end"):
        f(circle)

    def g(x: Any) -> Any:
        table: dict[str, Any] = {"x": x * 2.0}
        table["itself"] = table
        return table

    f = gradus.compile(g, tier=tier)
    f(gradus.ones(3))
    with pytest.raises(UsageError, match="a result of a compiled function has no end"):
        f(gradus.ones(3))


@pytest.mark.parametrize("tier", ["native", "numpy"])
def test_a_view_of_an_argument_or_a_state_is_returned_as_a_copy(tier: str) -> None:
    w = gradus.ones(2, 3)
    f = gradus.compile(lambda x: (x.reshape(-1)[1:], x, w.reshape(-1)[:2], w.T), tier=tier)
    f(gradus.zeros(2, 3))
    for _ in range(3):
        x = gradus.arange(6).float().reshape(2, 3)
        part, same, rows, turned = f(x)
        np.testing.assert_array_equal(part.numpy(), [1.0, 2.0, 3.0, 4.0, 5.0])
        assert same is x
        assert not any(np.may_share_memory(y.numpy(), z.numpy()) for y in (part, rows, turned) for z in (x, w))
