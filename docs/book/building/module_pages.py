"""Parts of reference pages that are read off the package: a page says `<!-- here: members gradus.nn -->`, and here they come."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

import gradus
from building import error_catalogue, op_matrix
from building.source_pages import page_with_line

PLACE = re.compile(r"^<!-- here: (?P<part>\w+)(?P<words>.*?) *-->$", re.MULTILINE)
SECONDARY = {"extra_repr", "caption"}  # what a layer says of itself is told once, at Module


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def names_of(module: types.ModuleType) -> list[str]:
    """What a module offers: its `__all__`, or the classes and functions without an underscore that it defines."""
    own = [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__ and hasattr(value, "__name__")
    ]
    return [name for name in getattr(module, "__all__", own) if not name.startswith("_")]


def directive(module: str, name: str) -> str:
    """How autodoc is asked for one name; empty for what is no class, function or constant with a text."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        options = [":show-inheritance:"] if value.__bases__ != (object,) else []
        if value is gradus.Tensor:  # the rest of its methods are functions, told once
            written = [
                key
                for key, found in vars(value).items()
                if isinstance(found, property) or getattr(found, "__module__", "") == value.__module__
            ]
            options.append(
                ":members: " + ", ".join(key for key in written if not key.startswith("_") and inspect.getdoc(getattr(value, key)))
            )
        else:
            options.append(":members:")
        return "\n".join([f".. autoclass:: {module}.{name}", *(f"   {option}" for option in options), ""])
    return f".. autofunction:: {module}.{name}\n" if callable(value) else ""


def rest(text: str) -> str:
    """reStructuredText within Markdown."""
    return f"````{{eval-rst}}\n{text}````\n"


def home(module: str, name: str) -> str:
    """The module whose file defines a name."""
    value = getattr(importlib.import_module(module), name)
    return getattr(value, "__module__", None) or module


def members(module: str, *names: str) -> str:
    """Everything that a module offers (or the names given), a section for each file that it comes from."""
    loaded = importlib.import_module(module)
    by_home: dict[str, list[str]] = {}
    for name in names or names_of(loaded):
        if not isinstance(getattr(loaded, name), types.ModuleType):
            by_home.setdefault(home(module, name), []).append(name)
    text = "" if names else rest(f".. automodule:: {module}\n   :no-members:\n   :no-index:\n")
    for file, found in by_home.items():
        body = "\n".join(filter(None, (directive(module, name) for name in found)))
        if body:
            heading = f"## {file.rsplit('.', 1)[-1].replace('_', ' ').capitalize()}\n\n" if len(by_home) > 1 and not names else ""
            text += heading + rest(body)
    return text


def functions(module: str, *homes: str) -> str:
    """The functions that a module re-exports from some files."""
    loaded = importlib.import_module(module)
    found = [name for name in names_of(loaded) if inspect.isroutine(getattr(loaded, name)) and home(module, name) in homes]
    return rest("\n".join(directive(module, name) for name in found))


def submodules(package: str) -> Iterator[types.ModuleType]:
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        yield importlib.import_module(found.name)


def rungs(package: str) -> str:
    """A table for each module of a package: its names, each with its first sentence and a link to its line."""
    text = ""
    for module in submodules(package):
        rows = []
        for name in names_of(module):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                rows.append(f"   * - `{name} <../../{page_with_line(value)}>`__\n     - {first_sentence(value)}\n")
        table = ".. list-table::\n   :widths: 28 72\n   :class: names\n\n" + "".join(rows)
        text += f"## {module.__name__.rsplit('.', 1)[-1]}\n\n" + rest(f"{first_sentence(module)}\n\n{table}")
    return text


def module_map(package: str = "gradus") -> str:
    """All modules, each with its first sentence; here other pages' references to modules lead."""
    names = sorted([package, *(found.name for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."))])
    entries = []
    for name in names:
        if not name.startswith("gradus.kernels.") and not name.endswith("__main__"):
            entries.append(f".. automodule:: {name}\n   :no-members:\n")
    return rest("\n".join(entries))


PARTS: dict[str, Callable[..., str]] = {
    "members": members,
    "functions": functions,
    "rungs": rungs,
    "modules": module_map,
    "matrix": lambda: rest(op_matrix.page()),
    "errors": error_catalogue.page,
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = PLACE.sub(lambda place: PARTS[place["part"]](*place["words"].split()), source[0])


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    secondary = name in SECONDARY and getattr(thing, "__module__", "") != "gradus.nn.module"
    return True if secondary else None


def shorter(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """A signature without types that say nothing."""
    if signature:
        signature = re.sub(r": '?(Any|\.\.\.)'?(?=[,)]| = )", "", signature)
        signature = re.sub(r"(?<=\w) = ", "=", signature) if ":" not in signature else signature
    return signature, None if result in ("Any", "'Any'", "None") else result


def resolve(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """A reference to a name that is documented under another one: `gradus.transforms.grad` is `gradus.grad`."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("gradus."):
        return None
    domain = env.get_domain("py")
    wanted = lookup(target)
    for name, entry in domain.objects.items():
        if wanted is not None and name.rsplit(".", 1)[-1] == target.rsplit(".", 1)[-1] and lookup(name) is wanted:
            uri = app.builder.get_relative_uri(node["refdoc"], entry.docname) + "#" + entry.node_id
            return nodes.reference("", "", content, refuri=uri, internal=True)
    return None


def lookup(dotted: str) -> Any:
    """The object of a dotted name, None where there is none."""
    try:
        return pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return None


def setup(app: Sphinx) -> dict:
    app.connect("source-read", fill)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", shorter)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
