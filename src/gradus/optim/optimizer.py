"""Optimizer: parameter groups, per-parameter state, and the loop that applies an update rule to each parameter.

A subclass states two things: what it remembers about a parameter (:meth:`Optimizer.prepare`) and its rule (:meth:`Optimizer.update`),
a pure function of raw arrays. Parameters and state are written in place, never replaced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from gradus import backend, ops
from gradus.autograd import enable_grad, no_grad
from gradus.errors import CheckpointError, DTypeError, UsageError
from gradus.inplace import assign
from gradus.mode import MODE, read_number
from gradus.optim.groups import Group, as_groups, check_not_negative, check_parameter, split_names
from gradus.tensors import Tensor, wrap

State = dict[str, Any]

# Elements. Arrays above LARGE do not stay in a second-level cache from one pass of a rule to the next; six blocks of float32 (400 kB) do.
LARGE, BLOCK = 131072, 16384


class Optimizer:
    """Base of all optimisers.

    Args:
        params: tensors, (name, tensor) pairs, or dicts ``{"params": tensors, option: value, …}`` that set options of their own.
        defaults: the options of groups that do not set them.

    Attributes:
        param_groups: one dict a group; its options may be changed between steps.
        state: what is remembered about each parameter.

    Raises:
        UsageError: no parameters, the same one twice, or an option outside its range.
        GradError: a tensor that was computed from others, so that changing it would train nothing.

    Example:
        >>> import gradus
        >>> w = gradus.ones(2).requires_grad_()
        >>> class Descent(Optimizer):
        ...     def update(self, xp, p, g, state, options):
        ...         return p - options["lr"] * g, {}
        >>> opt = Descent([w], {"lr": 0.5})
        >>> w.sum().backward(); opt.step(); w
        tensor([0.5000, 0.5000], requires_grad=True)
    """

    # Names of the state tensors that have the parameter's shape and dtype.
    SAME_SHAPE: ClassVar[tuple[str, ...]] = ()
    # Whether the rule treats each element alone: then large arrays are updated block by block, while a block is in the cache.
    ELEMENTWISE: ClassVar[bool] = False

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: defaultdict[Tensor, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        for group in as_groups(params):
            self.add_param_group(group)

    # What a subclass states.

    def prepare(self, p: Tensor, state: State, options: Group) -> Group:
        """Before the rule, once a step: count, and make what ``state`` lacks. Returns the options that the rule gets."""
        return options

    def update(self, xp: Any, p: Any, g: Any, state: State, options: Group) -> tuple[Any, dict[str, Any]]:
        """The rule, without side effects.

        Args:
            xp: array namespace.
            p: parameter, a raw array.
            g: gradient, of the parameter's shape.
            state: what is remembered, tensors as raw arrays.
            options: the group's.

        Returns:
            The new parameter, and new arrays for names of ``state``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def validate(self, options: Group) -> None:
        """Refuse options outside their range."""
        check_not_negative(type(self).__name__, options, "lr", "weight_decay")

    # The loop.

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew; called first, with gradients on.

        Returns:
            What ``closure`` returned, else None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                options = {name: _plain(read_number(group, name)) for name in group if name != "params"}
                for p in group["params"]:
                    if p.grad is not None:
                        self._step_one(p, p.grad, options)
        return loss

    def _step_one(self, p: Tensor, grad: Tensor, options: Group) -> None:
        state = self.state[p]
        options = self.prepare(p, state, options)
        arrays = {name: read(value) if isinstance(value, Tensor) else read_number(state, name) for name, value in state.items()}
        value, g = read(p), read(grad)
        for name in self.SAME_SHAPE:
            if name in arrays and arrays[name].dtype != value.dtype:
                raise dtype_changed(self, name, arrays[name].dtype, value.dtype)
        if self.ELEMENTWISE and type(value) is np.ndarray and value.size > LARGE and _in_one_piece(value, g, *arrays.values()):
            self._step_in_blocks(value, g, arrays, options)
            return
        xp = backend.numpy if type(value) is np.ndarray and type(g) is np.ndarray else ops
        new, remembered = self.update(xp, value, -g if options.get("maximize") else g, arrays, options)
        assign(p, new)
        for name, array in remembered.items():
            assign(state[name], array)

    def _step_in_blocks(self, p: Any, g: Any, state: State, options: Group) -> None:
        """The same on stretches of the flattened arrays: the rule's passes find a block in the cache (Adam: three times as fast)."""
        arrays = {name: value.reshape(-1) for name, value in state.items() if type(value) is np.ndarray}
        p, g = p.reshape(-1), g.reshape(-1)
        for start in range(0, p.size, BLOCK):
            block = slice(start, start + BLOCK)
            blocks = {name: array[block] for name, array in arrays.items()}
            new, remembered = self.update(
                backend.numpy, p[block], -g[block] if options.get("maximize") else g[block], {**state, **blocks}, options
            )
            assign(wrap(p[block]), new)
            for name, array in remembered.items():
                assign(wrap(blocks[name]), array)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; ``set_to_none=False`` fills them with zeros instead."""
        for p in self._all():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.zero_()

    def _all(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    # Groups.

    def add_param_group(self, param_group: Group) -> None:
        """Add tensors with options of their own, such as layers thawed later."""
        group = dict(param_group)
        group["params"], names = split_names(group.get("params", ()))
        if names:
            group["param_names"] = names
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        known = {id(p) for p in self._all()}
        for i, p in enumerate(group["params"]):
            called = repr(names[i]) if names else f"number {i}"
            check_parameter(p, called)
            if id(p) in known:
                raise UsageError(
                    f"parameter {called} is given to the optimiser twice, so each step would update it twice",
                    got=f"a tensor of shape {tuple(p.shape)}",
                    wanted="every parameter once",
                    fix="model.parameters() lists shared parameters once",
                    code="E28",
                )
            known.add(id(p))
        self.validate(group)
        self.param_groups.append(group)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """State and options in PyTorch's layout: ``{"state": {0: {…}, …}, "param_groups": [{…, "params": [0, …]}, …]}``.

        Parameters are numbered in the order of the groups. The tensors share memory with the optimiser's own.
        """
        number = {id(p): i for i, p in enumerate(self._all())}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[id(p)]: dict(state) for p, state in self.state.items() if state}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and, by copy, state. Either all of it fits, or an error says why and nothing has changed.

        Args:
            state_dict: as from :meth:`state_dict`, or from PyTorch's optimiser of the same name.

        Raises:
            CheckpointError: other numbers of groups or parameters, options that are missing, or state of another shape.
        """
        groups = self._check_groups(state_dict)
        parameter = {
            i: p
            for mine, theirs in zip(self.param_groups, groups, strict=True)
            for i, p in zip(theirs["params"], mine["params"], strict=True)
        }
        loaded = {i: self._checked_state(i, parameter[i], state) for i, state in state_dict["state"].items() if i in parameter}
        with no_grad():
            for p in list(self.state):
                if not any(parameter[i] is p for i in loaded):
                    del self.state[p]
            for i, state in loaded.items():
                self._take(parameter[i], state)
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            mine.update(
                {
                    name: tuple(value) if isinstance(value, list) and name != "param_names" else value
                    for name, value in theirs.items()
                    if name != "params"
                }
            )

    def _check_groups(self, state_dict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise CheckpointError(
                f"this is not the state of an optimiser, so {name} cannot load it",
                wanted="a dict with 'state' and 'param_groups'",
                code="E34",
            )
        groups: list[Mapping[str, Any]] = state_dict["param_groups"]
        mine, theirs = [len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in groups]
        if mine != theirs:
            raise CheckpointError(
                f"the state belongs to another model than this {name}'s",
                got=f"groups of {theirs} parameters",
                wanted=f"groups of {mine} parameters",
                code="E34",
            )
        absent = sorted(set(self.defaults) - set(groups[0]))
        if absent:
            raise CheckpointError(
                f"the state belongs to another optimiser than {name}",
                got=f"options {sorted(set(groups[0]) - {'params'})}",
                wanted=f"also {absent}",
                code="E34",
            )
        return groups

    def _checked_state(self, i: int, p: Tensor, state: Mapping[str, Any]) -> State:
        """The state of one parameter as arrays and Python values."""
        checked: State = {}
        for name, value in state.items():
            if value is None:  # PyTorch's word for a buffer that is not there yet
                continue
            array = value.value if isinstance(value, Tensor) else np.asarray(value) if hasattr(value, "shape") else None
            if name == "step":
                checked[name] = int(value)
            elif array is None:
                checked[name] = value
            elif name in self.SAME_SHAPE and tuple(array.shape) != tuple(p.shape):
                raise CheckpointError(
                    f"state {name!r} of parameter {i} has another shape than the parameter",
                    got=f"{tuple(array.shape)}",
                    wanted=f"{tuple(p.shape)}",
                    code="E34",
                )
            else:
                checked[name] = array.astype(p.dtype) if array.dtype.kind == "f" else array.copy()
        return checked

    def _take(self, p: Tensor, state: State) -> None:
        """Copy state in, into the tensors that are there already where they fit."""
        mine = self.state[p]
        for name in [name for name in mine if name not in state]:
            del mine[name]
        for name, value in state.items():
            here = mine.get(name)
            if not hasattr(value, "shape"):
                mine[name] = value
            elif isinstance(here, Tensor) and here.shape == value.shape and here.dtype == value.dtype:
                assign(here, value)
            else:
                mine[name] = wrap(value)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {name}: {group[name]}" for name in sorted(group) if name != "params")]
        return "\n".join([*lines, ")"])


def read(tensor: Tensor) -> Any:
    """The raw array of a tensor, or under a trace the tracer that stands for it: a rule must not see the trace's state as constants."""
    return tensor.value if MODE.world is None else MODE.world.lift(tensor).value


def dtype_changed(optimiser: Optimizer, name: str, old: Any, new: Any) -> DTypeError:
    """The model was converted after the optimiser had begun: going on would round every update to the old precision."""
    return DTypeError(
        f"{type(optimiser).__name__} began with {old} parameters, and now they are {new}",
        got=f"state {name!r} {old}, parameter {new}",
        wanted="one dtype",
        why="model.double() or model.float() was called after the first step",
        fix="convert the model first, then make the optimiser",
        code="E14",
    )


def _in_one_piece(p: Any, *others: Any) -> bool:
    """Whether all arrays among the values are flat in memory and of the shape of ``p``."""
    arrays = [p, *(value for value in others if hasattr(value, "shape"))]
    return all(type(array) is np.ndarray and array.flags.c_contiguous and array.shape == p.shape for array in arrays)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's: ``np.float64(0.1) * g`` would silently turn a float32 update into float64."""
    return value.item() if isinstance(value, np.generic) else value
