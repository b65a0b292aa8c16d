"""Memory that is reached in two ways, and arrays that are changed in place: a program is never run on what it was not made for."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus.errors import AliasError

TIERS = ("native", "numpy")


def from_bytes() -> Callable[[int], np.ndarray]:
    buffer = bytearray(64)
    return lambda start: np.frombuffer(buffer, np.float32, 3, 4 * start)


def from_mmap() -> Callable[[int], np.ndarray]:
    file = mmap.mmap(-1, 4096)
    return lambda start: np.frombuffer(file, np.float32, 3, 4 * start)


def from_memoryview_of_an_array() -> Callable[[int], np.ndarray]:
    home = np.zeros(16, np.float32)
    return lambda start: home[:3] if start == 0 else np.frombuffer(memoryview(home), np.float32, 3, 4 * start)


BUFFERS = [from_bytes, from_mmap, from_memoryview_of_an_array]


def filled(array: np.ndarray, *numbers: float) -> gradus.Tensor:
    array[:] = numbers
    return gradus.from_numpy(array)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("buffer", BUFFERS)
def test_an_argument_in_the_bytes_of_a_state_that_is_updated(buffer: Callable[[], Any], tier: str) -> None:
    part = buffer()
    for state_at, argument_at in ((0, 1), (1, 0)):
        w = filled(part(state_at), 1.0, 2.0, 3.0)

        def step(x: Any, w: Any = w) -> Any:
            w.mul_(2.0)
            return x + w

        f = gradus.compile(step, tier=tier)
        other = gradus.tensor([1.0, 1.0, 1.0])
        for _ in range(3):
            f(other)
        with pytest.raises(AliasError):
            f(gradus.from_numpy(part(argument_at)))
        before = w.numpy().copy()
        apart = gradus.from_numpy(part(4))  # the same buffer, other bytes
        np.testing.assert_array_equal(f(apart).numpy(), apart.numpy() + 2 * before)
        assert len(f.specialisations) == 1


@pytest.mark.parametrize("tier", TIERS)
def test_an_argument_that_is_written_to_in_the_bytes_of_a_state_that_is_read(tier: str) -> None:
    part = from_bytes()
    w = filled(part(0), 1.0, 2.0, 3.0)

    def step(x: Any) -> Any:
        x.mul_(2.0)
        return x + w

    f = gradus.compile(step, tier=tier)
    for _ in range(3):
        f(gradus.ones(3))
    with pytest.raises(AliasError):
        f(gradus.from_numpy(part(1)))


@pytest.mark.parametrize("tier", TIERS)
def test_one_argument_that_is_a_state_hides_no_other(tier: str) -> None:
    w = gradus.tensor([1.0, 2.0, 3.0])

    def step(x: Any, y: Any) -> Any:
        w.mul_(2.0)
        return x + y

    f = gradus.compile(step, tier=tier)
    for _ in range(3):
        f(w, gradus.ones(3))
    with pytest.raises(AliasError):
        f(w, gradus.from_numpy(w.numpy()[:]))


@pytest.mark.parametrize("tier", TIERS)
def test_arguments_that_share_memory_and_are_only_read(tier: str) -> None:
    def step(x: Any, y: Any, z: Any) -> Any:
        z.mul_(2.0)
        return x + y + z

    f = gradus.compile(step, tier=tier)
    for _ in range(4):
        x = gradus.ones(3)
        np.testing.assert_array_equal(f(x, x.detach(), gradus.ones(3)).numpy(), [4.0, 4.0, 4.0])
    assert len(f.specialisations) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tier", TIERS)
def test_a_state_whose_shape_was_changed_in_place(tier: str) -> None:
    array = np.arange(4, dtype=np.float32)
    w = gradus.from_numpy(array)

    def step(x: Any) -> Any:
        w.add_(1.0)
        return w * x

    f = gradus.compile(step, tier=tier)
    x = gradus.ones(1)
    for _ in range(3):
        f(x)
    array.shape = (2, 2)
    assert f(x).shape == (2, 2)
    assert len(f.specialisations) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tier", TIERS)
def test_an_array_from_outside_whose_shape_was_changed_in_place(tier: str) -> None:
    array = np.arange(4, dtype=np.float32)
    f = gradus.compile(lambda x: gradus.tensor(array) * x, tier=tier)
    x = gradus.ones(1)
    for _ in range(3):
        f(x)
    array.shape = (4, 1)
    assert f(x).shape == (4, 1)


@pytest.mark.parametrize("tier", TIERS)
def test_a_state_that_was_made_read_only(tier: str) -> None:
    array = np.ones(3, np.float32)
    w = gradus.from_numpy(array)

    def step(x: Any) -> Any:
        w.add_(1.0)
        return w * x

    f = gradus.compile(step, tier=tier)
    for _ in range(3):
        f(gradus.ones(3))
    array.setflags(write=False)
    with pytest.raises(AliasError, match="read-only"):
        f(gradus.ones(3))
    np.testing.assert_array_equal(array, [4.0, 4.0, 4.0])
    array.setflags(write=True)
    f(gradus.ones(3))
    assert len(f.specialisations) == 1
