"""What the book's own extensions of Sphinx make of docstrings, pages and errors."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="Sphinx builds the book: the extra `book`")
pytest.importorskip("jupytext", reason="jupytext makes notebooks of chapters: the extra `book`")
docstrings, error_catalogue, notebooks, source_pages = (
    importlib.import_module(f"building.{name}") for name in ("docstrings", "error_catalogue", "notebooks", "source_pages")
)

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"


@pytest.mark.parametrize(
    "markdown, restructured",
    [
        ("|a - b| <= atol", r"\|a - b\| <= atol"),
        ("`|x|` and ``|x|``, :math:`|x|`", "`|x|` and ``|x|``, :math:`|x|`"),
        ("clip_grad_norm_ of w_", r"clip_grad_norm\_ of w\_"),
        ("calls f(*args, **kwargs)", r"calls f(\*args, \*\*kwargs)"),
        ("*Deep Learning*, and **bold**", "*Deep Learning*, and **bold**"),
        ("a * b, x_small", "a * b, x_small"),
    ],
)
def test_what_looks_like_markup_and_is_none_is_escaped(markdown: str, restructured: str) -> None:
    assert docstrings.escaped(markdown) == restructured


def test_dialogues_and_formulas_stay_as_they_are() -> None:
    lines = ["|x|, in this nesting::", "", "    |fit_", "", "|y|", ".. math::", "    |g_|", ">>> x_ | y"]
    docstrings.process(None, "function", "f", None, None, lines)
    assert lines == [r"\|x\|, in this nesting::", "", "    |fit_", "", r"\|y\|", ".. math::", "    |g_|", ">>> x_ | y"]


PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# Title

```{literalinclude} ../../src/gradus/ladder/matmul.py
:pyobject: product_zeros
:language: python
```

:::{admonition} What the source said, what is true
:class: source
Author: said.
:::

```{code-cell}
:tags: [hide-cell]

assert True
```

:::{dropdown} Answer
Yes, see [on](tape.md#graph).
:::
"""


def test_a_notebook_says_in_plain_markdown_what_the_page_says(tmp_path: Path) -> None:
    text = notebooks.plain(PAGE.split("---\n", 2)[2], BOOK)
    assert "```python\ndef product_zeros(a: np.ndarray, b: np.ndarray) -> np.ndarray:\n" in text
    assert "> **What the source said, what is true**\n>\n> Author: said.\n" in text
    assert "<details><summary>Answer</summary>\n\nYes, see [on](tape.ipynb#graph).\n\n</details>" in text
    assert "{literalinclude}" not in text and ":::" not in text


def test_a_notebook_has_the_cells_of_its_page_and_no_outputs() -> None:
    made = json.loads(notebooks.notebook(BOOK / "matmul.md"))
    code = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    assert len(code) == (BOOK / "matmul.md").read_text(encoding="utf-8").count("```{code-cell}")
    assert code[0].startswith("import numpy as np") and not any(cell.get("outputs") for cell in made["cells"])
    assert notebooks.notebook(BOOK / "matmul.md") == notebooks.notebook(BOOK / "matmul.md")


def test_a_notebook_folds_solutions_and_brings_the_example_that_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(notebooks.notebook(BOOK / "gpt.md"))["cells"]
    hidden = ["hide" in "".join(cell["metadata"].get("tags", ())) for cell in made]
    assert sum(hidden) >= 5
    assert hidden == [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in made]
    code = ["".join(cell["source"]) for cell in made if cell["cell_type"] == "code"]
    (place,) = [k for k, source in enumerate(code) if source.startswith("%%writefile ")]
    file, text = code[place].removeprefix("%%writefile ").split("\n", 1)
    (tmp_path / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "char_gpt", sys)  # so that what is there now comes back at the end
    del sys.modules["char_gpt"]
    names: dict = {}
    exec(code[place + 1], names)  # its imports
    assert Path(sys.modules["char_gpt"].__file__).parent == tmp_path and names["GPT"].__module__ == "char_gpt"


def test_every_error_has_an_example_that_raises_it() -> None:
    assert "train.py:4 in <module>" in error_catalogue.page()
    with pytest.raises(AssertionError, match="the example runs through"):
        error_catalogue.message(ValueError, "nn.Linear(2, 3)")


def test_a_documented_name_leads_to_its_line() -> None:
    link = source_pages.address("py", {"module": "gradus.nn", "fullname": "Linear"})
    assert link is not None and link.startswith("../../source/gradus/nn/linear.html#line-")
    line = int(link.rsplit("-", 1)[1])
    assert (ROOT / "src/gradus/nn/linear.py").read_text(encoding="utf-8").splitlines()[line - 1].startswith("class Linear")
