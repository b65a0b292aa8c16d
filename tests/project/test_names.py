"""A name leads to one thing: no package re-exports a function or class under the name of a module of its own."""

import importlib
import inspect
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


REFERENCE = """gradus gradus.autograd gradus.cuda gradus.data gradus.fused gradus.io gradus.nn gradus.nn.functional gradus.nn.init
gradus.ops gradus.optim gradus.random gradus.testing gradus.train gradus.transforms gradus.viz""".split()


@pytest.mark.parametrize("package", REFERENCE)
def test_every_name_of_the_reference_has_a_sentence(package):
    module = importlib.import_module(package)
    silent = []
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "").startswith("gradus.")]
    for name in [name for name in getattr(module, "__all__", own) if not name.startswith("_")]:
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType) or not callable(thing):
            continue
        members = vars(thing) if inspect.isclass(thing) and thing.__module__.startswith("gradus") else ()
        if inspect.isclass(thing) and issubclass(thing, gradus.train.Callback):
            members = ()  # events, which the base tells of
        public = [member for member in members if not member.startswith("_") and callable_or_property(thing, member)]
        said = {name: thing} | {f"{name}.{member}": getattr(thing, member) for member in public}
        silent += [written for written, one in said.items() if not (inspect.getdoc(one) or "").strip()]
    assert silent == []


def callable_or_property(owner, name):
    return callable(getattr(owner, name)) or isinstance(vars(owner)[name], property)
