"""Learning-rate schedules: functions of the step count, written into an optimiser's groups.

Call ``schedule.step()`` after ``optimizer.step()``: once an epoch or once a batch, in the unit the schedule's length is given in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradus.errors import CheckpointError, UsageError
from gradus.optim.optimizer import Optimizer


def cosine(start: float, end: float, share: float) -> float:
    """From ``start`` to ``end`` along half a cosine wave as ``share`` goes from 0 to 1.

    >>> [round(cosine(1.0, 0.0, share), 3) for share in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def linear(start: float, end: float, share: float) -> float:
    """From ``start`` to ``end`` along a line as ``share`` goes from 0 to 1.

    >>> linear(1.0, 3.0, 0.5)
    2.0
    """
    return start + (end - start) * share


def positive(name: str, value: Any) -> int:
    """A count of steps that is a whole number of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise UsageError(f"a schedule cannot have {name} = {value}", wanted="a whole number of at least 1", code="E29")
    return value


class LRScheduler:
    """Base of schedules: write :meth:`get_lr`, which gives one learning rate a group from ``self.last_epoch`` and ``self.base_lrs``.

    Args:
        optimizer: whose groups are changed.
        last_epoch: count to go on from; -1 begins anew with the groups' present learning rates as base.

    Attributes:
        base_lrs: one a group, the rate at the beginning.
        last_epoch: how many steps were made.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise UsageError("a schedule drives an optimiser", got=type(optimizer).__name__, wanted="an Optimizer", code="E29")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise UsageError(
                    f"parameter group {i} does not know its initial learning rate, so the schedule cannot go on from step {last_epoch}",
                    fix="load the optimiser's state first, or leave last_epoch at -1",
                    code="E30",
                )
        self.base_lrs: list[float] = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rates at ``self.last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr")

    def step(self) -> None:
        """Go one step on and write the new rates into the optimiser."""
        self.last_epoch += 1
        self._last_lr = [float(lr) for lr in self.get_lr()]
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The rates written last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Every attribute but the optimiser and functions, as plain numbers and lists."""
        return {name: value for name, value in vars(self).items() if name != "optimizer" and not callable(value)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; the rates themselves are in the optimiser's state.

        Raises:
            CheckpointError: the state belongs to another kind of schedule.
        """
        own = self.state_dict()
        absent = sorted(set(own) - set(state_dict))
        if absent:
            raise CheckpointError(
                f"the state belongs to another schedule than {type(self).__name__}",
                got=f"{sorted(state_dict)}",
                wanted=f"also {absent}",
                code="E34",
            )
        vars(self).update({name: state_dict[name] for name in own})


class LambdaLR(LRScheduler):
    """The base rate times a function of the step: ``lr = base * f(t)``.

    Args:
        optimizer: whose groups are changed.
        lr_lambda: the function, or one a group.
        last_epoch: count to go on from.

    Example:
        >>> import gradus
        >>> opt = gradus.optim.SGD([gradus.zeros(1)], lr=1.0)
        >>> LambdaLR(opt, lambda t: 0.5 ** (t + 1)).get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]], last_epoch: int = -1
    ) -> None:
        self._functions = _each(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """``base * f(t)``."""
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self._functions, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All but the functions, which no file can hold."""
        return {name: value for name, value in super().state_dict().items() if name != "_functions"}


class StepLR(LRScheduler):
    """The rate times ``gamma`` every ``step_size`` steps: ``lr = base * gamma ** (t // step_size)``.

    Args:
        optimizer: whose groups are changed.
        step_size: steps between two drops.
        gamma: factor of each drop.
        last_epoch: count to go on from.

    Example:
        >>> import gradus
        >>> opt = gradus.optim.SGD([gradus.zeros(1)], lr=1.0)
        >>> schedule = StepLR(opt, step_size=2, gamma=0.5)
        >>> for _ in range(4):
        ...     print(opt.param_groups[0]["lr"], end=" "); opt.step(); schedule.step()
        1.0 1.0 0.5 0.5
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = positive("step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """``base * gamma ** (t // step_size)``."""
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """A straight line from ``start_factor * base`` to ``end_factor * base``, then constant: a warm-up.

    Args:
        optimizer: whose groups are changed.
        start_factor: share of the base rate at the beginning, in (0, 1].
        end_factor: share at the end.
        total_iters: steps from one to the other.
        last_epoch: count to go on from.

    Example:
        >>> import gradus
        >>> opt = gradus.optim.SGD([gradus.zeros(1)], lr=1.0)
        >>> schedule = LinearLR(opt, start_factor=0.25, total_iters=3)
        >>> for _ in range(5):
        ...     print(opt.param_groups[0]["lr"], end=" "); opt.step(); schedule.step()
        0.25 0.5 0.75 1.0 1.0
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        for name, factor, least in (("start_factor", start_factor, 1e-300), ("end_factor", end_factor, 0.0)):
            if not least <= factor <= 1.0:
                raise UsageError(f"a warm-up cannot have {name} = {factor}", wanted=f"{name} in {'(0' if least else '[0'}, 1]", code="E29")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, positive("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """``base`` times the factor on the line."""
        factor = linear(self.start_factor, self.end_factor, min(self.last_epoch, self.total_iters) / self.total_iters)
        return [base * factor for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    r"""Half a cosine wave from the base rate down to ``eta_min`` (Loshchilov, Hutter 2017).

    .. math:: \eta_t = \eta_{min} + \tfrac12 (\eta_{base} - \eta_{min}) (1 + \cos(\pi t / T_{max}))

    Args:
        optimizer: whose groups are changed.
        T_max: steps from the highest rate to the lowest; after that the wave goes on, up again.
        eta_min: the lowest rate.
        last_epoch: count to go on from.

    Example:
        >>> import gradus
        >>> opt = gradus.optim.SGD([gradus.zeros(1)], lr=1.0)
        >>> schedule = CosineAnnealingLR(opt, T_max=2)
        >>> for _ in range(2):
        ...     opt.step(); schedule.step(); print(round(opt.param_groups[0]["lr"], 6))
        0.5
        0.0
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = positive("T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The formula above."""
        return [cosine(base, self.eta_min, self.last_epoch / self.T_max) for base in self.base_lrs]


CURVES = {"cos": cosine, "linear": linear}


class OneCycleLR(LRScheduler):
    """Up from ``max_lr / div_factor`` to ``max_lr``, then down to nearly nothing, momentum the other way round (Smith, Topin 2018).

    Args:
        optimizer: whose groups are changed; step the schedule once a batch.
        max_lr: the peak, one number or one a group.
        total_steps: length of the cycle; or give ``epochs`` and ``steps_per_epoch``.
        epochs: how many epochs.
        steps_per_epoch: batches in each.
        pct_start: share of the cycle that climbs.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: also move momentum (Adam: beta1) from ``max_momentum`` to ``base_momentum`` and back.
        base_momentum: the momentum at the peak of the rate.
        max_momentum: the momentum at both ends.
        div_factor: first rate = max_lr / div_factor.
        final_div_factor: last rate = first rate / final_div_factor.
        three_phase: come down to the first rate symmetrically, then to the last.
        last_epoch: count to go on from.

    Example:
        >>> import gradus
        >>> opt = gradus.optim.SGD([gradus.zeros(1)], lr=0.1, momentum=0.9)
        >>> schedule = OneCycleLR(opt, max_lr=1.0, total_steps=10, pct_start=0.5)
        >>> for _ in range(4):
        ...     opt.step(); schedule.step()
        >>> opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]
        (1.0, 0.85)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise UsageError(
                    "one cycle needs its length",
                    wanted="total_steps, or epochs and steps_per_epoch",
                    fix="OneCycleLR(opt, max_lr, total_steps=epochs * len(loader))",
                    code="E29",
                )
            total_steps = positive("epochs", epochs) * positive("steps_per_epoch", steps_per_epoch)
        self.total_steps = positive("total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise UsageError(f"one cycle cannot have pct_start = {pct_start}", wanted="a share in [0, 1]", code="E29")
        if anneal_strategy not in CURVES:
            raise UsageError(f"there is no anneal_strategy {anneal_strategy!r}", wanted="'cos' or 'linear'", code="E29")
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.pct_start, self.three_phase = pct_start, three_phase
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, _each(optimizer, "max_lr", max_lr), strict=True):
                first = float(peak) / div_factor
                group.update(initial_lr=first, max_lr=float(peak), min_lr=first / final_div_factor)
        if cycle_momentum:
            self._check_momentum(optimizer)
            if last_epoch == -1:
                highs, lows = _each(optimizer, "max_momentum", max_momentum), _each(optimizer, "base_momentum", base_momentum)
                for group, high, low in zip(optimizer.param_groups, highs, lows, strict=True):
                    group.update(max_momentum=float(high), base_momentum=float(low))
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _check_momentum(optimizer: Optimizer) -> None:
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise UsageError(f"{type(optimizer).__name__} has no momentum to cycle", fix="OneCycleLR(…, cycle_momentum=False)", code="E29")

    def get_lr(self) -> list[float]:
        """The rates on the phase that the present step is in; momentum is written on the way."""
        t = self.last_epoch
        if t > self.total_steps:
            raise UsageError(
                f"the cycle is over: step {t} of {self.total_steps}",
                why="total_steps counts calls of schedule.step(); in batches, not epochs",
                fix="OneCycleLR(opt, max_lr, total_steps=epochs * len(loader))",
                code="E30",
            )
        begin, (end, lr0, lr1, m0, m1) = phase_at(t, one_cycle_phases(self.total_steps, self.pct_start, self.three_phase))
        share = (t - begin) / (end - begin) if end > begin else 1.0
        curve = CURVES[self.anneal_strategy]
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            momentum = curve(group[m0], group[m1], share)
            group.update({"betas": (momentum, *group["betas"][1:])} if "betas" in group else {"momentum": momentum})
        return [curve(group[lr0], group[lr1], share) for group in self.optimizer.param_groups]


def one_cycle_phases(total_steps: int, pct_start: float, three_phase: bool) -> list[tuple[Any, ...]]:
    """The phases of one cycle: (last step, rate from, rate to, momentum from, momentum to), by the names of group options.

    >>> [phase[0] for phase in one_cycle_phases(100, 0.3, three_phase=False)]
    [29.0, 99]
    """
    up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    peak = float(pct_start * total_steps) - 1
    if not three_phase:
        return [(peak, *up), (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    return [
        (peak, *up),
        (float(2 * pct_start * total_steps) - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
        (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
    ]


def phase_at(t: int, phases: list[tuple[Any, ...]]) -> tuple[float, tuple[Any, ...]]:
    """The step at which the phase of step ``t`` began, and that phase; the last one never ends."""
    begin = 0.0
    for phase in phases[:-1]:
        if t <= phase[0]:
            return begin, phase
        begin = phase[0]
    return begin, phases[-1]


def _each(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value a group, from one for all or a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise UsageError(
            f"{name} has another length than the optimiser has groups", got=f"{len(value)} values", wanted=f"{count}", code="E29"
        )
    return list(value)
