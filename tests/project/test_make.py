"""What `make` says before anything is installed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*arguments: str) -> subprocess.CompletedProcess:
    """Runs make as a person does, although the tests may themselves run under make."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  make ([a-z-]+) +[A-Z]", make().stdout, re.MULTILINE)
    assert listed == re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert {"demo", "test", "lint", "bench", "clean"} <= set(listed)


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    done = make("demo", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode == 2
    assert done.stdout == f"Gradus needs Python 3.11 or newer, and '{old}' is Python 3.9.2. Name another: make PYTHON=python3.12\n"
    assert not (tmp_path / "venv").exists()


def test_both_commands_install_what_they_need(tmp_path: Path) -> None:
    demo, test = (make("--dry-run", target, f"VENV={tmp_path}/venv").stdout for target in ("demo", "test"))
    assert "-e '.[cli,plot,data]'" in demo
    assert demo.index("-m venv") < demo.index("pip install") < demo.index("gradus train")
    assert "-e '.[all,test,parity]'" in test and "jax" not in test
    assert test.index("pip install") < test.index("ruff check") < test.index("mypy") < test.index("-m pytest")


def test_only_the_benchmarks_install_other_libraries(tmp_path: Path) -> None:
    bench = make("--dry-run", "bench", "ARGS=--quick", f"VENV={tmp_path}/venv").stdout
    assert "-e '.[fast,plot]' torch==2.13.0 jax jaxlib autograd" in bench
    assert bench.index("pip install") < bench.index("benchmarks/run.py --quick")


def test_the_book_installs_what_builds_it(tmp_path: Path) -> None:
    book = make("--dry-run", "book", "WORKERS=3", f"VENV={tmp_path}/venv").stdout
    assert "-e '.[book,fast]'" in book
    assert book.index("pip install") < book.index("-m sphinx -E -W -n --keep-going -j 3") < book.index("build/book/index.html'")
