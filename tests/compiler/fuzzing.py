"""Random programs through every way Gradus has of running them: eagerly, as the traced graph, as the graph after each pass, on NumPy, in
native kernels; and in PyTorch.

The rule. For every array that a call gives or leaves behind (results, gradients, states) there are: the run in question, y; the same
program in float64, r; and some runs that tell how well float32 determines the number at all: eager mode itself; eager mode again with the
last digit of everything that rounds moved up or down at random, forward and backward, down to sums inside derivative rules; and r again,
disturbed by as much. (Where large terms cancel, float32 may round to the very same number however they are disturbed, and so the result be
0 in all runs, by luck; in float64 hardly anything rounds, and the disturbance shows how large the terms are.) With e the largest |run - r|
among these, place by place but at least its mean over the array times sqrt(2 ln N) (the largest of N errors is about that much larger than
a usual one, and at which place it falls is chance),

    |y - r| <= 4 e + 2 ulp(r),

r taken at least as large as the array's mean |r|, in units in the last place of the array's dtype (not below the smallest normal number:
results smaller than that may be flushed to 0), or of float32 if float64 numbers are so far from r that they came through float32. NaN and
infinities stand at the same places as in eager mode, and whole numbers and truth values are equal, except where the runs differ among
themselves: there float32 does not determine the result, and nothing is compared. -0.0 equals 0.0. The traced graph equals eager mode bit
by bit, wherever both add up in the same order: see :func:`same_order`. An error is the same typed error however a program runs, and a
compiled call that raises leaves every state as it was. PyTorch is judged by the same rule plus 4 times the differences between PyTorch's
own runs, disturbed ones and one in float64, plus 1e-6: it sums in other orders, and what is exactly 0 in one is not in the other.

Documented differences that random programs meet, by name:

- *zero-safe*: where PyTorch's gradient (or what an update made of it) is NaN, Gradus may have a number: a zero cotangent stays zero.
- *infinite loss*: the cross entropy of a row with plus infinity elsewhere than at its label is infinite, in PyTorch NaN. Where a value
  on the way is NaN in PyTorch alone, what comes of it is not compared.
- *random streams* are Gradus' own: programs that draw are not run in PyTorch.
- *dropped NaN*: floor, round, sign and their like, extremes and clamps of NaN have a derivative that is 0 whatever comes back in PyTorch;
  Gradus' 0 · NaN is NaN.
- *at NaN*: where they meet NaN, PyTorch's relu, maximum and minimum pass a gradient on, Gradus' do not. Where one of these gives a NaN,
  what does not agree with PyTorch is not compared.
- *overflow*: what is finite in float64 and not in float32 may be infinite one way and NaN another; it counts as not determined. So does
  what is finite in PyTorch's float64 and not in its float32: its gelu is infinite from half of the largest number on.
- *log of softmax* is log_softmax when compiled, and so finite where a softmax rounds to 0: programs keep to where it does not.
- *refusals*: what a trace cannot see through (a view of memory that is written later) raises AliasError or TraceError when compiled; then
  nothing may have changed. How often that is, is counted.
- *errors*: of what PyTorch raises only that it raises is compared. It checks no indices of a lookup that gives no elements.
- *dead reads*: a lookup whose result nobody needs is not made when compiled; so wrong indices are drawn only where results are returned.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional

sys.path.insert(0, str(Path(__file__).parent))

from programs import CALLS, Program, Writer, place

import gradus
import gradus.nn.functional
import gradus.reverse
from gradus.compiler.compiled import passes_in_order
from gradus.compiler.graph import Graph
from gradus.compiler.passes import simplify as simplify_pass
from gradus.fused import attention_kernels
from gradus.primitive import REGISTRY

REFUSALS = ("AliasError", "TraceError")
STEPS = re.compile(r"floor|ceil|round|trunc|sign|remainder|%|max|min|clamp")
AT_NAN = re.compile(r"relu|maximum|minimum")
TOLERANCE, ULPS = 4.0, 2.0
DISTURBED_RUNS, WIDE_DISTURBED_RUNS = 3, 2
TORCH_TOLERANCE = 1e-6
WIDE_ERROR = 2.0**-30  # relative: more than this, and float32 took part


class Outcome(NamedTuple):
    """What a call gave: the type of its error, or its arrays; and what it left behind."""

    error: str
    arrays: list[np.ndarray | None]
    results: int


class Failure(Exception):
    """A disagreement."""

    def __init__(self, way: str, call: int, what: str) -> None:
        super().__init__(f"{way}, call {call}: {what}")
        self.way = way


def environment(library: Any, wide: bool = False, noise: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """The names that a program may use."""
    env = {"torch": library, "F": library.nn.functional, "f32": library.float64 if wide else library.float32, "f64": library.float64}
    return env | ({"noise": noise} if noise else {})


class Disturbance:
    """Moves floats up or down by one unit in the last place, and the gradients that come back.

    That of seed 0 moves all of them up, whatever their sign: the worst for a sum whose terms cancel.

    Attributes:
        digits: the precision of each tensor that it met, in order. Given those of a narrow run, a wide one is disturbed by as much.
    """

    def __init__(self, library: Any, seed: int, digits: Sequence[float] = ()) -> None:
        self.library, self.rng, self.away = library, np.random.default_rng(seed), seed == 0
        self.digits: list[float] = []
        self.known = iter(digits)

    def factor(self, t: Any, eps: float) -> Any:
        """1, or one more or less in the last place."""
        return self.library.tensor(self.factors(t.detach().numpy(), eps))

    def factors(self, array: np.ndarray, eps: float) -> np.ndarray:
        """The same for an array."""
        found = 1.0 + eps * (np.sign(np.nan_to_num(array)) if self.away else self.rng.integers(-1, 2, array.shape))
        return np.asarray(found).astype(array.dtype)

    def within_rules(self) -> Any:
        """While it is open, sums inside Gradus' derivative rules are disturbed as well: what is taken from one may cancel it."""
        real = gradus.reverse.raw_namespace

        def disturbed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                y = np.asarray(function(*args, **kwargs))
                return y * self.factors(y, np.finfo(y.dtype).eps) if y.dtype.kind == "f" else y

            return call

        sums = {name: disturbed(getattr(real, name)) for name in ("sum", "matmul", "einsum", "cumsum", "prod")}
        return mock.patch.object(gradus.reverse, "raw_namespace", Overlaid(real, sums))

    def __call__(self, t: Any) -> Any:
        if not isinstance(t, self.library.Tensor) or not t.is_floating_point():
            return t
        eps = next(self.known, 2.0**-23 if str(t.dtype).endswith("float32") else 2.0**-52)
        self.digits.append(eps)
        y = t * self.factor(t, eps)
        if y.requires_grad:
            y.register_hook(lambda g: g * self.factor(g, eps))
        return y


class Overlaid:
    """A namespace of which some names mean something else."""

    def __init__(self, real: Any, other: dict[str, Any]) -> None:
        self.real = real
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Running:
    """A program in a library, ready to be called several times."""

    def __init__(
        self, library: Any, program: Program, wide: bool = False, noise: Any = None, wrap: Callable[[Any], Any] = lambda f: f
    ) -> None:
        self.library, self.program = library, program
        self.floats = library.float64 if wide and not program.random else library.float32  # random streams depend on it
        self.env = environment(library, wide, noise)
        for leaf in program.leaves:
            if leaf.name[0] != "x":
                place(self.env, program, leaf, 0)
        exec(compile("\n".join(program.lines(noise is not None)), f"<program {program.seed}>", "exec"), self.env)
        self.step = wrap(self.env["step"])
        self.watched = [leaf.name for leaf in program.leaves]
        self.learned = program.learned

    def arguments(self, call: int) -> list[Any]:
        """The inputs of a call, made anew."""
        inputs = [leaf for leaf in self.program.leaves if leaf.name[0] == "x"]
        for leaf in inputs:
            place(self.env, self.program, leaf, call)
        return [self.env[leaf.name] for leaf in inputs]

    def __call__(self, call: int) -> Outcome:
        arguments = self.arguments(call)
        self.library.manual_seed(call)
        error, results = "", []
        self.library.set_default_dtype(self.floats)
        try:
            results = self.step(*arguments)
        except Exception as raised:  # whatever it is, it must be the same everywhere
            error = type(raised).__name__
            self.raised = raised
        finally:
            self.library.set_default_dtype(self.library.float32)
        return self.seen(error, results)

    def states(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers."""
        return {name: np.array(self.env[name].detach().numpy()) for name in self.watched if name[0] != "x"}

    def seen(self, error: str, results: list[Any]) -> Outcome:
        """Copies of all that there is to see after a call."""
        after = [self.env[name] for name in self.watched]
        grads = [None if error else self.env[name].grad for name in self.learned]
        arrays = [None if t is None else np.array(t.detach().numpy()) for t in (*results, *after, *grads)]
        return Outcome(error, arrays, len(results))


def same_bits(way: str, call: int, found: Outcome, wanted: Outcome) -> None:
    """Raise unless two outcomes are the same, bit by bit but for the sign of 0 and the payload of NaN."""
    errors_agree(way, call, found, wanted)
    for k, (a, b) in enumerate(zip(found.arrays, wanted.arrays, strict=True)):
        if (a is None) != (b is None):
            raise Failure(way, call, f"array {k} is {a} instead of {b}")
        if a is not None and ((a.shape, a.dtype) != (b.shape, b.dtype) or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")):
            raise Failure(way, call, f"array {k} is not bit-identical:\n{a}\nwanted\n{b}")


def errors_agree(way: str, call: int, found: Outcome, wanted: Outcome) -> None:
    """Raise unless both raised the same, or neither."""
    if found.error != wanted.error:
        raise Failure(way, call, f"{found.error or 'no error'} instead of {wanted.error or 'no error'}")
    if len(found.arrays) != len(wanted.arrays):
        raise Failure(way, call, f"{len(found.arrays)} arrays instead of {len(wanted.arrays)}")


class Judge:
    """Knows what each call should give, and how well float32 determines it.

    Attributes:
        undetermined: counts places that are not compared, out of all.
        parted: whether a NaN is where the other library may have a number, so that later calls cannot be compared.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.eager = runs(Running(gradus, program))
        self.wide = runs(Running(gradus, program, wide=True))
        disturbances = [Disturbance(gradus, k) for k in range(DISTURBED_RUNS)]
        self.others = []
        for noise in disturbances:
            with noise.within_rules():
                self.others.append(runs(Running(gradus, program, noise=noise)))
        disturbances = [Disturbance(gradus, k, disturbances[0].digits) for k in range(DISTURBED_RUNS, DISTURBED_RUNS + WIDE_DISTURBED_RUNS)]
        self.others += [runs(Running(gradus, program, wide=True, noise=noise)) for noise in disturbances]
        self.undetermined, self.places = 0, 0
        self.parted = False

    def judge(self, way: str, call: int, found: Outcome, disturbed: Sequence[Outcome] = ()) -> None:
        """Raise unless an outcome is right. ``disturbed``: PyTorch's own other runs, where the outcome is PyTorch's."""
        wanted = self.eager[call]
        errors_agree(way, call, found, wanted)
        if wanted.error or any(run[call].error for run in (self.wide, *self.others)):
            return
        for k, y in enumerate(found.arrays):
            fellows = [run[call].arrays[k] for run in (self.wide, *self.others)]
            x = wanted.arrays[k]
            if (x is None) != (y is None):
                raise Failure(way, call, f"array {k} is {y} instead of {x}")
            if x is not None:
                self.array(self.name(k, wanted), way, call, y, x, fellows, [run.arrays[k] for run in disturbed])

    def name(self, k: int, wanted: Outcome) -> str:
        """What an array is."""
        if k < wanted.results:
            return f"result {k} ({[*self.program.results, 'loss'][k]})"
        leaves = [leaf.name for leaf in self.program.leaves]
        k -= wanted.results
        return leaves[k] if k < len(leaves) else f"{self.program.learned[k - len(leaves)]}.grad"

    def array(
        self, name: str, way: str, call: int, y: np.ndarray, x: np.ndarray, fellows: list[np.ndarray], torch: list[np.ndarray]
    ) -> None:
        """Compare one array."""
        if (y.shape, y.dtype) != (x.shape, x.dtype):
            raise Failure(way, call, f"{name} is {y.dtype}{list(y.shape)} instead of {x.dtype}{list(x.shape)}")
        if not x.size:
            return
        wide, *others = fellows
        if x.dtype.kind != "f":
            clear = np.all([x == other for other in (*fellows, *torch)], axis=0)
            wrong = clear & (x != y)
        else:
            wrong, clear = self.floats(y, x, wide.astype(np.float64), others, torch)
        self.undetermined += int((~clear).sum())
        self.places += x.size
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            told = f"{y[at]!r} where eager mode has {x[at]!r} and float64 {wide[at]!r} (others: {[float(other[at]) for other in others]})"
            raise Failure(way, call, f"{name} at {at}: {told}; {int(wrong.sum())} of {x.size} places")

    def floats(
        self, y: np.ndarray, x: np.ndarray, wide: np.ndarray, others: list[np.ndarray], torch: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(where it is wrong, where float32 determines the result)."""
        kinds = [kind_of(run) for run in (x, *others, wide)]  # with the wide run: see *overflow*
        steady = np.all([kind_of(run) == kind_of(y) for run in torch], axis=0) if torch else True
        clear = np.all([kind == kinds[0] for kind in kinds], axis=0) & steady
        wrong = clear & (kind_of(y) != kinds[0])
        if torch:
            dropped = any(STEPS.search(line.text) for line in self.program.body)
            free = np.isnan(y) | (dropped & np.isnan(x))
            self.parted |= bool((wrong & free).any())
            wrong &= ~free
        finite = clear & (kinds[0] == 0) & np.isfinite(wide) & np.isfinite(y)
        with np.errstate(all="ignore"):
            errors = np.max([np.abs(run.astype(np.float64) - wide) for run in (x, *others)], axis=0)
            errors = np.where(finite, errors, 0.0)
            errors = np.maximum(errors, errors.mean() * max(1.0, (2 * np.log(errors.size)) ** 0.5))
            sizes = np.where(finite, np.abs(wide), 0.0)
            sizes = np.maximum(sizes, sizes.mean())
            unit = np.spacing(sizes.astype(x.dtype)).astype(np.float64)
            if errors.mean() > WIDE_ERROR * sizes.mean():  # it came through float32
                unit = np.maximum(unit, np.finfo(np.float32).eps * sizes)
            allowed = TOLERANCE * errors + ULPS * unit + np.finfo(x.dtype).tiny
            if torch:
                spread = np.max([np.abs(run.astype(np.float64) - y) for run in torch], axis=0)
                spread = np.where(np.isfinite(spread), spread, np.inf)
                allowed = allowed + TOLERANCE * np.maximum(spread, spread.mean()) + TORCH_TOLERANCE
            off = np.abs(y.astype(np.float64) - wide) > allowed
        return wrong | (finite & off), clear


def kind_of(x: np.ndarray) -> np.ndarray:
    """0 for finite, 1 for NaN, 2 and 3 for the infinities."""
    return np.where(np.isnan(x), 1, np.where(np.isposinf(x), 2, np.where(np.isneginf(x), 3, 0)))


def runs(running: Running) -> list[Outcome]:
    """All calls, one after the other."""
    return [running(call) for call in range(CALLS)]


# The graph by itself.


class Interpreted:
    """In place of a program: a graph, one call after the other, on plain NumPy."""

    def __init__(self, graph: Graph, written: list[Any]) -> None:
        self.graph, self.written = graph, written

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        known: dict[Any, Any] = {}
        outputs = self.graph.interpret(inputs, known)
        new = [value.evaluate(known) if hasattr(value, "evaluate") else value for _, _, value in self.written]
        for (owner, key, _), value in zip(self.written, new, strict=True):
            owner[key] = value
        return outputs


def after_each_pass(graph: Graph, external: set[int]) -> Iterator[tuple[str, Graph]]:
    """The graph after each pass in turn."""
    for name, step in passes_in_order(external):
        graph = step(graph).verify()
        yield name, graph


def graphs(program: Program, judge: Judge, counts: collections.Counter[str]) -> None:
    """The traced graph, and that after each pass, interpreted: from the state that eager mode leaves after its first call."""
    running = Running(gradus, program, wrap=lambda f: gradus.compile(f, tier="numpy"))
    running(0)
    states = running.states()
    grads = {name: running.env[name].grad for name in running.learned if name[0] != "x"}
    kept = {name: None if g is None else g.detach().numpy().copy() for name, g in grads.items()}
    running(1)
    specialisations = running.step.specialisations
    if not specialisations:  # nothing to interpret: tracing raised, as eager mode did
        return
    new = specialisations[0]
    traced = new.traced.graph
    written = [(owner, key, getattr(value, "node", value)) for owner, key, value in new.traced.trace.written.values()]
    counts.update({f"op {call.record.name}": 1 for call in traced.calls})
    new.direct_call = running.step.direct_call = None
    ways = [("traced graph", traced), *after_each_pass(traced, new.surroundings.arrays)]
    before = ""
    for way, graph in ways:
        text = str(graph)
        counts[f"pass {way} changed a graph"] += bool(before) and text != before
        counts.update({f"op {call.record.name}": 1 for call in graph.calls})
        if text == before:
            continue
        before = text
        for name, array in states.items():
            np.copyto(running.env[name].value, array)
            if name in grads:
                running.env[name]._grad = grads[name]
                if kept[name] is not None:
                    np.copyto(grads[name].value, kept[name])
        new.program = Interpreted(graph, written)
        found = running(1)
        running.step.direct_call = None
        if way == "traced graph" and same_order(program):
            same_bits(way, 1, found, judge.eager[1])
        judge.judge(f"after {way}", 1, found)


def same_order(program: Program) -> bool:
    """Whether eager mode and a trace add up in the same order.

    They need not where a loss over labels takes its mean (a trace does so over a mask: labels to be ignored may come later), where NumPy's
    einsum chooses its way by the strides of a cotangent, and after writes in place and from leaves that do not lie in C order: there
    results lie in memory in another order, and NumPy sums in the order of memory.
    """
    texts = [line.text for line in program.body]
    plain = all(leaf.view in ("a", "a[1:]") for leaf in program.leaves) and all(";" not in text for text in texts)
    return plain and not any(re.search("nll_loss|cross_entropy|einsum|outer", text) for text in texts)


# The whole of a check.


PARTS = ("torch", "graphs", "numpy", "native")


def check(
    program: Program, counts: collections.Counter[str] | None = None, parts: Sequence[str] = PARTS, judge: Judge | None = None
) -> None:
    """Raise Failure where some way of running a program disagrees."""
    counts = collections.Counter() if counts is None else counts
    with quiet():
        judge = judge or Judge(program)
        if "torch" in parts and not program.random:
            compare_with_torch(program, judge)
        if "graphs" in parts:
            graphs(program, judge, counts)
        for tier in ("numpy", "native"):
            if tier in parts:
                compare_compiled(program, judge, tier, counts)
    counts["places"] += judge.places
    counts["undetermined places"] += judge.undetermined
    counts["programs that raise"] += any(outcome.error for outcome in judge.eager)
    counts["programs"] += 1


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings of overflow, of many traces, of PyTorch's; and no op is spared because programs are small."""
    fewest = dict.fromkeys(("KEYS", "CAUSAL_KEYS", "INSIDE_KEYS", "NARROW_KEYS", "QUERIES"), 1)
    with warnings.catch_warnings(), np.errstate(all="ignore"), mock.patch.multiple(attention_kernels, **fewest):
        warnings.simplefilter("ignore")
        yield


def compare_compiled(program: Program, judge: Judge, tier: str, counts: collections.Counter[str]) -> None:
    """All calls of the compiled program."""
    running = Running(gradus, program, wrap=lambda f: gradus.compile(f, tier=tier))
    for call in range(CALLS):
        before, wanted = running.states(), judge.eager[call]
        found = running(call)
        if found.error in REFUSALS and not wanted.error:
            untouched(tier, call, before, running.states())
            counts[f"refused by the trace: {found.error}"] += tier == "numpy"
            return
        if found.error and found.error != wanted.error:
            raise Failure(tier, call, f"{found.error} instead of {wanted.error or 'no error'}: {running.raised}")
        judge.judge(tier, call, found)
        if found.error:
            if call:  # the first runs eagerly, and may have begun to update
                untouched(tier, call, before, running.states())
            break
    if running.step.specialisations:
        note_plan(running.step.specialisations[0].program, tier, counts)


def untouched(way: str, call: int, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    """Raise unless an error left every state as it was."""
    for name, array in before.items():
        if not np.array_equal(array, after[name], equal_nan=True):
            raise Failure(way, call, f"a call that raised left {name} changed")


def compare_with_torch(program: Program, judge: Judge) -> None:
    """PyTorch against eager mode, by the same rule; where it has NaN, see *zero-safe* above."""
    disturbed = [runs(Running(torch, program, noise=Disturbance(torch, k))) for k in range(2)]
    disturbed.append(runs(Running(torch, program, wide=True)))
    for call, outcome in enumerate(runs(Running(torch, program))):
        wanted = judge.eager[call]
        if outcome.error or wanted.error:
            unchecked = wanted.error == "IndexRangeError" and not outcome.error and looks_up_nothing(program, outcome)
            if bool(outcome.error) != bool(wanted.error) and not unchecked:
                raise Failure("PyTorch", call, f"{outcome.error or 'no error'} instead of {wanted.error or 'no error'}")
            return
        try:
            judge.judge("PyTorch", call, outcome, [run[call] for run in disturbed])
        except Failure:
            if nan_on_the_way(program, call):
                return
            raise
        if judge.parted:
            return


def looks_up_nothing(program: Program, outcome: Outcome) -> bool:
    """Whether all that is looked up with numbers out of range is empty."""
    wrong = next((leaf.name for leaf in program.leaves if leaf.kind.startswith("below")), "")
    made = {line.makes for line in program.body if wrong in line.needs}
    found = [array for name, array in zip(program.results, outcome.arrays, strict=False) if name in made]
    return program.wrong_at_last and all(array is not None and array.size == 0 for array in found)


def nan_on_the_way(program: Program, call: int) -> bool:
    """Whether some value is NaN in PyTorch alone, or in both as the result of an op whose derivative at NaN is another in each."""
    lines = [line for line in program.body if line.makes]
    every = program._replace(outputs=tuple(line.makes for line in lines))
    ours, theirs = [runs(Running(library, every))[call].arrays for library in (gradus, torch)]
    for line, x, y in zip(lines, ours, theirs, strict=False):  # the results come first
        if x is not None and y is not None and y.dtype.kind == "f":
            nan = np.isnan(y)
            if nan.any() and (AT_NAN.search(line.text) or not np.isnan(x)[nan].all()):
                return True
    return False


def note_plan(program: Any, tier: str, counts: collections.Counter[str]) -> None:
    """What the machinery behind the passes did."""
    if tier != "native":
        places = program.places
        counts["numpy: a result in the memory of a state"] += bool(places.states)
        return
    plan = program.plan
    groups = [step for step in plan.steps if step.kernel]
    matrices = [step.product for step in plan.steps if step.product]
    starts = list(plan.offsets.values())
    counts["native: fused"] += any(len(step.calls) > 1 for step in groups)
    counts["native: several loops nested"] += any(step.kernel.source.count("for r") > 1 for step in groups)
    counts["native: scratch rows"] += any(step.kernel.scratch for step in groups)
    counts["native: update in place"] += bool(plan.memory)
    counts["native: update by copy"] += bool(plan.copied)
    counts["native: descent in a product"] += bool(plan.descents)
    counts["native: arena shared"] += len(set(starts)) < len(starts)
    counts["native: fresh results"] += bool(plan.fresh)
    counts["native: products"] += bool(matrices)
    counts.update({f"native: products: {p.way}": 1 for p in matrices})  # not on every processor
    counts["native: products over batches"] += any(p.counts != (1, 1) for p in matrices)
    counts["native: handmade kernels"] += any(step.handmade for step in plan.steps)
    counts["native: calls by record"] += any(not (step.kernel or step.product or step.handmade) for step in plan.steps)


@contextlib.contextmanager
def counting(counts: collections.Counter[str]) -> Iterator[None]:
    """Note which rule of ``simplify`` applied."""

    def counted(rule: Callable[..., Any]) -> Callable[..., Any]:
        def rule_noted(*args: Any) -> Any:
            new = rule(*args)
            counts[f"rule {rule.__name__}"] += new is not None
            return new

        return rule_noted

    rules = tuple(counted(rule) for rule in simplify_pass.RULES)
    folded = simplify_pass._folded
    with (
        mock.patch.object(simplify_pass, "RULES", rules),
        mock.patch.object(simplify_pass, "_folded", counted(folded)),
    ):
        yield


def written(seed: int, refused: collections.Counter[str] | None = None) -> Program:
    """The program of a seed."""
    with quiet():
        writer = Writer(seed, [environment(torch), environment(gradus)], large=seed % 20 == 19)
        program = writer.program()
    if refused is not None:
        refused.update(writer.refused)
    return program


def failure_of(program: Program, parts: Sequence[str] = PARTS, judge: Judge | None = None) -> Failure | None:
    """What is wrong with how a program runs; other exceptions of the machinery count too."""
    try:
        check(program, parts=parts, judge=judge)
    except Failure as failure:
        return failure
    except Exception as raised:
        return Failure(f"machinery ({type(raised).__name__})", 0, str(raised))
    return None


def shrunk(program: Program, failure: Failure, seconds: float = 120.0) -> tuple[Program, Failure]:
    """The smallest program that still fails in the same way: statements go one at a time."""
    end = time.monotonic() + seconds
    parts = {"PyTorch": ("torch",), "numpy": ("numpy",), "native": ("native",)}.get(
        failure.way, PARTS if "machinery" in failure.way else ("graphs",)
    )
    again = True
    while again and time.monotonic() < end:
        again = False
        for candidate in program.smaller():
            if time.monotonic() > end:
                break
            found = failure_of(candidate, parts)
            if found is not None and found.way == failure.way:
                program, failure, again = candidate, found, True
                break
    return program, failure


def unmet(counts: collections.Counter[str]) -> list[str]:
    """Ops with a public function that should have been met and were not; rules and passes that changed nothing."""
    ops = [name for name, record in REGISTRY.items() if record.function is not None and not counts[f"op {name}"]]
    machinery = [
        name for name, n in counts.items() if name.startswith(("pass", "rule", "native", "numpy")) and not n and "traced" not in name
    ]
    return sorted(ops) + machinery


def report(counts: collections.Counter[str]) -> str:
    """What the programs exercised."""
    lines = [f"{counts['programs']} programs, {counts['programs that raise']} of which raise; of {counts['places']:,} places compared"]
    lines[0] += f" float32 leaves {100 * counts['undetermined places'] / max(counts['places'], 1):.2f} % undetermined"
    lines += [f"  {name}: {n}" for name, n in sorted(counts.items()) if name.startswith(("pass", "rule", "native", "numpy"))]
    ops = {name: counts[f"op {name}"] for name in REGISTRY}
    lines.append("ops: " + ", ".join(f"{name} {n}" for name, n in sorted(ops.items())))
    return "\n".join(lines)


def main() -> int:
    """Run many programs; print each failure as the smallest program that shows it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds to make a failing program smaller")
    parser.add_argument("--quiet", action="store_true", help="do not tell every hundredth program")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--refused", action="store_true", help="print what Gradus refuses and PyTorch does not")
    asked = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    refused: collections.Counter[str] = collections.Counter()
    failures, start = 0, time.monotonic()
    with counting(counts):
        for seed in range(asked.first, asked.first + asked.programs):
            seconds = time.monotonic() - start
            if seconds > asked.seconds:
                break
            if seed > asked.first and seed % 100 == 0 and not asked.quiet:
                print(f"seed {seed}: {failures} failures in {seconds:.0f} s", file=sys.stderr, flush=True)
            program = written(seed, refused)
            try:
                check(program, counts, asked.parts)
            except Exception as raised:
                failures += 1
                failure = raised if isinstance(raised, Failure) else Failure(f"machinery ({type(raised).__name__})", 0, str(raised))
                small, failure = shrunk(program, failure, asked.shrink)
                print(f"--- seed {seed}: {failure}\n{small.code(CALLS)}\n", flush=True)
    print(report(counts))
    if asked.refused:
        print("\n".join(f"{n} {text}" for text, n in refused.most_common(60)))
    print(f"never met, never changed anything: {', '.join(unmet(counts)) or 'nothing'}")
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
