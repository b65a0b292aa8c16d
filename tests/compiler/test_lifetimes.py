"""How long programs live: those of a method as long as its instance, and not more than some of one function."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.compiler import compiled as module
from gradus.errors import UsageWarning


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @gradus.compile
    def step(self, x: Any) -> Any:
        return x * self.scale

    @gradus.compile
    def twice(self, x: Any) -> Any:
        return self.step(x) + self.step(x)


class Larger(Scaled):
    @gradus.compile
    def step(self, x: Any) -> Any:
        return Scaled.step.__get__(self)(x) + 1.0


class Model(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(3, 2)

    @gradus.compile
    def forward(self, x: Any) -> Any:
        return self.layer(x)


class Slots:
    __slots__ = ("scale", "__weakref__")

    def __init__(self, scale: float) -> None:
        self.scale = scale

    @gradus.compile
    def step(self, x: Any) -> Any:
        return x * self.scale


def values(f: Any, calls: int = 3) -> list[float]:
    for _ in range(calls):
        y = f(gradus.ones(3))
    return y.tolist()


@pytest.mark.parametrize("make", [lambda: Scaled(2.0), Model])
def test_an_instance_with_a_compiled_method_can_go(make: Any) -> None:
    thing = make()
    values(thing.forward if isinstance(thing, Model) else thing.step)
    memory = weakref.ref(thing)
    del thing
    gc.collect()
    assert memory() is None


def test_each_instance_has_its_own_programs() -> None:
    things = [Scaled(float(k)) for k in range(8)]
    for _ in range(2):
        for k, thing in enumerate(things):
            assert values(thing.step) == [float(k)] * 3
    assert all(len(thing.step.specialisations) == 1 for thing in things)
    assert not Scaled.step.specialisations
    assert things[0].step is things[0].step and "mul" in str(things[0].step.graph)


def test_compiled_methods_that_call_each_other() -> None:
    for thing, wanted in ((Scaled(3.0), 6.0), (Larger(3.0), 8.0)):
        assert values(thing.twice, 5) == [wanted] * 3
        assert len(thing.twice.specialisations) == 1
    assert values(Larger(3.0).step) == [4.0] * 3


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_has_programs_of_its_own(way: Any) -> None:
    thing = Scaled(2.0)
    values(thing.step)
    twin = way(thing)
    twin.scale = 5.0
    assert values(twin.step) == [5.0] * 3 and values(thing.step) == [2.0] * 3
    method = way(twin.step)
    assert values(method) == [5.0] * 3


def test_a_model_with_a_compiled_method_saves_and_shows_what_it_did() -> None:
    model = Model()
    shown, names = repr(model), list(model.state_dict())
    values(model)
    assert repr(model) == shown and list(model.state_dict()) == names
    model.eval()
    values(model)
    values(copy.deepcopy(model))


def test_an_instance_without_a_dictionary() -> None:
    thing = Slots(2.0)
    assert values(thing.step) == [2.0] * 3


def test_programs_that_were_not_used_for_longest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 6)
    first = []

    def scaled(x: Any) -> Any:
        return x * 2.0

    f = gradus.compile(scaled, tier="numpy")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in [1, *range(1, 20)]:
            f(gradus.ones(n))
            if n == 1 and f.specialisations:
                first.append(weakref.ref(f.specialisations[0].program))
            if n == 4:
                f(gradus.ones(3))  # used again
    assert [str(w.message).split(" What")[0] for w in caught] == ["E43: scaled was traced 5 times.", "E43: scaled was traced 7 times."]
    assert "argument 0: float32[6] became float32[7]. Only 6 programs are kept" in str(caught[1].message)
    assert all(w.category is UsageWarning and w.filename == __file__ for w in caught)
    assert len(f.specialisations) == 6
    gc.collect()
    assert first[-1]() is None
    np.testing.assert_array_equal(f(gradus.ones(1)).numpy(), [2.0])
