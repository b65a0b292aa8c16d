"""Random streams: the names of :mod:`gradus.ops.random`, where they live."""

from gradus.ops.random import Generator, default_generator, integers, manual_seed, normal, permutation, uniform

__all__ = ["Generator", "default_generator", "integers", "manual_seed", "normal", "permutation", "uniform"]
