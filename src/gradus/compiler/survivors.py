"""Tensors of a trace that somebody keeps: they would never hold numbers, so whoever keeps one is named."""

from __future__ import annotations

import gc
from typing import Any

from gradus.compiler.tracers import Tracer, strayed
from gradus.compiler.world import Trace
from gradus.tensors import Tensor


def refuse_survivors(world: Trace, f: Any) -> None:
    """Raise if a tensor of the trace is still alive: it would never hold numbers."""
    for attempt in range(2):
        alive = world.living()
        if not alive:
            return
        if not attempt:
            del alive
            gc.collect()
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    error = strayed("kept after the call", f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}" if code else "")
    error.got = f"{', '.join(sorted(tracer.node.typed() for tracer in alive[:3]))}{_holder(alive[0])}"
    raise error


def _holder(tracer: Tracer) -> str:
    """Where a surviving tensor is kept, in words, if that can be seen."""
    near = gc.get_referrers(tracer)
    near += [x for table in near if type(table) is dict for x in gc.get_referrers(table)]
    for tensor in [x for x in near if isinstance(x, Tensor)]:
        tables = gc.get_referrers(tensor)
        for table in [x for x in tables if type(x) is dict and "value" not in x]:
            name = next((key for key, value in table.items() if value is tensor), None)
            owner = next((type(x).__name__ for x in gc.get_referrers(table) if getattr(x, "__dict__", None) is table), "")
            if name is not None:
                return f", kept as {owner + '.' if owner else ''}{name}"
    return ""
