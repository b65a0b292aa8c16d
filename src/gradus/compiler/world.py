"""The world of a trace: what it does with every op, tensor and number that the traced function meets.

Tensors from outside are lifted to *states* when an op first touches them. Python numbers that library code reads by
:func:`gradus.mode.read_number` stay symbolic; every comparison of one is a guard.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, MutableMapping
from threading import get_ident
from typing import Any

import numpy as np

from gradus.compiler.graph import CONSTANT, INPUT, RESULT, STATE, Call, Graph, Number, Value
from gradus.compiler.inference import infer
from gradus.compiler.lifted import PastNode, State, Turn, lift
from gradus.compiler.tracers import TracedNumber, Tracer, elsewhere, is_window, strayed
from gradus.errors import TraceError, user_location
from gradus.mode import World
from gradus.primitive import Primitive
from gradus.tensors import Tensor
from gradus.versions import LATEST, tick


class Trace(World):
    """The world of one trace.

    Attributes:
        graph: what was noted.
        lifted: every tensor that was lifted, as it was.
        states: those that are no arguments, by their identity.
        number_guards: (number, value) pairs that the program relies on.
        leaf_guards: (owner, key, value) of what library code read that is no number.
        written: (owner, key) to the symbolic number that a step leaves there.
    """

    has_memory = True

    def __init__(self, external: set[int] | None = None) -> None:
        self.graph = Graph()
        self.external = external or set()
        self.inside: set[int] = set()
        self.ended = False
        self.turn = Turn(self.graph.calls)
        self.lifted: list[State] = []
        self.states: dict[int, State] = {}
        self.cells: dict[Any, Tracer] = {}
        self.constants: dict[int, Value] = {}
        self.numbers: dict[tuple[int, Any], Any] = {}
        self.written: dict[tuple[int, Any], tuple[MutableMapping[Any, Any], Any, Any]] = {}
        self.number_guards: list[tuple[Number, Any]] = []
        self.leaf_guards: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        # No WeakSet: a Ctrl-C that arrives in the callback by which it forgets a member would be lost.
        self.tracers: list[weakref.ref[Tracer]] = []

    # What the world does.

    def lift(self, tensor: Tensor) -> Tensor:
        """Let a tracer stand in for the memory of a tensor until the trace ends."""
        if type(tensor.value) is np.ndarray:
            if id(tensor) in self.inside:
                tensor.value = self._cell_of(tensor.value, CONSTANT)
            else:
                self.adopt(tensor, STATE)
        return tensor

    def touch(self, tensor: Tensor) -> None:
        """A tensor from outside is lifted, so that what becomes of it is noted."""
        if id(tensor) not in self.inside:
            self.lift(tensor)

    def created(self, tensor: Tensor) -> None:
        """Note a tensor that the function makes: a constant, not a state."""
        self.inside.add(id(tensor))

    def array(self, data: np.ndarray) -> Tracer | None:
        """An array from outside is read at every run."""
        return self.tracer(self.argument(data)) if id(data) in self.external else None

    def viewed(self, cell: Tracer) -> bool:
        """Whether some living tensor, or a saved value, is a view of a cell."""
        return any(tracer.base is cell for tracer in self.living())

    def adopt(self, tensor: Tensor, kind: str) -> State:
        """Note how a tensor is, and let the cell of its memory stand in."""
        array = tensor.value
        cell = self._cell_of(array, kind)
        hooks = tuple((tensor._hooks or {}).items())
        state = State(tensor, array, tensor._grad, tensor.requires_grad, cell.node, cell, tensor.node, hooks)
        self.lifted.append(state)  # first: after a Ctrl-C from here on, the tensor is put down again
        if kind == STATE:
            self.states[id(tensor)] = state
        lift(tensor, self.turn)
        tensor.value = cell
        if tensor.node is not None and tensor.requires_grad:
            tensor.node = PastNode(array.shape, array.dtype)
        return state

    def _cell_of(self, array: np.ndarray, kind: str) -> Tracer:
        """One cell for all tensors outside that lie in the very same memory."""
        _refuse_odd_strides(array)
        key = array.__array_interface__["data"][0], array.shape, array.strides, array.dtype, kind
        if kind == INPUT:
            return self.tracer(Value(INPUT, array.shape, array.dtype, _same_strides(array)))
        if key not in self.cells:
            value = self.argument(array) if kind == CONSTANT else Value(STATE, array.shape, array.dtype, array)
            self.cells[key] = self.tracer(value)
        return self.cells[key]

    def write(self, tensor: Tensor, value: Any) -> None:
        """Let the memory of a tensor hold another value: all that share it see it."""
        LATEST[0] = moment = tick()
        tensor.value.become(self.argument(value), (moment, user_location()))

    def past(self, value: Any) -> Any:
        """A cell that keeps what lies in another one now."""
        return self.tracer(self.argument(value))

    def living(self) -> list[Tracer]:
        """The tracers that somebody still holds."""
        return [tracer for reference in self.tracers if (tracer := reference()) is not None]

    def read_number(self, owner: MutableMapping[Any, Any], key: Any) -> Any:
        """A number kept in a dictionary, as a symbol; other leaves as they are, guarded."""
        place = (id(owner), key)
        if place in self.written:
            return self.written[place][2]
        if place not in self.numbers:
            self.numbers[place] = self._symbol(owner, key, owner[key])
        return self.numbers[place]

    def _symbol(self, owner: Any, key: Any, value: Any) -> Any:
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            return TracedNumber(self, Number(value.item() if isinstance(value, np.generic) else value, owner=owner, key=key))
        if type(value) is tuple and all(type(item) in (int, float) for item in value):
            whole = Number(value, owner=owner, key=key)
            return tuple([TracedNumber(self, Number(item, "[]", (whole, k))) for k, item in enumerate(value)])
        self.leaf_guards.append((owner, key, value))
        return value

    def write_number(self, owner: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Note what a step leaves in a dictionary."""
        self.written[(id(owner), key)] = (owner, key, value)

    # Notes.

    def tracer(self, value: Value) -> Tracer:
        """A cell with a value of the graph."""
        tracer = Tracer(self, value)
        self.tracers.append(weakref.ref(tracer))
        return tracer

    def argument(self, arg: Any) -> Any:
        """An argument of an op as the graph keeps it."""
        if isinstance(arg, Tracer):
            self._refuse_strangers(arg)
            return arg.current()
        if isinstance(arg, TracedNumber):
            self._refuse_strangers(arg)
            return arg.node
        if isinstance(arg, np.ndarray):
            if id(arg) not in self.constants:
                # The content of an array from outside is read at every run: it is a state that nobody writes to.
                self.constants[id(arg)] = Value(STATE if id(arg) in self.external else CONSTANT, arg.shape, arg.dtype, arg)
            return self.constants[id(arg)]
        return arg.item() if isinstance(arg, np.generic) else arg

    def _refuse_masks(self, args: tuple[Any, ...]) -> None:
        for arg in args[1:]:
            if (isinstance(arg, Tracer) or id(arg) in self.external) and arg.dtype.kind == "b":
                raise TraceError(
                    "a compiled function cannot select by a mask: how many elements are left depends on values",
                    got=f"a mask bool{list(arg.shape)} as an index",
                    wanted="shapes that are known before any numbers",
                    fix="gradus.where(mask, x, 0.0)",
                    code="E42",
                )

    def _refuse_strangers(self, arg: Tracer | TracedNumber) -> None:
        if self.in_another_thread:
            raise elsewhere()
        if self.ended or arg.trace is not self:
            raise strayed()

    @property
    def in_another_thread(self) -> bool:
        """Whether a running trace is met in a thread that is not its own."""
        return not self.ended and get_ident() != self.turn.thread

    def note(self, record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Tracer:
        """Add a call to the graph."""
        if record.family == "indexing":
            self._refuse_masks(args)
        params = {key: value._settled() if isinstance(value, TracedNumber) else value for key, value in params.items()}
        if record.family != "elementwise":  # NumPy's scalars are arrays there: einsum asks for their shape
            args = tuple([np.asarray(arg) if isinstance(arg, np.generic) else arg for arg in args])
        arguments = [self.argument(arg) for arg in args]
        output = Value(RESULT, *infer(record, arguments, params))
        call = Call(record, arguments, params, output)
        self.graph.calls.append(call)
        if record.family == "check":
            self.graph.effects.append(output)
        tracer = Tracer(self, output, args[0] if is_window(record, args, call) else None)
        self.tracers.append(weakref.ref(tracer))
        return tracer


def _same_strides(array: np.ndarray) -> np.ndarray:
    """Something that lies as an array does, without its memory; never read."""
    return np.lib.stride_tricks.as_strided(np.empty(1, array.dtype), array.shape, array.strides)


def _refuse_odd_strides(array: np.ndarray) -> None:
    if any(stride % array.itemsize for stride in array.strides):
        raise TraceError(
            "a compiled function cannot read memory whose elements do not lie at whole steps",
            got=f"strides {array.strides} of {array.dtype}",
            wanted="strides that are multiples of the element's size",
            why="the tensor looks into a structured array",
            fix="x.clone()",
            code="E42",
        )
