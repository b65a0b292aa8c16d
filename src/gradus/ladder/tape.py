"""The tape: arithmetic that remembers how its results came about, so any program has a gradient.

Layers that return closures still need a list of layers, run in one order. But the chain rule asks
for no list: any graph of known operations will do, with branches, loops and values used many times.
So the memory moves from the layers into the numbers: every result knows its parents and, for each,
how a gradient travels back to it. A backward pass visits the results, the latest first.

The tape itself, everything down to ``Function``, has fewer than 100 lines of code. It knows no
layer and no loss: products of matrices and this are what deep learning stands on (and a rule for
the update). `tape_at_work` trains a network with it.

How Gradus' own tape (``gradus.tape``, ``gradus.reverse``) differs, and why:

- There the history is made of nodes, which hold only the values that a derivative needs; here each
  Tensor holds its parents, and so every intermediate value lives as long as the result. Nodes also
  let go of their values after a backward pass; here it can be repeated.
- There an operation is a record of rules, each written once against an array namespace, so the same
  rule runs on arrays, on Tensors (a gradient is differentiated again) and in the compiler. Here a
  rule computes with arrays alone, so that it is good for first derivatives.
- There nodes are numbered as they are made, and sorting by number is a topological order. Here the
  order is found by walking the graph.
- There writing into a value that a derivative still needs is noticed, by counting writes. Here it
  silently gives a wrong gradient.
- There a gradient of exactly zero stays zero where a derivative is infinite (sqrt at 0); here 0 ·
  inf is nan, as in PyTorch.

Sources: Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch, 2020,
chapter 17 (``Function``, ``MyRelu``); Julian Eisenschlos, Neural Networks in 100 lines of pure
Python, 2019, which leaves "any computational graph" to the reader; Dougal Maclaurin, David Duvenaud
and Matthew Johnson, Autograd, 2015 (a pullback for each input); Andrej Karpathy, micrograd, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# --- The tape -------------------------------------------------------------------------------------

_recording = True


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it, results remember nothing.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum ``g`` over the axes along which a value of this shape was repeated.

    Whoever is used n times gets n contributions.

    >>> unbroadcast(np.ones((4, 2, 3)), (2, 1))
    array([[12.],
           [12.]])
    """
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1), keepdims=True)


def record(value: Any, *links: tuple[Tensor, Callable[[Any], Any]]) -> Tensor:
    """A result with its history, without the links to parents that require no gradient.

    With them goes the work to compute one.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> record(x.value ** 2, (x, lambda g: g * 2 * x.value))
    Tensor(9.0, requires_grad=True)
    """
    history = tuple(link for link in links if link[0].requires_grad) if _recording else ()
    return Tensor(value, bool(history), history)


def operation(f: Callable[..., Any], *rules: Callable[..., Any]) -> Any:
    """The function on tensors that computes ``f`` on their arrays, and remembers how to go back.

    There is one rule ``(g, y, *inputs)`` for each tensor.

    >>> square = operation(np.square, lambda g, y, x: g * 2 * x)
    >>> x = Tensor(3.0, requires_grad=True)
    >>> square(x).backward()
    >>> x.grad
    array(6.)
    """

    def apply(*args: Any, **options: Any) -> Tensor:
        # Numbers stay numbers: they do not change a dtype.
        values = [x.value if isinstance(x, Tensor) else x for x in args]
        y = f(*values, **options)
        pulls = [lambda g, rule=rule: rule(g, y, *values, **options) for rule in rules]
        return record(y, *[(x, pull) for x, pull in zip(args, pulls) if isinstance(x, Tensor)])

    return apply


def spread(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """What was summed gets the gradient of its sum, element by element.

    >>> spread(np.array([1.0, 2.0]), np.zeros((2, 3)), axis=1)
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    return np.broadcast_to(g if axis is None or keepdims else np.expand_dims(g, axis), x.shape)


def scatter(g: Any, index: Any, x: Any) -> Any:
    """Zeros like ``x`` with ``g`` added at an index; an element that was picked twice gets both.

    >>> scatter(np.ones(3), [0, 2, 2], np.zeros(3))
    array([1., 0., 2.])
    """
    whole = np.zeros_like(x)
    np.add.at(whole, index, g)
    return whole


History = tuple[tuple["Tensor", Callable[[Any], Any]], ...]


class Tensor:
    """An array that remembers: ``history`` has (parent, pullback) for each that wants a gradient.

    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([[2., 4.]])
    """

    __array_ufunc__ = None  # array * tensor is then asked of the tensor

    def __init__(self, value: Any, requires_grad: bool = False, history: History = ()) -> None:
        value = np.asarray(value)
        self.value = value if value.dtype.kind == "f" else value.astype(float)
        self.requires_grad, self.history = requires_grad, history
        self.grad: Any = None

    def __repr__(self) -> str:
        return f"Tensor({self.value}{', requires_grad=True' if self.requires_grad else ''})"

    def backward(self, g: Any = None) -> None:
        """Add d(self)/d(leaf), weighted by ``g``, to the ``grad`` of every leaf that requires it.

        A single number needs no ``g``.
        """
        if not self.requires_grad:
            raise ValueError("no history: no leaf wants a gradient, or it was made under no_grad")
        if g is None and self.value.size != 1:
            raise ValueError(f"backward starts from one number, not shape {self.shape}: pass g")
        arrived = {self: np.ones_like(self.value) if g is None else np.broadcast_to(g, self.shape)}
        for x in topological(self):
            g = arrived.pop(x)
            if not x.history:
                x.grad = np.array(g) if x.grad is None else x.grad + g
            for parent, pull in x.history:
                share = np.asarray(unbroadcast(pull(g), parent.value.shape), parent.value.dtype)
                arrived[parent] = arrived[parent] + share if parent in arrived else share

    # Each operation: NumPy's function, then for each input the gradient that goes back to it, from
    # g, the output y and the inputs.
    __add__ = __radd__ = operation(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
    __mul__ = __rmul__ = operation(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    __sub__ = operation(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
    __rsub__ = operation(lambda b, a: a - b, lambda g, y, b, a: -g)
    __truediv__ = operation(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
    __rtruediv__ = operation(lambda b, a: a / b, lambda g, y, b, a: -g * y / b)
    __neg__ = operation(np.negative, lambda g, y, x: -g)
    __pow__ = operation(lambda x, n: x**n, lambda g, y, x, n: g * (n * x ** (n - 1) if n else 0.0))
    # Products of matrices, or of stacks of them; a vector is a matrix with one row.
    __matmul__ = operation(np.matmul, lambda g, y, a, b: g @ b.mT, lambda g, y, a, b: a.mT @ g)
    __rmatmul__ = operation(lambda b, a: a @ b, lambda g, y, b, a: a.mT @ g)
    __getitem__ = operation(lambda x, index: x[index], lambda g, y, x, index: scatter(g, index, x))
    sum = operation(np.sum, lambda g, y, x, *at, **kw: spread(g, x, *at, **kw))
    mean = operation(np.mean, lambda g, y, x, *at, **kw: spread(g, x, *at, **kw) * y.size / x.size)
    exp = operation(np.exp, lambda g, y, x: g * y)
    log = operation(np.log, lambda g, y, x: g / x)
    reshape = operation(np.reshape, lambda g, y, x, shape: g.reshape(x.shape))
    T = property(operation(np.transpose, lambda g, y, x: g.T))
    # A cast is an operation too: its result is another object, yet the gradient finds its way back,
    # in the first one's dtype.
    astype = operation(lambda x, dtype: x.astype(dtype), lambda g, y, x, dtype: g)
    shape = property(lambda x: x.value.shape)


def topological(root: Tensor) -> list[Tensor]:
    """The root and everything it depends on, each before its parents.

    The stack is our own, since Python's is short.

    >>> a = Tensor(1.0, requires_grad=True)
    >>> b = a + a
    >>> c = b + a
    >>> topological(c) == [c, b, a]
    True
    """
    order, seen, stack = list[Tensor](), set[Tensor](), [(root, False)]
    while stack:
        x, parents_done = stack.pop()
        if parents_done:
            order.append(x)
        elif x not in seen:
            seen.add(x)
            stack += [(x, True), *((parent, False) for parent, _ in x.history)]
    return order[::-1]


class Context:
    """What ``forward`` leaves for ``backward``: saved arrays, and any attribute you set.

    ``needs_input_grad`` says who wants a gradient.
    """

    def save_for_backward(self, *arrays: Any) -> None:
        """Keep arrays for ``backward``."""
        self.saved_tensors = arrays


class Function:
    """An operation as a class: two static methods, on arrays, then ``apply`` on tensors.

    ``forward(ctx, *inputs)`` returns an array; ``backward(ctx, g)`` one gradient for each input
    (None: no gradient).

    >>> x = Tensor([-1.0, 2.0], requires_grad=True)
    >>> MyRelu.apply(x).sum().backward()
    >>> x.grad
    array([0., 1.])
    """

    @classmethod
    def apply(cls: Any, *args: Any) -> Tensor:
        """Run ``forward`` and remember ``backward``."""
        ctx: Any = Context()
        # The last g and its gradients, since backward runs once for all inputs.
        last: Any = [None, ()]
        ctx.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)

        def gradient(i: int, g: Any, x: Any) -> Any:
            if last[0] is not g:
                gradients = cls.backward(ctx, g)
                last[:] = g, gradients if isinstance(gradients, tuple) else (gradients,)
            if len(last[1]) != len(args):
                found = f"{len(last[1])} gradients for {len(args)} inputs"
                raise ValueError(f"{cls.__name__}.backward returned {found}")
            return np.zeros_like(x) if last[1][i] is None else last[1][i]

        rules = [lambda g, y, *inputs, i=i: gradient(i, g, inputs[i]) for i in range(len(args))]
        return operation(lambda *inputs: cls.forward(ctx, *inputs), *rules)(*args)


# --- An activation by hand ------------------------------------------------------------------------


class MyRelu(Function):
    """max(x, 0) by hand; the gradient g passes where x > 0, else there is 0 (also at 0 itself).

    A mask is selected by, not multiplied with: 0 · inf would be nan.

    >>> MyRelu.apply(Tensor([-np.inf, 0.0, 3.0]))
    Tensor([0. 0. 3.])
    """

    @staticmethod
    def forward(ctx: Context, i: Any) -> Any:
        """The larger of i and 0; nan stays nan."""
        ctx.save_for_backward(i)
        return np.maximum(i, 0)

    @staticmethod
    def backward(ctx: Context, g: Any) -> Any:
        """g where the input was positive."""
        (i,) = ctx.saved_tensors
        return np.where(i > 0, g, 0)
