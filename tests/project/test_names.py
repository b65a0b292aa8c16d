"""A name leads to one thing: no package re-exports a function or class under the name of a module of its own."""

import importlib
import pkgutil
import types

import pytest

import gradus

PACKAGES = ["gradus", *(m.name for m in pkgutil.walk_packages(gradus.__path__, "gradus.") if m.ispkg)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_hides_a_module_beside_it(package):
    module = importlib.import_module(package)
    beside = [found.name for found in pkgutil.iter_modules(module.__path__) if not found.name.startswith("_")]
    hidden = [name for name in beside if not isinstance(getattr(module, name, module), types.ModuleType)]
    assert hidden == []
