"""The documents tell the truth: their code runs, their commands exist, their links lead somewhere.

One document is one story: its ```python blocks share a namespace, its ```console and ```bash blocks run between them, all in one
empty folder and a process of its own (`python tests/project/test_documents.py README.md` does the same by hand). What cannot run
says so in the line before the block: `<!-- not run: reason -->`, or `<!-- needs GRADUS_DATA -->`.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += sorted(file for folder in ("docs", "examples", "benchmarks") for file in (ROOT / folder).rglob("*.md"))
SHELL = {"console", "bash", "sh", "shell"}
PROGRAMS = {"gradus", "make", "python", "python3", "pip", "pytest", "pre-commit", "cd", "git"}  # what a document may ask to type
MARKER = re.compile(r"<!--\s*(not run: (?P<reason>.+?)|needs (?P<needs>\w+))\s*-->")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\{?[\w-]*)")  # {code-cell}: tests/book runs those


class Block(NamedTuple):
    """A fenced block: its language, the line of its first line, its text, and the marker above it."""

    language: str
    line: int
    text: str
    not_run: str = ""
    needs: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        start = number
        while number < len(lines) and not lines[number].strip().startswith("```"):
            number += 1
        marker = MARKER.search("\n".join(lines[max(0, start - 3) : start - 1]))
        body = "\n".join(line.removeprefix(fence["indent"]) for line in lines[start:number])
        groups = marker.groupdict("") if marker else {}
        yield Block(fence["language"], start + 1, body + "\n", groups.get("reason", ""), groups.get("needs", ""))
        number += 1


def commands(block: Block) -> list[str]:
    """The commands of a console block: lines after `$ ` where there are any (the rest is output), else every line."""
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line.strip() for line in prompted or lines if line.strip() and not line.startswith("#")]


def words(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables set before a command, and its words: ``A=1 gradus train  # fast`` is ``{"A": "1"}, ["gradus", "train"]``."""
    parts = shlex.split(command, comments=True)
    count = next((index for index, part in enumerate(parts) if not re.match(r"^[A-Za-z_]\w*=", part)), len(parts))
    return dict(part.split("=", 1) for part in parts[:count]), parts[count:]


def run_command(command: str) -> None:
    """Runs what Gradus itself answers for: `gradus …` and `python …`. Other commands have checks of their own below."""
    variables, parts = words(command)
    if not parts or parts[0] not in ("gradus", "python"):
        return
    arguments = ["-m", "gradus", *parts[1:]] if parts[0] == "gradus" else parts[1:]
    arguments = [str(ROOT / part) if part.endswith(".py") else part for part in arguments]
    subprocess.run([sys.executable, *arguments], check=True, env=os.environ | variables, stdin=subprocess.DEVNULL)


def run_python(block: Block, name: str, namespace: dict) -> None:
    """Runs a block in ``namespace``, a dialogue with `>>>` prompts as a doctest; tracebacks name the document and its line."""
    if block.text.lstrip().startswith(">>>"):
        flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        dialogue = doctest.DocTestParser().get_doctest(block.text, namespace, name, name, block.line - 1)
        dialogue.globs = namespace
        if doctest.DocTestRunner(optionflags=flags).run(dialogue, clear_globs=False).failed:
            raise SystemExit(f"{name}:{block.line}: the dialogue goes otherwise")
        return
    exec(compile("\n" * (block.line - 1) + block.text, name, "exec"), namespace)


def run_document(document: Path) -> None:
    """Runs all blocks of a document in the current folder."""
    namespace: dict = {"__name__": "__main__"}
    for block in blocks(document.read_text(encoding="utf-8")):
        if block.not_run or (block.needs and not os.environ.get(block.needs)):
            print(f"{document.name}:{block.line}: not run: {block.not_run or block.needs + ' is not set'}", flush=True)
        elif block.language in ("python", "pycon"):
            run_python(block, str(document), namespace)
        elif block.language in SHELL:
            for command in commands(block):
                run_command(command)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_code_runs(document: Path, tmp_path: Path) -> None:
    if not any(block.language in SHELL | {"python", "pycon"} for block in blocks(document.read_text(encoding="utf-8"))):
        return
    command = [sys.executable, "-W", "error", __file__, str(document)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_exist(document: Path) -> None:
    """Make targets are in the Makefile, extras in pyproject.toml, scripts in the tree; any other command has to be named above."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    unknown = []
    for block in blocks(document.read_text(encoding="utf-8")):
        for command in commands(block) if block.language in SHELL else []:
            program, *arguments = words(command)[1] or ["cd"]
            named = set(re.search(r"\[(.*)\]", command)[1].split(",")) if program.endswith("pip") and "[" in command else set()
            targeted = {word for word in arguments if program == "make" and "=" not in word and not word.startswith("-")}
            scripts = {word for word in arguments if word.endswith(".py") and not (ROOT / word).is_file()}
            if Path(program).name not in PROGRAMS or named - extras or targeted - targets or scripts:
                unknown.append(f"{document.name}:{block.line}: {command}")
    assert unknown == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]+`", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"<img[^>]*\ssrc=\"([^\"]+)\"", text)
    relative = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:", link) and not link.startswith("#")]
    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_python_in_unmarked_blocks_is_called_python(document: Path) -> None:
    """A block without a language is never run, so it must not hold code of Gradus."""
    bare = [block for block in blocks(document.read_text(encoding="utf-8")) if not block.language]
    assert [block.line for block in bare if re.search(r"^(import|from) gradus|^\$? ?gradus ", block.text, re.MULTILINE)] == []


STORY = """# A story
```python
x = 1
```
<!-- not run: shows an error -->
```python
raise ValueError
```
<!-- needs NO_SUCH_VARIABLE -->
```console
$ gradus train mnist
```
```python
>>> x + 1
2
```
- in a list
  ```python
  assert x == 1
  ```
```
{x} is not code
```
"""


def run_story(text: str, tmp_path: Path) -> subprocess.CompletedProcess:
    (tmp_path / "story.md").write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, __file__, "story.md"], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_true_story_passes(tmp_path: Path) -> None:
    done = run_story(STORY, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "story.md:7: not run: shows an error\nstory.md:11: not run: NO_SUCH_VARIABLE is not set\n"


@pytest.mark.parametrize(
    "lie, complaint",
    [
        ("```python\nassert x == 2\n```", 'story.md", line 25'),
        ("```python\n>>> x + 1\n3\n```", "story.md:25: the dialogue goes otherwise"),
        ("```console\n$ python -c 'raise SystemExit(3)'\n```", "returned non-zero exit status 3"),
    ],
)
def test_a_planted_lie_is_found(lie: str, complaint: str, tmp_path: Path) -> None:
    done = run_story(STORY + lie, tmp_path)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_commands_are_read_as_a_shell_reads_them() -> None:
    assert commands(Block("console", 1, "$ gradus train \\\n    --epochs 1\nepoch 1\n")) == ["gradus train      --epochs 1"]
    assert commands(Block("bash", 1, "# first\nmake demo\n\nmake test\n")) == ["make demo", "make test"]
    assert words("A=1 gradus train --lr=2  # fast") == ({"A": "1"}, ["gradus", "train", "--lr=2"])


if __name__ == "__main__":
    run_document(Path(sys.argv[1]))
