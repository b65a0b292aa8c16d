"""PyTorch's names, and how its arguments differ from ``gradus.ops``: one table, filled by a file for each family.

A decorated definition is one entry. :mod:`~gradus.torch_names.table` holds the table; the other files are its parts, and whoever imports
this package finds them all entered, the methods that write into memory (``add_``) derived, and Tensor with its methods.
"""

from types import ModuleType

from gradus.tensors import Tensor
from gradus.torch_names import (
    attributes,
    creation,
    cumulative,
    diagonals,
    dtypes,
    elementwise,
    indexing,
    inplace,
    joining,
    movement,
    order,
    products,
    random,
    reduction,
)
from gradus.torch_names.attributes import clone
from gradus.torch_names.creation import empty, tensor, zeros
from gradus.torch_names.joining import cat, stack
from gradus.torch_names.products import matmul
from gradus.torch_names.table import FUNCTIONS, METHODS, as_method

__all__ = ["FUNCTIONS", "METHODS", "PARTS", "cat", "clone", "empty", "install", "matmul", "stack", "tensor", "zeros"]

# What a tensor is, how one is made, what moves values, what computes them; each has entered its names by being imported.
PARTS: tuple[ModuleType, ...] = (attributes, dtypes, creation, random)
PARTS += (movement, diagonals, joining, indexing)
PARTS += (elementwise, reduction, cumulative, order, products)


def install() -> None:
    """Make the entries methods of Tensor."""
    for name, entry in METHODS.items():
        if callable(entry) and not hasattr(entry, "__get__"):
            entry = as_method(entry)
        setattr(Tensor, name, entry)


inplace.derive()
install()
