"""Gradus: a deep-learning framework made from its foundations, in readable Python on NumPy.

This file is the table of contents. PyTorch's functions come from one table (:mod:`gradus.torch_names`); the rest is named here.
"""

from gradus import ctrl_c as _ctrl_c  # isort: skip  # first: in what follows a command may be stopped
import importlib
import sys
import warnings
from math import e, inf, nan, pi
from typing import Any

from gradus import blas as _blas
from gradus import dtypes as _dtypes
from gradus.blas import get_num_threads, set_num_threads
from gradus.errors import GradusError, UsageWarning
from gradus.ops.random import Generator, default_generator
from gradus.tensors import Size, Tensor, device
from gradus.torch_names import FUNCTIONS as _FUNCTIONS

from gradus.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled  # isort: skip
from gradus.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp  # isort: skip
from gradus import array_api, autograd, cuda, fused, nn, ops, optim, random, tensors  # isort: skip

__version__ = "0.1.0"

# Overflow and 0/0 give inf and nan, as in PyTorch. NumPy's warnings about them are silenced for the code of this package alone.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"gradus\.")

_blas.set_default_threads()

globals().update(_FUNCTIONS)
for _name in _dtypes.NAMES:
    globals()[_name] = getattr(_dtypes, _name)
bool = _dtypes.bool_
get_default_dtype, set_default_dtype, dtype = _dtypes.get_default_dtype, _dtypes.set_default_dtype, type(_dtypes.float32)

# What costs import time waits until it is named.
_LATER = {
    "data": "gradus.data",
    "io": "gradus.io",
    "train": "gradus.train",
    "viz": "gradus.viz",
    "testing": "gradus.testing",
    "utils": "gradus.utils",
    "save": "gradus.io",
    "load": "gradus.io",
    "Learner": "gradus.train",
    "compile": "gradus.compiler.compiled",
    "elementwise": "gradus.compiler.fused_function",
    "load_run": "gradus.train",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        module = importlib.import_module(_LATER[name])
        return module if _LATER[name].endswith("." + name) else getattr(module, name)
    if name in ops.REGISTRY:
        return ops.REGISTRY[name].function
    message = f"gradus has no {name!r}; its functions bear PyTorch's names, see gradus.torch_names"
    raise AttributeError(message, name=name, obj=sys.modules[__name__])  # Python adds "Did you mean …?"


__all__ = [
    "Generator",
    "GradusError",
    "Learner",
    "Size",
    "Tensor",
    "UsageWarning",
    "array_api",
    "autograd",
    "compile",
    "cuda",
    "default_generator",
    "device",
    "e",
    "elementwise",
    "enable_grad",
    "fused",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "inf",
    "inference_mode",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "load",
    "load_run",
    "nan",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pi",
    "random",
    "save",
    "set_grad_enabled",
    "tensors",
    "value_and_grad",
    "vjp",
    *_FUNCTIONS,
    *_dtypes.NAMES,
]
