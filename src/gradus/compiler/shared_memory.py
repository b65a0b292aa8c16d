"""Which arrays lie in the same memory, however they came to, and whether an array still lies there as it did.

An identity says it for arrays and their views. It does not for arrays that were made of one buffer (``np.frombuffer``, a memoryview, an
mmap, another library's memory): what such an array does not own is compared by addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np

from gradus.versions import owner

#: What changes when ``array.shape = …``, ``array.dtype = …`` or ``array.setflags(write=…)`` changes an array in place.
form = attrgetter("shape", "strides", "dtype", "flags.writeable")


class Memory:
    """The memory of some arrays.

    Attributes:
        arrays: these arrays.
        identities: of them, and of the arrays that they look into.
        foreign: whether some of it belongs to no NumPy array, so that even an array that owns its memory may lie in it.

    >>> buffer = bytearray(8)
    >>> memory = Memory([np.frombuffer(buffer, np.uint8)])
    >>> memory.meets(np.frombuffer(buffer, np.uint8)[:2]), memory.meets(np.zeros(2))
    (True, False)
    """

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self.arrays = list(arrays)
        self.identities = {id(a) for array in self.arrays for a in (array, owner(array))}
        self.foreign = any(not owner(array).flags.owndata for array in self.arrays)

    def meets(self, array: Any) -> bool:
        """Whether an array may share elements with one of these."""
        root = owner(array)
        if id(array) in self.identities or id(root) in self.identities:
            return True
        if root.flags.owndata and not self.foreign:
            return False
        return any(np.may_share_memory(array, other) for other in self.arrays)
