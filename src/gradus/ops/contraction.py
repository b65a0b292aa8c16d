"""Contractions: sums of products. Linear in each input, so forward mode is the product rule."""

from __future__ import annotations

import math
from typing import Any

from gradus.errors import ShapeError
from gradus.ops.indexing import getitem
from gradus.ops.movement import permute_dims, reshape
from gradus.primitive import bind, primitive


@primitive(
    "matmul",
    lambda xp, a, b: xp.matmul(a, b),
    (lambda xp, g, b: xp.matmul(g, xp.matrix_transpose(b)), lambda xp, g, a: xp.matmul(xp.matrix_transpose(a), g)),
    family="contraction",
    forward_mode="multilinear",
    dtype_rule="promote",
    samples=lambda draw: [
        ((draw(3, 4), draw(4, 2)), {}),
        ((draw(2, 3, 4), draw(2, 4, 2)), {}),
        ((draw(2, 3, 4), draw(4, 2)), {}),
        ((draw(5, 1, 3, 4), draw(2, 4, 2)), {}),
        ((draw(4), draw(4)), {}),
        ((draw(3, 4), draw(4)), {}),
        ((draw(4), draw(4, 2)), {}),
        ((draw(3, 0), draw(0, 2)), {}),
    ],
)
def matmul(record: Any, a: Any, b: Any, /) -> Any:
    """Matrix product over the last two axes, broadcast over the others; 1-d inputs are a row (left) or a column (right)."""
    a_shape, b_shape = tuple(a.shape), tuple(b.shape)
    if not a_shape or not b_shape:
        raise ShapeError(
            "both arguments to matmul need to be at least 1D",
            got=f"{a_shape} and {b_shape}",
            wanted="at least one axis each",
            fix="a * b",
            code="E03",
        )
    if a_shape[-1] != b_shape[-2 if len(b_shape) > 1 else 0]:
        raise _mismatch(a_shape, b_shape)
    if len(a_shape) == 2 and len(b_shape) == 2:
        return bind(record, (a, b))
    if len(b_shape) == 1:
        return reshape(matmul(a, reshape(b, (-1, 1))), a_shape[:-1])
    if len(a_shape) == 1:
        y = matmul(reshape(a, (1, -1)), b)
        return reshape(y, (*y.shape[:-2], y.shape[-1]))
    if len(b_shape) == 2:
        # One large product instead of one per leading index, and no batch of gradients to sum for b.
        return reshape(bind(record, (reshape(a, (math.prod(a_shape[:-1]), a_shape[-1])), b)), (*a_shape[:-1], b_shape[-1]))
    return bind(record, (a, b))


def _mismatch(a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> ShapeError:
    inner = b_shape[-2 if len(b_shape) > 1 else 0]
    fits_transposed = len(b_shape) > 1 and a_shape[-1] == b_shape[-1]
    return ShapeError(
        f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a_shape))} and {'x'.join(map(str, b_shape))})",
        got=f"a of shape {a_shape}, b of shape {b_shape}",
        wanted=f"the last axis of a ({a_shape[-1]}) equal to the first matrix axis of b ({inner})",
        why="b is stored transposed" if fits_transposed else "",
        fix="a @ b.mT" if fits_transposed else "",
        code="E03",
    )


def _einsum_rule(xp: Any, g: Any, i: int, xs: tuple[Any, ...], subscripts: str) -> Any:
    # Exchange the roles of output and input i: what is left of input i's labels receives the product of g and the other inputs.
    inputs, output = subscripts.split("->")
    labels = inputs.split(",")
    mine, others = labels[i], labels[:i] + labels[i + 1 :]
    known = set(output).union(*others)
    reached = "".join(c for c in mine if c in known)
    y = xp.einsum(",".join([output, *others]) + "->" + reached, g, *xs[:i], *xs[i + 1 :])
    sizes = iter(y.shape)
    y = xp.reshape(y, tuple([next(sizes) if c in known else 1 for c in mine]))
    lone = tuple([n if c not in known else m for c, n, m in zip(mine, xs[i].shape, y.shape, strict=True)])
    return xp.broadcast_to(y, lone)


# Below this many multiplications NumPy's direct loop beats planning the contraction as matrix products.
PLANNED_ABOVE = 4096


def _einsum(xp: Any, *xs: Any, subscripts: str) -> Any:
    if len(xs) < 2:
        return xp.einsum(subscripts, *xs)
    sizes = dict(zip(subscripts.split("->")[0].replace(",", ""), [n for x in xs for n in x.shape], strict=True))
    return xp.einsum(subscripts, *xs, optimize=math.prod(sizes.values()) > PLANNED_ABOVE)


@primitive(
    "einsum",
    _einsum,
    _einsum_rule,
    family="contraction",
    forward_mode="multilinear",
    dtype_rule="promote",
    samples=lambda draw: [
        (("ik,kj->ij", draw(3, 4), draw(4, 2)), {}),
        (("bi,ij,bj->b", draw(3, 2), draw(2, 4), draw(3, 4)), {}),
        (("ij->ji", draw(3, 4)), {}),
        (("ij,kj->i", draw(3, 4), draw(2, 4)), {}),
        (("...ij,jk->...ik", draw(2, 3, 4), draw(4, 2)), {}),
        (("ii->i", draw(3, 3)), {}),
        (("ij->", draw(2, 3)), {}),
    ],
)
def einsum(record: Any, subscripts: str, /, *xs: Any, optimize: Any = None) -> Any:
    """Einstein's sum: repeated labels are multiplied, labels missing on the right summed. ``einsum("ik,kj->ij", a, b)`` is ``a @ b``."""
    labels, output = _labels(subscripts.replace(" ", ""), xs)
    xs = list(xs)  # type: ignore[assignment]
    for k, mine in enumerate(labels):
        while len(set(mine)) < len(mine):
            xs[k], mine = _diagonal(xs[k], mine)  # type: ignore[index]
            labels[k] = mine
    return bind(record, tuple(xs), {"subscripts": ",".join(labels) + "->" + output})


def _labels(subscripts: str, xs: tuple[Any, ...]) -> tuple[list[str], str]:
    """The labels of each input and of the output, with ``...`` written out and a missing output filled in as NumPy does."""
    left, arrow, output = subscripts.partition("->")
    labels = left.split(",")
    if len(labels) != len(xs):
        raise ShapeError(
            f"einsum '{subscripts}' names {len(labels)} inputs",
            got=f"{len(xs)} arrays",
            wanted="one comma-separated group an array",
            code="E03",
        )
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in subscripts]
    spread = 0
    for k, (mine, x) in enumerate(zip(labels, xs, strict=True)):
        if "..." in mine:
            n = x.ndim - (len(mine) - 3)
            spread = max(spread, n)
            labels[k] = mine.replace("...", "".join(free[-n:] if n else []))
        if len(labels[k]) != x.ndim:
            raise ShapeError(
                f"einsum '{subscripts}': input {k} has {x.ndim} axes but {len(mine)} labels",
                got=f"shape {tuple(x.shape)}",
                wanted="a label an axis",
                code="E03",
            )
    dots = "".join(free[-spread:] if spread else [])
    if not arrow:
        flat = "".join(labels)
        output = dots + "".join(sorted(c for c in set(flat) if flat.count(c) == 1 and c not in dots))
    return labels, output.replace("...", dots)


def _diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """Read one repeated label's diagonal, so that each label is left once less."""
    from_axis = next(k for k, c in enumerate(labels) if c in labels[k + 1 :])
    to_axis = labels.index(labels[from_axis], from_axis + 1)
    n = x.shape[from_axis]
    if x.shape[to_axis] != n:
        raise ShapeError(
            f"einsum label '{labels[from_axis]}' stands for lengths {n} and {x.shape[to_axis]}",
            got=f"shape {tuple(x.shape)}",
            wanted="one length a label",
            code="E03",
        )
    axes = [from_axis, to_axis, *(k for k in range(x.ndim) if k not in (from_axis, to_axis))]
    flat = reshape(permute_dims(x, axes), (n * n, *[x.shape[k] for k in axes[2:]]))
    diagonal = getitem(flat, key=(slice(None, None, n + 1),))
    return diagonal, labels[from_axis] + "".join(c for k, c in enumerate(labels) if k not in (from_axis, to_axis))
