"""The whole book builds without a warning, can be read without a network, and tells nothing of the machine that built it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"


@pytest.mark.slow
def test_the_book_builds(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="Sphinx builds the book: the extra `book`")
    out = tmp_path / "book"
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-E",
        "-W",
        "-n",
        "--keep-going",
        "-c",
        "docs/book",
        "-d",
        str(tmp_path / "doctrees"),
        "docs",
    ]
    done = subprocess.run([*command, str(out)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    pages = {page.relative_to(out).as_posix(): page.read_text(encoding="utf-8") for page in out.rglob("*.html")}
    assert {"index.html", "book/index.html", "architecture.html", "book/reference/matrix.html", "source/gradus/tape.html"} <= set(pages)
    assert [name for name, text in pages.items() if str(ROOT) in text or str(tmp_path) in text] == []
    assert [name for name, text in pages.items() if re.search(r"<(script|link)[^>]*(src|href)=\"https?:", text)] == []

    for chapter in BOOK.glob("*.md"):
        if chapter.stem == "index":
            continue
        text = pages[f"book/{chapter.stem}.html"]
        assert "<summary" in text and 'href="' + f"{chapter.stem}.ipynb" in text and "_images/" in text, chapter.stem
        notebook = json.loads((out / "book" / f"{chapter.stem}.ipynb").read_text(encoding="utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        prose = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
        assert code and not any(cell["outputs"] for cell in code)
        assert "{literalinclude}" not in prose and "{code-cell}" not in prose and "\n:::" not in prose
