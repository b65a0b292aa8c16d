"""Links to source files lead to pages that show them, and each documented name has a link to its line there."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.highlighting import PygmentsBridge

ROOT = Path(__file__).parents[3]
FOLDERS = ("src/gradus", "examples")


def shown() -> list[Path]:
    """The files that have a page."""
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def page_of(file: Path) -> str:
    """``src/gradus/nn/linear.py`` is shown on the page ``source/gradus/nn/linear``."""
    return "source/" + file.relative_to(ROOT).as_posix().removeprefix("src/").removesuffix(".py")


def page_with_line(thing: Any) -> str:
    """The page of the file that defines a module, class or function, at its first line; empty if there is none."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        file, line = Path(inspect.getsourcefile(thing) or ""), inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return ""
    return f"{page_of(file)}.html#line-{max(line, 1)}" if ROOT / "src" in file.parents else ""


def address(domain: str, names: dict[str, str]) -> str | None:
    """What Sphinx links beside a name that is documented on a page of the reference."""
    page = page_with_line(pkgutil.resolve_name(f"{names['module']}:{names['fullname']}"))
    return f"../../{page}" if page else None


def lead_to_sources(app: Sphinx, doctree: nodes.document) -> None:
    """A link to a shown file leads to its page, one to a folder to the page of its `__init__.py`."""
    for link in [*doctree.findall(addnodes.download_reference), *doctree.findall(addnodes.pending_xref)]:
        file = (Path(app.srcdir, app.env.docname).parent / link.get("reftarget", "").split("#")[0]).resolve()
        file = file / "__init__.py" if file.is_dir() else file
        if link.get("reftype") == "myst" and file.suffix == ".py" and file.is_file() and ROOT in file.parents and file in set(shown()):
            up = "../" * app.env.docname.count("/")
            link.replace_self(nodes.reference("", "", *link.children, refuri=f"{up}{page_of(file)}.html", internal=True))


def pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    for file in shown():
        text = file.read_text(encoding="utf-8")
        body = PygmentsBridge("html", app.config.pygments_style).highlight_block(text, "python", linenos="inline", lineanchors="line")
        name = file.relative_to(ROOT).as_posix()
        yield page_of(file), {"title": name, "body": f"<h1>{name}</h1>{body}"}, "page.html"


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.linkcode")
    app.connect("doctree-read", lead_to_sources)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
