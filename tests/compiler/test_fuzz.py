"""Random programs agree in every way of running them; and bugs planted in each part of the compiler are found by them."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterator
from typing import Any

import fuzzing
import numpy as np
import pytest

from gradus import ops
from gradus.compiler import compiled, descent, fusion, layout, loops, numpy_program, plan, products, texts
from gradus.compiler.graph import Graph, Value
from gradus.compiler.passes import attention, expand, pooled_convolution, pooling, reductions, sharing, simplify
from gradus.primitive import REGISTRY

PROGRAMS, MORE = 60, 600  # `make fuzz` runs 2,000
BATCHES = 6


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_programs(batch: int) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(batch, PROGRAMS, BATCHES):
        examined(fuzzing.written(seed), counts)
    assert counts["undetermined places"] < 0.2 * counts["places"], counts


def examined(written: Any, counts: collections.Counter[str]) -> None:
    """Fail with the smallest program that goes wrong as this one does."""
    try:
        fuzzing.check(written, counts)
    except fuzzing.Failure as failure:
        small, failure = fuzzing.shrunk(written, failure)
        pytest.fail(f"seed {written.seed}: {failure}\n{small.code(fuzzing.CALLS)}")


@pytest.mark.slow
def test_many_random_programs() -> None:
    counts: collections.Counter[str] = collections.Counter()
    with fuzzing.counting(counts):
        for seed in range(PROGRAMS, PROGRAMS + MORE):
            examined(fuzzing.written(seed), counts)
    print(fuzzing.report(counts))
    missing = fuzzing.unmet(counts)
    assert not missing, missing


# Planted bugs. Each is a function that breaks one part, given pytest's monkeypatch.

Patch = pytest.MonkeyPatch
PLANTS: dict[str, tuple[str, int, Callable[[Patch], None]]] = {}


def plant(part: str, within: int) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Enter a bug in the table: where it shows ("graphs", "numpy" or "native"), and within how many programs."""

    def enter(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
        PLANTS[function.__name__] = part, within, function
        return function

    return enter


def everywhere(patch: Patch, name: str, function: Callable[..., Any]) -> None:
    """Replace a pass where it is imported."""
    for module in (compiled, numpy_program):
        if hasattr(module, name):
            patch.setattr(module, name, function)


@plant("graphs", 200)
def expand_takes_every_constant_for_uniform(patch: Patch) -> None:
    patch.setattr(expand, "_uniform", lambda array: array.size > 0)


@plant("graphs", 200)
def expand_forgets_a_parameter(patch: Patch) -> None:
    real = expand._written_out

    def written_out(world: Any, record: Any, args: Any, params: Any, output: Any, above: Any) -> Any:
        return real(world, record, args, {**params, "correction": 0} if "correction" in params else params, output, above)

    patch.setattr(expand, "_written_out", written_out)


@plant("graphs", 200)
def simplify_drops_casts(patch: Patch) -> None:
    rule = lambda world, call, args: args[0] if call.record.name == "astype" and args[0].dtype.kind == call.output.dtype.kind else None
    patch.setattr(simplify, "RULES", (*simplify.RULES, rule))


@plant("graphs", 200)
def simplify_drops_transpositions(patch: Patch) -> None:
    rule = lambda world, call, args: args[0] if call.record.name == "permute_dims" and args[0].shape == call.output.shape else None
    patch.setattr(simplify, "RULES", (*simplify.RULES, rule))


@plant("graphs", 400)
def simplify_composes_transpositions_the_wrong_way_round(patch: Patch) -> None:
    def rule(world: Any, call: Any, args: Any) -> Any:
        before = args[0].call if args and isinstance(args[0], Value) else None
        if before is None or call.record.name != "permute_dims" or before.record.name != "permute_dims":
            return None
        axes = tuple([call.params["axes"][a] for a in before.params["axes"]])
        return ops.permute_dims(world.stand_in(before.args[0]), axes).node

    patch.setattr(simplify, "RULES", (rule, *simplify.RULES))


@plant("graphs", 200)
def simplify_takes_two_for_one(patch: Patch) -> None:
    def rule(world: Any, call: Any, args: Any) -> Any:
        if call.record.name == "multiply" and isinstance(args[0], Value) and args[1:] == [2] and args[0].dtype == call.output.dtype:
            return args[0] if args[0].shape == call.output.shape else None
        return None

    patch.setattr(simplify, "RULES", (rule, *simplify.RULES))


@plant("graphs", 300)
def simplify_loses_the_axis_of_log_softmax(patch: Patch) -> None:
    def rule(world: Any, call: Any, args: Any) -> Any:
        before = args[0].call if call.record.name == "log" and isinstance(args[0], Value) else None
        if before is None or before.record.name != "softmax":
            return None
        return world.note(REGISTRY["log_softmax"], (world.stand_in(before.args[0]),), {"axis": 0}).node

    patch.setattr(simplify, "RULES", (rule, *simplify.RULES))


@plant("graphs", 200)
def simplify_drops_reductions_that_keep_the_shape_s_length(patch: Patch) -> None:
    def rule(world: Any, call: Any, args: Any) -> Any:
        if (
            call.record.name in ("sum", "max")
            and args[0].dtype == call.output.dtype
            and args[0].shape[:1] == (3,)
            and call.params["axis"] in (0, (0,))
        ):
            return world.note(REGISTRY["getitem"], (world.stand_in(args[0]),), {"key": 0}).node if not call.params["keepdims"] else None
        return None

    patch.setattr(simplify, "RULES", (rule, *simplify.RULES))


@plant("graphs", 200)
def folding_takes_states_for_constants(patch: Patch) -> None:
    real = simplify._folded

    def folded(call: Any, args: list[Any], external: set[int]) -> Any:
        fixed = [Value("constant", a.shape, a.dtype, a.array.copy()) if isinstance(a, Value) and a.kind == "state" else a for a in args]
        return real(call, fixed, external)

    patch.setattr(simplify, "_folded", folded)


@plant("graphs", 400)
def pool_first_forgets_the_mask(patch: Patch) -> None:
    real = pooling._masked

    def masked(world: Any, call: Any, pooled: Any, spread: Any) -> Any:
        found = real(world, call, pooled, spread)
        if found is None:
            return None
        kept, x = found.call.args
        return world.note(found.call.record, (world.stand_in(kept.call.args[0]), world.stand_in(x)), found.call.params).node

    patch.setattr(pooling, "_masked", masked)


@plant("graphs", 200)
def pool_in_convolutions_forgets_the_bias(patch: Patch) -> None:
    real = pooled_convolution._parts

    def parts(call: Any, users: Any, kept: Any) -> Any:
        found = real(call, users, kept)
        if found is None or call.record.name != "add":
            return found
        none = np.zeros(found[2].shape, found[2].dtype)
        return *found[:2], Value("constant", none.shape, none.dtype, none)

    patch.setattr(pooled_convolution, "_parts", parts)


@plant("graphs", 200)
def pool_in_convolutions_counts_places_from_the_end(patch: Patch) -> None:
    def step(world: Any, call: Any) -> Any:
        if call.record.name != "conv_max_pool2d_weight_gradient":
            return world.keep(call)
        x, h, place = [world.stand_in(arg) for arg in call.args]
        return world.note(call.record, (x, h, 3.0 - place), call.params).node

    everywhere(patch, "pool_in_convolutions", lambda graph: reductions.rewrite(pooled_convolution.pool_in_convolutions(graph), step))


@plant("graphs", 300)
def attend_in_blocks_forgets_the_scale(patch: Patch) -> None:
    real = attention._unscaled

    def unscaled(*args: Any) -> Any:
        q, _, dq = real(*args)
        return q, 1.0, dq

    patch.setattr(attention, "_unscaled", unscaled)


@plant("graphs", 300)
def attend_in_blocks_takes_every_mask_for_the_triangle(patch: Patch) -> None:
    patch.setattr(attention, "_without_triangle", lambda forward, external: (None, True))


@plant("graphs", 300)
def split_reductions_folds_the_wrong_axes(patch: Patch) -> None:
    real = reductions.normalize_axes
    patch.setattr(
        reductions, "normalize_axes", lambda axis, ndim: real(axis, ndim)[-1:] if ndim > 2 and axis is not None else real(axis, ndim)
    )

    def step_of(graph: Graph) -> Graph:
        def step(world: Any, call: Any) -> Any:
            if call.record.name != "sum" or call.inputs[0].ndim < 3 or call.params["axis"] is None:
                return world.keep(call)
            axes = real(call.params["axis"], call.inputs[0].ndim)
            if len(axes) < 2:
                return world.keep(call)
            rows = world.note(call.record, (world.stand_in(call.inputs[0]),), {"axis": axes[-1:], "keepdims": True})
            return world.note(call.record, (rows,), {"axis": axes[-1:], "keepdims": True}).node

        return reductions.rewrite(graph, step)

    everywhere(patch, "split_reductions", step_of)


@plant("graphs", 200)
def share_ignores_parameters(patch: Patch) -> None:
    patch.setattr(sharing, "repr", lambda x: "" if isinstance(x, dict) else repr(x), raising=False)


@plant("graphs", 200)
def share_ignores_the_order_of_arguments(patch: Patch) -> None:
    real = sharing._key
    patch.setattr(sharing, "tuple", lambda items: frozenset(items), raising=False)
    assert real is sharing._key


@plant("graphs", 100)
def drop_dead_takes_an_update_with_it(patch: Patch) -> None:
    def without_last_update(graph: Graph) -> Graph:
        new = sharing.drop_dead(graph)
        new.updates = new.updates[:-1]
        return new

    everywhere(patch, "drop_dead", without_last_update)


@plant("graphs", 300)
def copy_awkward_operands_transposes_them(patch: Patch) -> None:
    def transposed(graph: Graph) -> Graph:
        def step(world: Any, call: Any) -> Any:
            a = call.inputs[0] if call.record.name == "matmul" else None
            if a is None or a.ndim != 2 or a.shape[0] != a.shape[1]:
                return world.keep(call)
            turned = world.note(REGISTRY["permute_dims"], (world.stand_in(a),), {"axes": (1, 0)})
            return world.note(call.record, (turned, world.stand_in(call.args[1])), call.params).node

        return products.rewrite(graph, step)

    everywhere(patch, "copy_awkward_operands", transposed)


@plant("native", 300)
def a_transposed_flag_is_flipped(patch: Patch) -> None:
    real = products.arrangement

    def flipped(shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        found = real(shape, strides)
        return (not found[0], found[1]) if found is not None and shape[-1] == shape[-2] else found

    patch.setattr(products, "arrangement", flipped)


@plant("native", 400)
def products_from_panels_are_scaled_twice(patch: Patch) -> None:
    patch.setattr(
        texts, "PANELS_CALL", texts.PANELS_CALL.replace("float32(numbers[10]), numbers", "float32(2) * float32(numbers[10]), numbers")
    )


@plant("native", 200)
def fusion_sees_every_value_at_the_same_place(patch: Patch) -> None:
    patch.setattr(fusion, "_same_place", lambda group, producer, access, elements: elements == group.size)


@plant("native", 300)
def columns_are_totals(patch: Patch) -> None:
    real = fusion._reduced

    def reduced(call: Any) -> str:
        found = real(call)
        return fusion.ROW if found == fusion.COLUMN and call.inputs[0].shape[:1] == call.inputs[0].shape[-1:] else found

    patch.setattr(fusion, "_reduced", reduced)


@plant("native", 200)
def merged_walks_with_a_wrong_stride(patch: Patch) -> None:
    real = layout.merged

    def merged(pairs: Any) -> Any:
        found = real(pairs)
        return tuple((n, 1) if stride > 1 and k == len(found) - 1 else (n, stride) for k, (n, stride) in enumerate(found))

    patch.setattr(layout, "merged", merged)


@plant("native", 200)
def loops_forget_the_kept_row(patch: Patch) -> None:
    patch.setitem(loops.EXPRESSIONS, "subtract", "{1} - {0}")


@plant("native", 300)
def maxima_forget_nan(patch: Patch) -> None:
    patch.setitem(loops.EXPRESSIONS, "maximum", "choose({0} > {1}, {0}, {1})")


@plant("native", 300)
def the_arena_frees_one_step_early(patch: Patch) -> None:
    real = plan.Plan._arena

    def early(self: Any) -> Any:
        steps = self.steps
        self.steps = [step._replace(reads=[]) if k % 2 else step for k, step in enumerate(steps)]
        try:
            return real(self)
        finally:
            self.steps = steps

    patch.setattr(plan.Plan, "_arena", early)


@plant("native", 300)
def updates_in_place_read_elsewhere(patch: Patch) -> None:
    patch.setattr(plan, "_reads_same_place", lambda unit, state: True)


@plant("native", 400)
def updates_in_place_run_in_any_order(patch: Patch) -> None:
    patch.setattr(plan, "_out_of_order", lambda *args: None)


@plant("native", 400)
def descent_climbs(patch: Patch) -> None:
    real = descent._match

    def match(unit: Any, memory: Any) -> Any:
        found = real(unit, memory)
        return found if found is None or not isinstance(found.alpha, float) else found._replace(alpha=-found.alpha)

    patch.setattr(descent, "_match", match)


@plant("native", 300)
def a_kernel_claims_another_op(patch: Patch) -> None:
    patch.setattr(REGISTRY["argmax"], "kernel", REGISTRY["argmin"].kernel)


@functools.cache
def judged(seed: int) -> tuple[Any, Any]:
    """A program and what it should give, which no planted bug changes."""
    written = fuzzing.written(seed)
    with fuzzing.quiet():
        return written, fuzzing.Judge(written)


def found_within(part: str, seeds: range) -> Iterator[int]:
    for seed in seeds:
        written, judge = judged(seed)
        if fuzzing.failure_of(written, (part,), judge) is not None:
            yield seed


def test_a_bug_is_planted_in_each_pass() -> None:
    for name, _ in compiled.passes_in_order(set()):
        assert any(planted.startswith(f"{name}_") for planted in PLANTS), name


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part, within, break_it = PLANTS[name]
    break_it(monkeypatch)
    assert next(found_within(part, range(within)), None) is not None
