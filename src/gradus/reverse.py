"""Reverse mode over any graph: the backward pass, and the gradients of chosen inputs.

The pass visits nodes from the latest to the earliest: a node's inputs always came before it, so creation order is a topological order,
and no recursion is needed however long the graph. Here, once for all rules: a gradient is folded back over broadcast axes, cast to its
input's dtype, and made an array again if NumPy returned a scalar.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from gradus import ops
from gradus.backend import numpy as raw_namespace
from gradus.errors import AliasError, GradError
from gradus.grad_mode import set_grad_enabled
from gradus.mode import MODE
from gradus.tape import Node, check_view
from gradus.tensors import Tensor, wrap
from gradus.versions import LATEST, count_write, written_since


def fit_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum ``g`` over the axes that were added or stretched, or stretch it where a rule left length 1.

    >>> fit_to(raw_namespace, np.ones((4, 2, 3)), (2, 1)).tolist()
    [[12.0], [12.0]]
    """
    if not shape:
        return xp.sum(g, axis=None, keepdims=False)
    added = len(g.shape) - len(shape)
    if added > 0:
        g = xp.sum(g, axis=tuple(range(added)), keepdims=False)
    stretched = tuple(
        [k for k, (n, m) in enumerate(zip(g.shape, shape[-len(g.shape) :] if g.shape else (), strict=True)) if m == 1 and n != 1]
    )
    if stretched:
        g = xp.sum(g, axis=stretched, keepdims=True)
    return g if g.shape == shape else xp.broadcast_to(g, shape)


_order = attrgetter("order")


def reachable(roots: Iterable[Node]) -> list[Node]:
    """All nodes under the roots, the latest first."""
    found = list(dict.fromkeys(roots))
    seen = set(found)
    stack = found.copy()
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
                found.append(parent)
    found.sort(key=_order, reverse=True)
    return found


def _needed(nodes: list[Node], targets: set[Any]) -> set[Any]:
    """The targets, and those nodes from which one can be reached, or may be; ``nodes`` come latest first."""
    needed = set(targets)
    for node in reversed(nodes):
        if node.closed or any(parent in needed for parent in node.parents if parent is not None):
            needed.add(node)
    return needed


def _run(
    cotangents: dict[Any, Any], nodes: list[Node], create_graph: bool, retain_graph: bool, needed: set[Any] | None, targets: set[Any]
) -> None:
    """Carry cotangents from the latest node to the leaves; what arrives at leaves and targets stays in ``cotangents``."""
    xp: Any = raw_namespace if MODE.world is None and not create_graph else ops
    take = cotangents.pop if not targets else cotangents.get
    for node in nodes:
        g = take(node, None)
        if g is None or (needed is not None and node not in needed):
            continue
        if node.hooks:
            g = _hooked(node.hooks, g, create_graph)
        if targets and node in targets:
            cotangents[node] = g
            if needed is not None and not any(parent in needed for parent in node.parents if parent is not None):
                continue
        saved = node.saved
        if saved is None:
            raise _released(node)
        if node.order < LATEST[0]:
            _check_saved(node)
        kept = node.pull(g, create_graph) if node.special else _as_tensors(node) if create_graph else saved
        functions = node.record.functions if not node.special else None
        last = node.record.last_rule if functions is not None else 0
        i = -1
        for parent in node.parents:
            i += 1
            if parent is None or (needed is not None and parent not in needed):
                continue
            if functions is None:
                gradient = kept[i]
                if gradient is None:
                    continue
            else:
                gradient = functions[i if i < last else last](xp, g, *kept[i])
            if gradient.shape != parent.shape:
                gradient = fit_to(xp, gradient, parent.shape)
            if gradient.dtype is not parent.dtype:
                gradient = xp.astype(gradient, parent.dtype)
            known = cotangents.get(parent)
            cotangents[parent] = gradient if known is None else known + gradient
        if not retain_graph:
            # What saved no values may be passed again: only values are freed, and only their loss is an error.
            if node.special:
                node.release()
            elif node.record.keeps_arrays:
                node.saved = None


def _as_tensors(node: Node) -> list[Any]:
    """What the rules of a node saved, put back into the graph so that the gradient can be differentiated again."""
    plain = [name.lstrip("*") for name in node.record.inputs]

    def placed(name: str, value: Any) -> Any:
        if name == "y":
            return _in_graph(value, node)
        if name in plain:
            k = plain.index(name)
            if node.record.inputs[k].startswith("*"):
                return tuple([_in_graph(v, node.parents[k + j]) for j, v in enumerate(value)])
            return _in_graph(value, node.parents[k])
        return value

    return [
        None if values is None else tuple([placed(name, value) for name, value in zip(node.record.rule_of(i).names, values, strict=True)])
        for i, values in enumerate(node.saved)
    ]


def _in_graph(value: Any, source: Any) -> Any:
    """A saved raw value as the Tensor it was: the leaf itself, or a new Tensor hanging at the node that made it."""
    if isinstance(source, Tensor):
        return source
    if not hasattr(value, "shape"):
        return value
    tensor = wrap(value)
    if source is not None:
        tensor.node, tensor.requires_grad = source, True
    return tensor


def _check_saved(node: Node) -> None:
    """Raise if memory that the rules of a node need was overwritten since."""
    for kept in node.saved:
        for value in kept or ():
            for array in value if type(value) in (tuple, list) else (value,):
                where = written_since(array, node.order)
                if where is not None:
                    raise AliasError(
                        "one of the variables needed for gradient computation has been modified by an inplace operation: "
                        f"{node.name} saved it",
                        got=f"a tensor of shape {tuple(array.shape)}, written at {where}",
                        wanted=f"the value that {node.name} saved at {_saved_at(node)}",
                        why="an in-place op replaced a value that the derivative needs",
                        fix="y = y + 1 instead of y += 1, or y = y.clone() before writing",
                        code="E18",
                    )


def _saved_at(node: Node) -> str:
    """The line of the user's code whose op made a node."""
    if node.line is None:
        return "an unknown line"
    code, instruction = node.line
    line = next(itertools.islice(code.co_positions(), instruction // 2, None))[0]
    return f"{code.co_filename}:{line} in {code.co_name}"


def _released(node: Node) -> GradError:
    return GradError(
        "Trying to backward through the graph a second time",
        got=f"node {node}, whose saved values were released by an earlier backward",
        wanted="one backward for each forward",
        why="backward frees what it needed as it goes; the graph was kept alive, for example by a loss or hidden state of the step before",
        fix="loss.backward(retain_graph=True) the first time, or compute the loss again, or detach() the state carried between steps",
        code="E22",
    )


def _hooked(hooks: dict[float, Callable[..., Any]], g: Any, create_graph: bool) -> Any:
    """Show a gradient to hooks; what a hook returns replaces it."""
    seen = g if create_graph else wrap(g)
    for key in sorted(hooks):
        result = hooks[key](seen)
        if result is not None:
            seen = result
    return seen if create_graph else seen.value


# What users call.


def _start(outputs: Sequence[Tensor], cotangents: Sequence[Any], create_graph: bool) -> dict[Any, Any]:
    """Cotangents by node (or leaf) for the outputs of a function."""
    start: dict[Any, Any] = {}
    for y, g in zip(outputs, cotangents, strict=True):
        if not isinstance(y, Tensor) or not y.requires_grad:
            raise _no_graph(y)
        g = _cotangent(y, g)
        g = g if create_graph else g.value
        if y._base is not None and y.node is not None:
            check_view(y)
        source = y.node or y
        start[source] = g if source not in start else start[source] + g
    return start


def _cotangent(y: Tensor, g: Any) -> Tensor:
    if g is None:
        if y.value.size != 1:
            raise GradError(
                "grad can be implicitly created only for scalar outputs",
                got=f"an output of shape {tuple(y.shape)}",
                wanted="one number, or a gradient of that shape",
                why="the loss was not reduced",
                fix="loss.mean().backward()",
                code="E21",
            )
        return wrap(np.ones(y.value.shape, y.value.dtype))
    g = g if isinstance(g, Tensor) else Tensor(g)
    if g.shape != y.shape:
        raise GradError(
            "the gradient does not fit the output",
            got=f"gradient of shape {tuple(g.shape)}, output of shape {tuple(y.shape)}",
            wanted="equal shapes",
            code="E21",
        )
    return g if g.value.dtype == y.value.dtype else ops.astype(g, y.value.dtype)


def _no_graph(y: Any) -> GradError:
    if not isinstance(y, Tensor):
        return GradError("only Tensors have gradients", got=type(y).__name__, wanted="a Tensor", code="E21")
    reasons = []
    if not MODE.grad_enabled:
        reasons.append("gradients are switched off here by no_grad")
    if y.value.dtype.kind != "f":
        reasons.append(f"its dtype is {y.dtype}, and functions with integer results have no derivative")
    reasons.append("no input required a gradient, or it was computed under no_grad(), from .detach(), .data, .item() or by way of .numpy()")
    return GradError(
        "element 0 of tensors does not require grad and does not have a grad_fn",
        got=f"a tensor of shape {tuple(y.shape)} without history",
        wanted="a result computed from a tensor with requires_grad=True",
        why="; or ".join(reasons),
        fix="w.requires_grad_() before computing the loss",
        code="E21",
    )


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add to the ``grad`` of every leaf the derivative of the tensors, weighted by ``grad_tensors`` (ones for scalars).

    Args:
        tensors: outputs; scalars need no ``grad_tensors``.
        retain_graph: keep saved values so that backward can run again (default: as ``create_graph``).
        create_graph: record the backward pass itself, so that gradients can be differentiated.
        inputs: fill only the ``grad`` of these leaves.

    >>> x = Tensor([2.0], requires_grad=True)
    >>> backward((x * x * x).sum())
    >>> x.grad
    tensor([12.])
    """
    outputs = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    weights = grad_tensors if isinstance(grad_tensors, (list, tuple)) else (grad_tensors,) * len(outputs)
    cotangents = _start(outputs, weights, create_graph)
    given = {id(g) for g in cotangents.values()}
    nodes = reachable(source for source in cotangents if isinstance(source, Node))
    targets = None if inputs is None else {x.node or x for x in ((inputs,) if isinstance(inputs, Tensor) else inputs)}
    needed = None if targets is None else _needed(nodes, targets)
    with set_grad_enabled(create_graph):
        _run(cotangents, nodes, create_graph, create_graph if retain_graph is None else retain_graph, needed, set())
    for leaf, gradient in cotangents.items():
        if isinstance(leaf, Tensor) and (needed is None or leaf in needed):
            _accumulate(leaf, gradient, create_graph, given)


def _accumulate(leaf: Tensor, gradient: Any, create_graph: bool, given: set[int]) -> None:
    """Add a gradient to a leaf. What is stored is the leaf's own contiguous memory: never a view, nor an array that another leaf got."""
    if leaf._hooks:
        gradient = _hooked(leaf._hooks, gradient, create_graph)
    known = leaf._grad
    if create_graph:
        leaf._grad = gradient if known is None else known + gradient
        return
    if type(gradient) is not np.ndarray and not hasattr(type(gradient), "__bind__"):
        gradient = np.asarray(gradient)
    remembers = MODE.world is not None and MODE.world.has_memory
    if remembers or type(gradient) is not np.ndarray or (known is not None and type(known.value) is not np.ndarray):
        if not remembers:
            known = known if known is None or MODE.world is None else MODE.world.lift(known)
            leaf._grad = wrap(gradient if known is None else known.value + gradient)
        elif known is None:
            leaf._grad = wrap(MODE.world.past(gradient))
        elif MODE.world.lift(known).node is None:
            MODE.world.write(known, known.value + gradient)
        else:
            leaf._grad = wrap(known.value + gradient)
    elif known is None:
        shared = id(gradient) in given or gradient.base is not None or not gradient.flags.c_contiguous
        leaf._grad = wrap(np.array(gradient, order="C") if shared else gradient)
        given.add(id(leaf._grad.value))
    elif known.node is None:
        np.add(known.value, gradient, out=known.value)
        count_write(known.value, "a backward pass that added to it, since it is a .grad")
    else:
        leaf._grad = wrap(known.value + gradient)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivative of outputs with respect to inputs, as a tuple; no ``grad`` attribute is touched.

    Only paths that lead to an input are computed. An input that the outputs do not depend on raises, or gives None with ``allow_unused``.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> (dy,) = grad((x ** 3).sum(), x, create_graph=True)
    >>> grad(dy.sum(), x)
    (tensor([18.]),)
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    weights = grad_outputs if isinstance(grad_outputs, (list, tuple)) else (grad_outputs,) * len(outputs)
    cotangents = _start(outputs, weights, create_graph)
    for x in inputs:
        if not x.requires_grad:
            raise GradError(
                "One of the differentiated Tensors does not require grad",
                got=f"an input of shape {tuple(x.shape)}",
                fix="x.requires_grad_()",
                code="E21",
            )
    nodes = reachable(source for source in cotangents if isinstance(source, Node))
    targets = {x.node or x for x in inputs}
    with set_grad_enabled(create_graph):
        _run(cotangents, nodes, create_graph, create_graph if retain_graph is None else retain_graph, _needed(nodes, targets), targets)
    results = []
    for x in inputs:
        g = cotangents.get(x.node or x)
        if g is None and not allow_unused:
            raise GradError(
                "One of the differentiated Tensors appears to not have been used in the graph",
                got=f"an input of shape {tuple(x.shape)}",
                wanted="an input that the outputs depend on",
                fix="allow_unused=True gives None for it",
                code="E21",
            )
        if g is not None and x.node is None and x._hooks:
            g = _hooked(x._hooks, g, create_graph)
        results.append(g if g is None or create_graph else wrap(_owned(g)))
    return tuple(results)


def _owned(g: Any) -> Any:
    """A result that no one else writes to: views, such as a broadcast cotangent, are copied."""
    return np.array(g) if isinstance(g, np.ndarray) and (g.base is not None or not g.flags.writeable) else g
