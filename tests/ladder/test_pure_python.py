"""Matrices and random numbers without a library."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from itertools import count, islice

import numpy as np
import pytest

from gradus.ladder.pure_python import MODULI, PERIOD, ForkAware, Matrix, WichmannHill, chunks, chunks_of_iterator, worker_streams


@pytest.mark.parametrize("size", [1, 28, 100, 784, 1000])
def test_both_ways_to_cut_a_list_give_the_rows(size: int) -> None:
    values = list(range(784))
    rows = list(chunks(values, size))
    assert rows == list(chunks_of_iterator(values, size))
    assert [value for row in rows for value in row] == values
    if 784 % size == 0:
        assert rows == np.arange(784).reshape(-1, size).tolist()


def test_a_lazy_cut_takes_no_more_than_it_gives() -> None:
    numbers = count()
    assert list(islice(chunks_of_iterator(numbers, 3), 2)) == [[0, 1, 2], [3, 4, 5]]
    assert next(numbers) == 6
    assert list(chunks([], 3)) == list(chunks_of_iterator([], 3)) == []


def test_a_matrix_is_indexed_by_row_and_column() -> None:
    flat = np.random.default_rng(0).integers(-9, 10, 784).tolist()
    image = Matrix(chunks(flat, 28))
    assert image.shape == (28, 28)
    assert image[20, 15] == np.reshape(flat, (28, 28))[20, 15]
    assert image[-1, -1] == flat[-1]
    with pytest.raises(IndexError):
        image[28, 0]
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        Matrix(chunks([1, 2, 3, 4, 5], 3))


def test_matrices_multiply() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-9, 10, (3, 4)), rng.integers(-9, 10, (4, 5))
    assert (Matrix(a.tolist()) @ Matrix(b.tolist())).rows == (a @ b).tolist()
    with pytest.raises(ValueError, match="Inner dimensions must match: 4 not equal to 3"):
        Matrix(a.tolist()) @ Matrix(a.tolist())


def test_the_generator_gives_the_numbers_that_the_course_prints() -> None:
    rand = WichmannHill(457428938475)
    assert rand.state == (4976, 20238, 499)
    assert [rand() for _ in range(3)] == [0.7645251082582081, 0.7920889799553945, 0.06912886811267205]


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 7])
def test_the_three_small_generators_are_one_large_one(seed: int) -> None:
    """By the Chinese remainder theorem x ← 16555425264690 x mod 27817185604309 (Zeisel, 1986), and the number is x over the modulus."""
    rand, modulus = WichmannHill(seed), math.prod(MODULI)
    x = sum(s * modulus // m for s, m in zip(rand.state, MODULI)) % modulus
    for _ in range(50):
        x = 16555425264690 * x % modulus
        assert rand() == pytest.approx(x / modulus, abs=1e-12)
        assert sum(Fraction(s, m) for s, m in zip(rand.state, MODULI)) % 1 == Fraction(x, modulus)


def test_a_jump_is_so_many_numbers_and_a_period_is_none() -> None:
    slow, fast = WichmannHill(5), WichmannHill(5)
    for _ in range(1000):
        slow()
    fast.jump(1000)
    assert slow.state == fast.state
    fast.jump(PERIOD)
    assert slow.state == fast.state
    for prime in (2, 3, 7, 23, 31, 163, 1087, 5051):
        if PERIOD % prime == 0:
            fast.jump(PERIOD // prime)
            assert slow.state != fast.state, prime


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_uniform(seed: int) -> None:
    rand = WichmannHill(seed)
    numbers = np.array([rand() for _ in range(5000)])
    assert numbers.min() >= 0 and numbers.max() < 1
    assert abs(numbers.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / 5000)
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert ((counts - 250) ** 2 / 250).sum() < 60  # chi² with 19 degrees of freedom: above 60 once in 250,000 draws
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 5 / math.sqrt(5000)


def test_streams_of_workers_are_stretches_of_one_sequence() -> None:
    whole = WichmannHill(3)
    numbers = [whole() for _ in range(12)]
    streams = worker_streams(3, 3, spacing=4)
    assert [stream() for stream in streams for _ in range(4)] == numbers
    assert [stream() for stream in worker_streams(3, 2)] == [stream() for stream in worker_streams(3, 2)]
    with pytest.raises(ValueError, match="period"):
        worker_streams(3, 2000)


def test_in_one_process_the_aware_generator_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, aware = WichmannHill(9), ForkAware(9)
    assert [aware() for _ in range(5)] == [plain() for _ in range(5)]
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    other = [aware() for _ in range(5)]
    assert set(other).isdisjoint(plain() for _ in range(100))
    monkeypatch.setattr(os, "getpid", lambda: process + 2)
    assert aware() not in other
    assert PERIOD > 2**22 * 2**18


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork_a_copied_generator_repeats_itself() -> None:
    # A process of its own: other tests may have started threads here, which do not survive a fork.
    program = "import json; from gradus.ladder.pure_python import after_fork; print(json.dumps(after_fork(7)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    drawn = json.loads(done.stdout)
    same = {name: parent == child for name, (parent, child) in drawn.items()}
    assert same == {
        "Wichmann-Hill": True,
        "NumPy's Generator": True,
        "Python's random": False,
        "aware of the process": False,
        "a stream for each": False,
    }
    assert drawn["Wichmann-Hill"][0] == WichmannHill(7)()
    assert drawn["a stream for each"] == [stream() for stream in worker_streams(7, 2)]
