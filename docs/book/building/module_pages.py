"""Parts of reference pages that are read off the package: a page says `<!-- here: members gradus.nn -->`, and here they come."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

from building import error_catalogue, op_matrix
from building.docstrings import escaped
from building.source_pages import page_with_line

PLACE = re.compile(r"^<!-- here: (?P<part>\w+)(?P<words>.*?) *-->$", re.MULTILINE)
SECONDARY = {"extra_repr", "caption", "pool"}  # what a layer says of itself is told once, at Module


def first_paragraph(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def home(module: types.ModuleType, name: str) -> str:
    """The module whose file defines a name."""
    return getattr(getattr(module, name), "__module__", None) or module.__name__


def names_of(module: types.ModuleType) -> list[str]:
    """The classes and functions that a module offers: those of its `__all__`, or those that it defines."""
    names = getattr(module, "__all__", [name for name in vars(module) if home(module, name) == module.__name__])
    found = [name for name in names if not name.startswith("_")]
    return [name for name in found if inspect.isclass(getattr(module, name)) or inspect.isroutine(getattr(module, name))]


def rest(text: str) -> str:
    """reStructuredText within Markdown."""
    return f"````{{eval-rst}}\n{text}````\n\n"


def described(module: types.ModuleType, name: str, options: str = ":members:") -> str:
    """How autodoc is asked for one class or function."""
    value = getattr(module, name)
    if not inspect.isclass(value):
        return f".. autofunction:: {module.__name__}.{name}\n\n"
    bases = "   :show-inheritance:\n" if any(base.__module__.startswith("gradus") for base in value.__bases__) else ""
    return f".. autoclass:: {module.__name__}.{name}\n   {options}\n{bases}\n"


def members(module: str, *names: str) -> str:
    """Everything that a module offers, a section for each file that it comes from; or the names given, without sections."""
    loaded = importlib.import_module(module)
    if names:
        return rest("".join(described(loaded, name) for name in names))
    by_file: dict[str, list[str]] = {}
    for name in names_of(loaded):
        by_file.setdefault(home(loaded, name), []).append(name)
    text = rest(f".. automodule:: {module}\n   :no-members:\n")
    for file, found in sorted(by_file.items()):
        heading = f"## `{file.rsplit('.', 1)[-1]}`\n\n" if len(by_file) > 1 else ""
        text += heading + rest("".join(described(loaded, name) for name in found))
    return text


def functions(module: str, *files: str) -> str:
    """The functions that a module re-exports from some files."""
    loaded = importlib.import_module(module)
    found = [name for name in names_of(loaded) if inspect.isroutine(getattr(loaded, name)) and home(loaded, name) in files]
    return rest("".join(described(loaded, name) for name in found))


def written(module: str, name: str) -> str:
    """A class with the members that stand in its own file; those that a table has added are left out."""
    loaded = importlib.import_module(module)
    value = getattr(loaded, name)
    own = [key for key, found in vars(value).items() if isinstance(found, property) or getattr(found, "__module__", "") == value.__module__]
    return rest(described(loaded, name, ":members: " + ", ".join(key for key in own if not key.startswith("_"))))


def rungs(package: str) -> str:
    """A table for each module of a package: its names, each with its first paragraph and a link to its line."""
    text = ""
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        module = importlib.import_module(found.name)
        rows = ""
        for name in names_of(module):
            value = getattr(module, name)
            rows += f"   * - `{name} <../../{page_with_line(value)}>`__\n     - {escaped(first_paragraph(value))}\n"
        table = f".. list-table::\n   :widths: 28 72\n   :class: names\n\n{rows}\n"
        text += f"## {found.name.rsplit('.', 1)[-1]}\n\n" + rest(
            f".. py:module:: {found.name}\n\n{escaped(first_paragraph(module))}\n\n{table}"
        )
    return text


PARTS: dict[str, Callable[..., str]] = {
    "members": members,
    "functions": functions,
    "written": written,
    "rungs": rungs,
    "matrix": lambda: rest(op_matrix.page()),
    "errors": error_catalogue.page,
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the parts at their places, before the page is read."""
    source[0] = PLACE.sub(lambda place: PARTS[place["part"]](*place["words"].split()), source[0])


# --- what autodoc would do otherwise ------------------------------------------------------------------------------------------------------


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what each layer repeats, and what Python writes itself."""
    module, text = getattr(thing, "__module__", "") or "", inspect.getdoc(thing) or ""
    if text.startswith("Alias for field number"):
        return True  # a named tuple's fields stand among its attributes
    if what == "class" and module.startswith(("gradus.nn.", "gradus.fused.")) and module != "gradus.nn.module":
        return True if name in SECONDARY or (name == "forward" and "\n" not in text) else None
    return None


def shorter(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, text: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """A signature without types that say nothing; that of a class is that of its `__init__`, whatever `__new__` takes."""
    if what == "class" and inspect.isfunction(thing.__init__):
        text = stringify_signature(signature(thing.__init__, bound_method=True), show_return_annotation=False, unqualified_typehints=True)
        text = "()" if text == "(*args: Any, **kwargs: Any)" else text  # a layer without arguments
    if text:
        text = re.sub(r": '?~?(typing\.)?Any'?(?= = |[,)])( = )?", lambda found: "=" if found[2] else "", text)
    return text, None if (result or "").strip("'").removeprefix("~").removeprefix("typing.") in ("Any", "None") else result


def public_bases(app: Sphinx, name: str, thing: Any, options: Any, bases: list[Any]) -> None:
    """In place of a base with an underscore, its own bases."""
    while any(getattr(base, "__name__", "").startswith("_") for base in bases):
        place = next(k for k, base in enumerate(bases) if getattr(base, "__name__", "").startswith("_"))
        bases[place : place + 1] = [base for base in bases[place].__bases__ if base is not object]


def lookup(dotted: str) -> Any:
    """The object of a dotted name, None where there is none."""
    try:
        return pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return None


def resolve(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """A reference leads to the name under which its object is documented, else to its line in the source."""
    target = node.get("reftarget", "")
    wanted = lookup(target) if target.startswith("gradus.") else None
    if node.get("refdomain") != "py" or wanted is None:
        return None
    last = target.rsplit(".", 1)[-1]
    for name, entry in env.get_domain("py").objects.items():
        if name.endswith("." + last) and lookup(name) is wanted:
            uri = app.builder.get_relative_uri(node["refdoc"], entry.docname) + "#" + entry.node_id
            return nodes.reference("", "", content, refuri=uri, internal=True)
    page = page_with_line(wanted)
    return nodes.reference("", "", content, refuri="../" * node["refdoc"].count("/") + page, internal=True) if page else None


def setup(app: Sphinx) -> dict:
    app.connect("source-read", fill)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", shorter)
    app.connect("autodoc-process-bases", public_bases)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
