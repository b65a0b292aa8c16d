"""Random programs in the names that Gradus and PyTorch share: the very same text runs with either library.

A program is a step: inputs and states (parameters, buffers), some statements, a loss whose backward pass runs inside, updates of the
states, and results. It is written as text, one statement after the other; PyTorch runs along while it is written and says which shapes
there are. A program can lose any of its statements and is still a program, so that a failing one can be made small:
see :meth:`Program.smaller`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from statements import FAMILIES, UPDATES

NAME = re.compile(r"\b[vxps]\d+\b")
UPDATE = re.compile(r"^(\w+\.(?:add|sub)_)\(([^,]+?)(, alpha=[^,]*)?\)$")  # what an update adds or takes away
LENGTHS = (1, 3, 4, 8)
ODD_LENGTHS = (0, 2, 5, 17)
LARGEST = 2048  # elements of a value
LIBRARY_ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AttributeError)


class Leaf(NamedTuple):
    """A tensor from outside: what it holds at each call, and how it lies in memory.

    Attributes:
        kind: how its numbers are drawn, see :func:`numbers`.
        base: shape of the array that is made; ``view`` is an expression of ``a``, that array, which gives the leaf.
        learned: whether it requires a gradient.
    """

    name: str
    kind: str
    base: tuple[int, ...]
    dtype: str
    view: str = "a"
    learned: bool = False


class Line(NamedTuple):
    """A statement. ``rough``: it rounds, so that another library may give other last digits; ``makes``: the name it defines, if any."""

    text: str
    op: str
    rough: bool = True
    makes: str = ""

    @property
    def needs(self) -> set[str]:
        """Names that it reads."""
        return set(NAME.findall(self.text)) - {self.makes}


class Program(NamedTuple):
    """A step, as text.

    Attributes:
        body: statements before the loss.
        terms: names whose weighted sum is the loss.
        updates: statements under ``no_grad`` at the end.
        outputs: names that are returned.
        wrong_at_last: whether the last call's whole-number inputs are out of range.
        random: whether it draws random numbers.
        forgets: whether gradients are dropped at the end, as by ``zero_grad``, instead of at the start.
    """

    seed: int
    leaves: tuple[Leaf, ...]
    body: tuple[Line, ...]
    terms: tuple[str, ...]
    updates: tuple[Line, ...]
    outputs: tuple[str, ...]
    wrong_at_last: bool = False
    random: bool = False
    forgets: bool = False

    @property
    def learned(self) -> list[str]:
        """Names of the leaves that get gradients."""
        return [leaf.name for leaf in self.leaves if leaf.learned]

    @property
    def results(self) -> list[str]:
        """Names that are returned, what is looked up with wrong numbers among them: compiled, what nobody needs is not looked up."""
        if not self.wrong_at_last:
            return list(self.outputs)
        below = {leaf.name for leaf in self.leaves if leaf.kind.startswith("below")}
        return list(dict.fromkeys([*self.outputs, *(line.makes for line in self.body if line.needs & below)]))

    def lines(self, noise: bool = False) -> Iterator[str]:
        """The body of the function. With ``noise``, what rounds is disturbed in its last digit, before and after."""
        inputs = [leaf.name for leaf in self.leaves if leaf.name[0] == "x"]
        yield f"def step({', '.join(inputs)}):"
        forgotten = [f"    {name}.grad = None" for name in self.learned]
        yield from ([] if self.forgets else forgotten)
        for line in self.body:
            text = line.text
            if noise and line.rough and line.makes:
                _, _, right = text.partition(" = ")
                text = f"{line.makes} = noise({NAME.sub(lambda found: f'noise({found[0]})', right)})"
            yield f"    {text}"
        if self.terms:
            named = [f"noise({name})" if noise else name for name in self.terms]
            terms = [f"({name} * {WEIGHTS[k % len(WEIGHTS)]}).sum()" for k, name in enumerate(named)]
            yield f"    loss = {' + '.join(terms)}"
            yield "    loss.backward()"
        if self.updates:
            yield "    with torch.no_grad():"
            texts = [UPDATE.sub(r"\1(noise(\2)\3)", line.text) if noise else line.text for line in self.updates]
            yield from (f"        {text}" for text in texts)
        yield from (forgotten if self.forgets else [])
        results = [*self.results, *(["loss"] if self.terms else [])]
        yield f"    return [{', '.join(results)}]"

    def without(self, dropped: set[int], updates: set[int], terms: set[str], outputs: set[str]) -> Program:
        """The program less some statements, and less all that needs them."""
        lost: set[str] = set()
        body = []
        for k, line in enumerate(self.body):
            if k in dropped or line.needs & lost:
                lost |= {line.makes} if line.makes else set()
            else:
                body.append(line)
        kept = tuple(line for k, line in enumerate(self.updates) if k not in updates and not line.needs & lost)
        smaller = self._replace(
            body=tuple(body),
            updates=kept,
            terms=tuple(name for name in self.terms if name not in lost | terms),
            outputs=tuple(name for name in self.outputs if name not in lost | outputs),
        )
        used = {name for line in (*smaller.body, *smaller.updates) for name in line.needs} | {*smaller.outputs, *smaller.terms}
        return smaller._replace(leaves=tuple(leaf for leaf in self.leaves if leaf.name in used))

    def smaller(self) -> Iterator[Program]:
        """Every program with one statement, update, term or result less, the last ones first."""
        for k in reversed(range(len(self.body))):
            yield self.without({k}, set(), set(), set())
        for k in reversed(range(len(self.updates))):
            yield self.without(set(), {k}, set(), set())
        for name in reversed(self.terms):
            yield self.without(set(), set(), {name}, set())
        for name in reversed(self.outputs):
            yield self.without(set(), set(), set(), {name})
        if any(leaf.view != "a" for leaf in self.leaves):
            yield self._replace(leaves=tuple(leaf._replace(base=view_shape(leaf), view="a") for leaf in self.leaves))

    def code(self, calls: int) -> str:
        """A file that runs it: eagerly, then compiled."""
        text = [
            "import numpy as np, gradus as torch, gradus.nn.functional as F",
            "from numpy import array, inf, nan",
            "f32, f64 = torch.float32, torch.float64",
            "def run(wrap):",
        ]
        for leaf in self.leaves:
            if leaf.name[0] != "x":
                text += [f"    a = torch.tensor({literal(numbers(self, leaf, 0))})", f"    {leaf.name} = {leaf.view}"]
                text += [f"    {leaf.name}.requires_grad_()"] if leaf.learned else []
        text += [f"    {line}" for line in self.lines()]
        text += ["    go = wrap(step)"]
        for call in range(calls):
            names = []
            for leaf in self.leaves:
                if leaf.name[0] == "x":
                    text += [f"    a = torch.tensor({literal(numbers(self, leaf, call))})", f"    {leaf.name} = {leaf.view}"]
                    text += [f"    {leaf.name}.requires_grad_()"] if leaf.learned else []
                    names.append(leaf.name)
            seeded = f"torch.manual_seed({call}); " if self.random else ""
            text.append(f"    {seeded}print(go({', '.join(names)}))")
        watched = [leaf.name for leaf in self.leaves if leaf.name[0] != "x"]
        text += [f"    print({', '.join([*watched, *(f'{name}.grad' for name in self.learned)])})"]
        text += ["for wrap in (lambda f: f, lambda f: torch.compile(f, tier='numpy'), torch.compile):", "    run(wrap)"]
        return "\n".join(text)


WEIGHTS = ("0.5", "1.0", "-0.25", "2.0")


def literal(array: np.ndarray) -> str:
    """An array as text."""
    if array.size == 0:
        return f"np.zeros({array.shape}, np.{array.dtype})"
    if array.size > 600:
        return f"np.frombuffer(bytes.fromhex('{array.tobytes().hex()}'), np.{array.dtype}).reshape({array.shape}).copy()"
    return f"np.array({array.tolist()!r}, np.{array.dtype})"


def view_shape(leaf: Leaf) -> tuple[int, ...]:
    """The shape of a leaf, whose view is written so that NumPy understands it too, by name of axis."""
    return tuple(eval(leaf.view, {"a": torch.zeros(leaf.base), "torch": torch}).shape)


SPECIAL = (np.nan, np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, -1e-40, 3e38, -1.0, 1.0)


def numbers(program: Program, leaf: Leaf, call: int) -> np.ndarray:
    """What a leaf's base holds at a call. States are drawn once."""
    index = [0 if char.isalpha() else int(char) for char in leaf.name[1:]]
    rng = np.random.default_rng([program.seed, ord(leaf.name[0]), *index, call if leaf.name[0] == "x" else 0])
    shape, kind = leaf.base, leaf.kind
    if leaf.dtype == "bool":
        return rng.random(shape) < 0.5
    if leaf.dtype.startswith("int"):
        if kind.startswith("below"):
            limit = int(kind.split()[1])
            found = rng.integers(0, max(limit, 1), shape)
            first = next((other.name for other in program.leaves if other.kind.startswith("below")), "")
            if program.wrong_at_last and call == CALLS - 1 and found.size and leaf.name == first:  # of two errors either may come first
                found.reshape(-1)[-1] = limit + 2
            return found.astype(leaf.dtype)
        return rng.integers(-3, 4, shape).astype(leaf.dtype)
    if kind == "smooth":
        found = rng.standard_normal(shape)
    elif kind == "positive":
        found = rng.uniform(0.25, 2.0, shape)
    elif kind == "unit":
        found = np.clip(rng.integers(0, 9, shape) / 8, 0.0625, 0.9375)
    else:  # ties, zeros of both signs
        found = rng.integers(-8, 9, shape) / 4 * rng.choice([1.0, 1.0, -1.0], shape)
    if kind == "special":
        found = np.where(rng.random(shape) < 0.15, rng.choice(SPECIAL, shape), found)
    with np.errstate(over="ignore"):
        return np.asarray(found, np.float32).astype(leaf.dtype)


CALLS = 3


class NoFit(Exception):
    """No value of a kind that a template asks for."""


class Writer:
    """Writes one program; PyTorch and Gradus run along."""

    def __init__(self, seed: int, libraries: list[dict[str, Any]], large: bool = False) -> None:
        self.rng = random.Random(seed)
        self.seed, self.libraries, self.large = seed, libraries, large
        self.limit = LARGEST if not large else 60_000
        self.leaves: list[Leaf] = []
        self.body: list[Line] = []
        self.random = False
        self.special = self.rng.random() < 0.2
        self.plain = self.rng.random() < 0.15  # plain gradient descent
        self.dtype = "float64" if self.rng.random() < 0.12 else "float32"
        self.refused: list[str] = []
        self.count = {"x": 0, "p": 0, "s": 0, "v": 0}
        self.holder = Program(seed, (), (), (), (), ())

    @property
    def env(self) -> dict[str, Any]:
        """What PyTorch has."""
        return self.libraries[0]

    # Leaves.

    def leaf(self, letter: str, kind: str, shape: tuple[int, ...], dtype: str, learned: bool = False, view: str = "a") -> str:
        """A new leaf, known to both libraries."""
        name = f"{letter}{self.count[letter]}"
        self.count[letter] += 1
        leaf = Leaf(name, kind, shape, dtype, view, learned)
        self.leaves.append(leaf)
        for env in self.libraries:
            place(env, self.holder, leaf, 0)
        return name

    def shape(self) -> tuple[int, ...]:
        """A shape; lengths come from a small set, so that kernels are shared."""
        if self.large:
            return self.rng.choice([(64, 784), (784, 48), (64, 50), (64, 48), (48, 50), (9000,), (130, 70), (3, 40, 50)])
        odd = self.rng.random() < 0.08
        lengths = [self.rng.choice(LENGTHS) for _ in range(self.rng.choice([1, 1, 2, 2, 2, 3, 3, 4]))]
        if odd:
            lengths[self.rng.randrange(len(lengths))] = self.rng.choice(ODD_LENGTHS)
        return tuple(lengths) if self.rng.random() > 0.04 else ()

    def outside(self, letter: str) -> None:
        """An input, parameter or buffer."""
        shape = self.shape()
        if letter == "x" and self.rng.random() < 0.25:
            dtype = self.rng.choice(["int64", "int32", "bool"])
            self.leaf("x", "whole", shape, dtype)
            return
        kind = self.rng.choice(["smooth", "grid", "positive"]) if not self.special else self.rng.choice(["special", "special", "grid"])
        dtype = self.dtype if self.rng.random() < 0.95 else "float64"
        view = "a"
        if shape and self.rng.random() < 0.2:
            view = self.rng.choice(
                ["a.transpose(0, -1)", "a[::2]", "a[1:]", "a.transpose(0, -1)", "a[..., ::3]", "a.unsqueeze(0).expand(3, *a.shape)[:, 0]"]
            )
            if "expand" in view and (letter != "x" or 0 in shape):
                view = "a"
        self.leaf(letter, kind, shape, dtype, letter == "p" or (letter == "x" and self.rng.random() < 0.15), view)

    # Values.

    def pick(self, wanted: Callable[[Any], bool]) -> str:
        """A name whose tensor is as wanted; later ones more often."""
        torch = self.env["torch"]
        names = [name for name, t in self.env.items() if NAME.fullmatch(name) and isinstance(t, torch.Tensor) and wanted(t)]
        if not names:
            raise NoFit
        later = names[-6:] if self.rng.random() < 0.6 else names
        return self.rng.choice(later)

    def filled(self, template: str) -> str:
        """A template with names and numbers in it."""
        first: list[str] = []
        axes: list[int] = []

        def fill(found: re.Match[str]) -> str:
            slot = found[1]
            text = self.slot(slot, first, axes)
            if slot in SETS_FIRST or (slot[0] in "fx" and slot[1:].isdigit()):
                first[:] = [text]
            return text

        return re.sub(r"\{(\w+)\}", fill, template)

    def slot(self, slot: str, first: list[str], axes: list[int]) -> str:
        """What fills a slot."""
        rng, env = self.rng, self.env
        x = env[first[0]] if first else None
        dims = int(slot[1:]) if slot[1:].isdigit() else 0
        if slot[0] in "fx" and (slot[1:].isdigit() or len(slot) == 1):
            floating = slot[0] == "f"
            if first and len(slot) == 1 and slot == "f" and rng.random() < 0.5:
                return first[0]
            return self.pick(lambda t: t.dim() >= dims and (t.is_floating_point() or not floating))
        if slot == "i":
            return self.pick(lambda t: str(t.dtype) in ("torch.int64", "torch.int32"))
        if slot == "h":
            return self.pick(lambda t: t.dtype == x.dtype and broadcasts(t, x)) if rng.random() < 0.7 else rng.choice(["1", "2", "-3"])
        if slot == "b":
            return self.pick(lambda t: str(t.dtype) == "torch.bool" and (x is None or broadcasts(t, x)))
        if slot == "g":
            return self.pick(lambda t: t.is_floating_point() and broadcasts(t, x) and t.dtype == x.dtype)
        if slot == "s":
            return self.pick(lambda t: t.shape == x.shape and t.dtype == x.dtype)
        if slot == "same":
            return first[0]
        if slot == "copy":
            return self.pick(lambda t: t.is_floating_point() and t.dim() > 0)
        if slot in ("d", "e", "u", "ds", "perm", "cut", "shape"):
            return self.axis_slot(slot, x, axes)
        if slot == "k":
            return rng.choice(["0.5", "-0.25", "1.5", "2", "0.0", "-1.0"])
        if slot == "keep":
            return rng.choice(["True", "False"])
        if slot == "c":
            return rng.choice(["0", "1"])
        return self.partner_slot(slot, x)

    def axis_slot(self, slot: str, x: Any, axes: list[int]) -> str:
        """Axes, keys and shapes."""
        rng, n = self.rng, x.dim()
        if slot == "u":
            return str(rng.randint(0, n))
        if slot == "ds":
            if n == 0:
                return "0"
            return str(tuple(sorted(rng.sample(range(n), rng.randint(1, n)))))
        if slot == "perm":
            return ", ".join(map(str, rng.sample(range(n), n))) or "()"
        if slot == "cut":
            cuts = ["1:", ":-1", "::2", "1::2", ":", "-2:", ":1", ":0"]
            return ", ".join(rng.choices(cuts, [3, 3, 3, 2, 3, 2, 2, 0.2], k=rng.randint(1, n)))
        if slot == "shape":
            total = x.numel()
            options = [(total,), (1, total), (total, 1)] + [(k, total // k) for k in (2, 3, 4, 8) if total and total % k == 0]
            options += [(k, j, total // k // j) for k in (2, 3, 4) for j in (1, 2, 4) if total and total % (k * j) == 0]
            return str(rng.choice(options))
        if n == 0 or (slot == "e" and n < 2):
            raise NoFit
        if slot == "d":
            axes[:] = axes or [rng.randrange(n)]
            if axes[0] >= n:
                raise NoFit
            return str(axes[0])
        return str(rng.choice([k for k in range(n) if k not in axes]))

    def partner_slot(self, slot: str, x: Any) -> str:
        """A second operand with a shape of its own: an existing value, or a new parameter or input."""
        rng = self.rng
        dtype = "float64" if x is not None and str(x.dtype) == "torch.float64" else "float32"
        if slot in ("right", "weight", "last", "bias", "table"):
            width = rng.choice(LENGTHS) if not self.large else 48
            if slot == "right":
                inner = x.shape[-1]
                shape = rng.choice([(inner, width), (inner, width), (inner,), (3, inner, width) if not self.large else (inner, width)])
                found = [self.pick(lambda t: t.dtype == x.dtype and t.dim() >= 2 and t.shape[-2] == inner)] if rng.random() < 0.4 else []
                return found[0] if found else self.leaf("p", "smooth", shape, dtype, True)
            if slot == "weight":
                return self.leaf("p", "smooth", (4, x.shape[-1]), dtype, True)
            shapes = {"bias": (4,), "last": tuple(x.shape[-1:]) if x is not None else (), "table": (8, 4)}
            return self.leaf("p", "smooth", shapes[slot], dtype if slot != "table" else self.dtype, True)
        if slot == "matrix":
            return self.pick(lambda t: t.is_floating_point() and t.dim() == 2 and t.shape[1] > 1 and t.numel() > 0)
        if slot == "image":
            images = [
                name
                for name, t in self.env.items()
                if NAME.fullmatch(name) and t.dim() == 4 and t.is_floating_point() and min(t.shape[2:]) >= 4 and t.numel()
            ]
            return rng.choice(images) if images else self.leaf("x", "grid", (3, 1, 8, 8), self.dtype)
        if slot == "kernel":
            return self.leaf("p", "smooth", (4, x.shape[1], 3, 3), dtype, True)
        if slot == "images":
            found = [
                name for name, t in self.env.items() if NAME.fullmatch(name) and t.dim() == 4 and t.shape[1] == 8 and t.is_floating_point()
            ]
            if found and rng.random() < 0.5:
                return rng.choice(found)
            return self.leaf(rng.choice("xp"), rng.choice(["smooth", "grid"]), (3, 8, 4, rng.choice([4, 8])), self.dtype, True)
        if slot in ("kernels", "eight"):
            return self.leaf("p", "smooth", (8, 8, 3, 3) if slot == "kernels" else (8,), dtype, True)
        if slot == "below":
            return self.leaf("x", f"below {min(x.shape)}", (3,), "int64")
        if slot == "below_first":
            return self.leaf("x", f"below {x.shape[0] if x is not None else 8}", rng.choice([(3,), (4, 3)]), rng.choice(["int64", "int32"]))
        if slot == "below_last":
            return self.leaf("x", f"below {x.shape[-1]}", (4,), "int64")
        if slot == "labels":
            return self.leaf("x", f"below {x.shape[1]}", (x.shape[0],), "int64")
        if slot == "rows":
            return self.leaf("x", f"below {x.shape[0]}", (x.shape[0],), "int64")
        if slot == "places":
            return self.leaf("x", f"below {x.shape[0]}", tuple(x.shape), "int64")
        raise AssertionError(slot)

    # Statements.

    def attempt(self, text: str, op: str, rough: bool, makes: str) -> bool:
        """Run a statement in both libraries; keep it if both take it and PyTorch's result is of a fitting size."""
        for k, env in enumerate(self.libraries):
            try:
                exec(text, env)
            except LIBRARY_ERRORS as error:
                if k:
                    self.refused.append(f"{text}: {type(error).__name__} {str(error).splitlines()[0]}")
                for other in self.libraries[: k + 1]:
                    other.pop(makes, None)
                return False
        made = self.env.get(makes)
        if makes and not self.fits(made):
            for env in self.libraries:
                env.pop(makes, None)
            return False
        self.body.append(Line(text, op, rough, makes))
        return True

    def fits(self, made: Any) -> bool:
        """Whether a value is of a kind that a program may go on with."""
        if not isinstance(made, self.env["torch"].Tensor) or made.numel() > self.limit or made.dim() > 5:
            return False
        if made.is_floating_point() and made.numel():
            sound = bool(made.detach().isfinite().all()) and float(made.detach().abs().max()) < 1e3
            return sound or self.rng.random() < (0.8 if self.special else 0.03)
        return True

    def statement(self) -> None:
        """One more statement, if one fits."""
        families = list(FAMILIES)
        family = self.rng.choices(families, [FAMILIES[name][0] for name in families])[0]
        _, templates, rough = FAMILIES[family]
        template = self.rng.choice(list(templates))
        name = f"v{self.count['v']}"
        start = len(self.leaves)
        try:
            text = self.filled(template)
        except NoFit:
            self.forget(start)
            return
        if family == "in place":
            target = NAME.match(text)[0]
            text = f"{name} = {target}.clone(); {name}{text[len(target) :]}"
        else:
            text = f"{name} = {text}"
        if self.attempt(text, template, rough, name):
            self.count["v"] += 1
            self.random |= family == "random"
        else:
            self.forget(start)

    def forget(self, start: int) -> None:
        """Leaves that only a failed statement needed."""
        for leaf in self.leaves[start:]:
            for env in self.libraries:
                env.pop(leaf.name, None)
        del self.leaves[start:]

    def updates(self, terms: list[str]) -> list[Line]:
        """What the step leaves in its states."""
        torch, found = self.env["torch"], []
        states = [leaf.name for leaf in self.leaves if leaf.name[0] in "ps"]
        for env in self.libraries:
            for name in states:
                env[name].grad = None
            if terms:
                exec("loss = " + " + ".join(f"({name} * {WEIGHTS[k % len(WEIGHTS)]}).sum()" for k, name in enumerate(terms)), env)
                exec("loss.backward()", env)
        if self.plain:
            return [Line(f"{name}.sub_({name}.grad * 0.125)", UPDATES[0]) for name in states if self.env[name].grad is not None]
        for _ in range(self.rng.randint(0, 2 + len(states))):
            if not states:
                break
            p, template = self.rng.choice(states), self.rng.choice(UPDATES)
            t = self.env[p]
            others = [name for name in states if name != p and self.env[name].shape == t.shape and self.env[name].dtype == t.dtype]
            values = [
                name
                for name, v in self.env.items()
                if NAME.fullmatch(name) and isinstance(v, torch.Tensor) and v.shape == t.shape and v.dtype == t.dtype and name != p
            ]
            if ("{q}" in template and not others) or ("{v}" in template and not values) or (".grad" in template and t.grad is None):
                continue
            text = template.format(p=p, q=self.rng.choice(others or [""]), v=self.rng.choice(values or [""]))
            try:
                for env in self.libraries:
                    exec(f"with torch.no_grad():\n    {text}", env)
            except LIBRARY_ERRORS as error:
                self.refused.append(f"{text}: {type(error).__name__} {str(error).splitlines()[0]}")
                continue
            if bool(self.env[p].isfinite().all()) or self.special:
                found.append(Line(text, template))
        return found

    def program(self) -> Program:
        """The whole."""
        for letter in ["x", "x", "p", *self.rng.choices("xps", [2, 3, 1], k=self.rng.randint(0, 3))]:
            self.outside(letter)
        if self.large:  # a product that is run in pieces
            x = self.leaf("x", "smooth", (64, 784), self.dtype)
            p = self.leaf("p", "smooth", (self.rng.choice([48, 50]), 784), self.dtype, True)
            self.attempt(f"v0 = F.linear({x}, {p}) * 0.125", "a large product", True, "v0")
            self.count["v"] = 1
        # Compiling kernels takes most of the time: many short programs meet more than a few long ones.
        length = self.rng.choice([2, 3, 5, 5, 8, 8, 10, 12, 15, 30] if not self.large else [3, 5, 8, 15])
        for _ in range(3 * length):
            if len(self.body) < length:
                self.statement()
        torch = self.env["torch"]
        made = [line.makes for line in self.body if isinstance(self.env.get(line.makes), torch.Tensor)]
        floats = [name for name in made if self.env[name].requires_grad and self.env[name].is_floating_point()]
        terms = [name for name in floats if self.rng.random() < 0.4] or floats[-1:]
        terms = terms[-6:] if self.rng.random() < 0.85 else []
        outputs = [name for name in made if self.rng.random() < 0.3] or made[-1:]
        try:
            updates = self.updates(terms)
        except LIBRARY_ERRORS:  # a write that the derivative does not survive: the program is kept, and must raise everywhere
            updates = []
        wrong = any(leaf.kind.startswith("below") for leaf in self.leaves) and self.rng.random() < 0.15
        if self.rng.random() < 0.02:
            self.body.append(Line(f"v999 = {self.leaves[0].name}.reshape(-1, 7, 11)", "a wrong shape", False, "v999"))
        program = Program(
            self.seed,
            tuple(self.leaves),
            tuple(self.body),
            tuple(terms),
            tuple(updates),
            tuple(outputs),
            wrong,
            self.random,
            self.plain or self.rng.random() < 0.4,
        )
        return program.without(set(), set(), set(), set())


SETS_FIRST = {"f", "x", "i", "b", "matrix", "image", "images", "copy"}


def broadcasts(t: Any, x: Any) -> bool:
    """Whether ``t`` broadcasts with ``x``."""
    return x is None or all(a == b or 1 in (a, b) for a, b in zip(reversed(t.shape), reversed(x.shape), strict=False))


def place(env: dict[str, Any], program: Program, leaf: Leaf, call: int) -> None:
    """Make a leaf in a library; in the wide run, floats are float64."""
    array = numbers(program, leaf, call)
    if env["f32"] is env["f64"] and array.dtype.kind == "f":
        array = array.astype(np.float64)
    torch = env["torch"]
    t = eval(leaf.view, {"a": torch.tensor(array), "torch": torch})
    env[leaf.name] = t.requires_grad_() if leaf.learned else t
