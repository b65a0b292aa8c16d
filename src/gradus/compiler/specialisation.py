"""A specialisation: one traced program of a compiled function, when it may run, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.compiler.direct_call import write_direct_call
from gradus.compiler.effects import Argument, Output, Traced
from gradus.compiler.graph import STATE, Graph, Number, Value
from gradus.compiler.guards import LEAVES
from gradus.compiler.numpy_program import NumpyProgram
from gradus.compiler.program import Program
from gradus.compiler.shared_memory import Memory, form
from gradus.compiler.surroundings import Surroundings
from gradus.compiler.tiers import NATIVE
from gradus.compiler.trees import map_tree
from gradus.dtypes import get_default_dtype
from gradus.errors import GradError
from gradus.mode import MODE
from gradus.tape import Node
from gradus.tensors import Tensor, wrap
from gradus.versions import count_write, counted

MISS = object()
Passes = Callable[[Graph, set[int]], Graph]


class OutsideNode(Node):
    """The history of a compiled function's result: there is none to go back through."""

    special = closed = True

    def __init__(self) -> None:
        super().__init__(None, (), (), (), None)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "a compiled function"

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """Backward from outside cannot enter."""
        raise GradError(
            "backward cannot go into a compiled function from outside",
            got="the output of a compiled function",
            wanted="loss.backward() inside it",
            why="what the derivative would need was not kept",
            fix="compile loss and gradient together: gradus.compile(gradus.value_and_grad(f)), or a whole step with loss.backward() in it",
            code="E22",
        )


class Specialisation:
    """One traced program, and when it may run.

    Attributes:
        surroundings, traced, graph, program: what it was made from, and what runs.
        signature, structure: of the arguments; see :func:`signature` and the tree that they hang in.
        fixed: (position, tensor) of arguments that the function also reaches from outside.
        updated: the memory of the states that a run writes.
        reached: all memory that a run reads beside its arguments, where one of these is written to.
        forms: (array, its form) of all arrays from outside whose addresses and shapes the program knows.
        fits_direct_call: whether positional tensors come in, and tensors go out, and nothing else happens than gradients and updates.
        direct_call: its check and run as one flat function, once :meth:`prepare_direct_call` has written it; None where there is none.
    """

    def __init__(self, surroundings: Surroundings, traced: Traced, leaves: list[Any], structure: Any, tier: str, passes: Passes) -> None:
        self.surroundings, self.traced, self.structure = surroundings, traced, structure
        self.signature = signature(leaves)
        self.fixed = [(k, leaf) for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and id(leaf) in surroundings.tensors]
        self.grad_enabled, self.default_dtype = MODE.grad_enabled, get_default_dtype()
        written = [(owner, key, _node(value)) for owner, key, value in traced.trace.written.values()]
        native = tier == NATIVE
        self.graph = passes(traced.graph, surroundings.arrays)
        self.program: Program | NumpyProgram = Program(self.graph, written) if native else NumpyProgram(self.graph, written)
        self.states = list(traced.trace.states.values())
        self.number_guards = traced.trace.number_guards
        self.leaf_guards = traced.trace.leaf_guards
        self.outside = OutsideNode()
        self.direct_call: Callable[..., Any] | None = None
        self.results = list(traced.graph.outputs)
        self.taken = traced.taken
        self.grads, copied = self._grads()
        self.updated = Memory(value.array for value, _ in self.graph.updates)
        self.external = [value.array for value in traced.trace.constants.values() if value.kind == STATE]
        outside = [*(state.array for state in self.states), *self.external]
        self.reached = Memory(outside if traced.writes else [])
        self.forms = [(array, form(array)) for array in outside]
        self.count_writes = counted(self.updated.arrays, "a compiled function")
        plain = not (copied or self.fixed or traced.writes or traced.flags or traced.arg_grads)
        self.fits_direct_call = (
            plain
            and structure == repr((tuple([None] * len(leaves)), {}))
            and self.taken == list(range(len(leaves)))
            and all(isinstance(holder, Tensor) for holder, _ in traced.grads)
            and not any(state.hooks for state in self.states)
        )

    def _grads(self) -> tuple[list[tuple[Any, int, bool]], bool]:
        """(tensor or argument, position of its new ``grad`` among the results or -1, whether that array is another's too)."""
        found: list[tuple[Any, int, bool]] = []
        used: set[Value] = set()
        for holder, value in self.traced.grads:
            k = -1 if value is None else self.index(value)
            found.append((holder, k, k >= 0 and self.graph.outputs[k] in used))
            used.update([self.graph.outputs[k]] if k >= 0 else [])
        return found, any(again for *_, again in found)

    def broken(self, leaves: list[Any], structure: Any) -> str:
        """Why this program cannot serve a call, in words; "" if it can."""
        if structure != self.structure or len(leaves) != len(self.signature):
            return "the arguments have another structure"
        for k, (old, new) in enumerate(zip(self.signature, signature(leaves), strict=True)):
            if old != new:
                return f"argument {k}: {_told(old)} became {_told(new)}"
        for k, tensor in self.fixed:
            if leaves[k] is not tensor:
                return f"argument {k} was a tensor that the function also reaches from outside"
        shared = self.shared_memory([leaves[k].value for k in self.taken], [leaves[k].value for k, _ in self.traced.writes])
        if shared:
            return shared
        for k, grad in self.traced.arg_grads:
            if leaves[k]._grad is not grad:
                return f"the grad of argument {k} is another tensor"
        if self.grad_enabled != MODE.grad_enabled:
            return f"gradients were {'on' if self.grad_enabled else 'off'}"
        if self.default_dtype != get_default_dtype():
            return "the default dtype"
        for state in self.states:
            if state.tensor.value is not state.array:
                return f"a tensor of shape {state.array.shape} got other memory"
            if state.tensor.requires_grad is not state.requires_grad:
                return f"requires_grad of a tensor of shape {state.array.shape}"
            if (state.tensor._grad is None) is not (state.grad is None):
                there = "None" if state.grad is None else "there"
                return f"the grad of a tensor of shape {state.array.shape} was {there} at the start of a call"
            if tuple((state.tensor._hooks or {}).items()) != state.hooks:
                return f"the hooks of a tensor of shape {state.array.shape}"
            if state.grad is not None and id(state.grad) in self.traced.trace.states and state.tensor._grad is not state.grad:
                return f"the grad of a tensor of shape {state.array.shape} is another tensor"
        for array, known in self.forms:
            if form(array) != known:
                return f"an array of shape {list(known[0])} was changed in place: shape {list(array.shape)}, {_access(array)}"
        changed = self.changed_number()
        if changed:
            return changed
        return "" if self.surroundings.hold() else self.surroundings.broken()

    def shared_memory(self, inputs: list[np.ndarray], written: list[np.ndarray]) -> str:
        """Which memory that is written a call reaches in a second way, in words; "" if there is none."""
        if self.updated.arrays and any(self.updated.meets(x) for x in inputs):
            return "an argument lies in memory that the function writes to"
        for array in written:
            if not array.flags.writeable:
                return "an argument that is written to lies in read-only memory"
            if any(x is not array and np.may_share_memory(x, array) for x in inputs) or sum(x is array for x in inputs) > 1:
                return "arguments, of which one is written to, share memory"
            if self.reached.meets(array):
                return "an argument that is written to lies in memory that the function also reaches from outside"
        return ""

    def changed_number(self) -> str:
        """A number or option whose value decided something at the trace and is another one now, in words; "" if there is none."""
        known: dict[Number, Any] = {}
        for number, example in self.number_guards:
            if number.evaluate(known) != example:
                return f"a number that decided something: {example} became {known[number]}"
        for owner, key, value in self.leaf_guards:
            if owner[key] != value:
                return f"{key}: {value!r} became {owner[key]!r}"
        return ""

    def run(self, leaves: list[Any]) -> Any:
        """The result of a call."""
        arrays = self.program.run(*[leaves[k].value for k in self.taken])
        self.count_writes()

        def result(leaf: Any) -> Any:
            if isinstance(leaf, Output):
                tensor = wrap(arrays[self.index(leaf.value)])
                if leaf.requires_grad:
                    tensor.requires_grad, tensor.node = True, self.outside
                return tensor
            if isinstance(leaf, Argument):
                return leaves[leaf.position]
            return leaf.evaluate({}) if isinstance(leaf, Number) else leaf

        returned = map_tree(result, self.traced.result)
        self._take_effect(leaves, arrays)
        return returned

    def _take_effect(self, leaves: list[Any], arrays: Any) -> None:
        """What becomes of ``grad`` and ``requires_grad``, and of arguments that are written to."""
        for holder, k, again in self.grads:
            tensor = leaves[holder] if isinstance(holder, int) else holder
            tensor._grad = None if k < 0 else wrap(arrays[k].copy() if again else arrays[k])
        for position, value in self.traced.writes:
            memory = leaves[position].value
            np.copyto(memory, arrays[self.index(value)])
            count_write(memory, "a compiled function")
        for holder, flag in self.traced.flags:
            (leaves[holder] if isinstance(holder, int) else holder).requires_grad = flag

    def prepare_direct_call(self, lock: Any) -> None:
        """Write :attr:`direct_call`, which gives MISS when a guard does not hold, without saying which."""
        self.direct_call = write_direct_call(self, lock, MISS) if self.fits_direct_call else None

    def index(self, value: Value) -> int:
        """Where among the outputs a value of the traced graph is."""
        return self.results.index(value)


def _node(value: Any) -> Any:
    return getattr(value, "node", value)


def signature(leaves: list[Any]) -> list[Any]:
    """What two calls that share a program have in common: types of tensors, values of Python leaves, which leaves are the same tensor."""
    first: dict[int, int] = {}
    found: list[Any] = []
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            v = leaf.value
            found.append((v.shape, v.dtype, v.strides, leaf.requires_grad, leaf._grad is None, first.setdefault(id(leaf), k)))
        else:
            found.append((type(leaf), _identity(leaf)))
    return found


def _identity(leaf: Any) -> Any:
    """What a Python argument is compared by: values that are spelled alike are one to every computation, and NaN is NaN."""
    if isinstance(leaf, (float, complex, range, np.inexact)):
        return repr(leaf)
    if type(leaf) is slice:
        return repr([_identity(part) for part in (leaf.start, leaf.stop, leaf.step)])
    return leaf if isinstance(leaf, LEAVES) else id(leaf)


def _told(entry: Any) -> str:
    if len(entry) == 6:
        return f"{entry[1]}{list(entry[0])}"
    return entry[1] if type(entry[1]) is str and entry[0] is not str else repr(entry[1])


def _access(array: np.ndarray) -> str:
    return f"{array.dtype}, {'writable' if array.flags.writeable else 'read-only'}"
