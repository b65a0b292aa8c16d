"""The excerpts are other people's: each says whose, and nothing that is handed out holds them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from listings import FOLDER

ROOT = Path(__file__).parents[2]
EXCERPTS = sorted(FOLDER.glob("*.ipy"))


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda excerpt: excerpt.stem)
def test_an_excerpt_says_where_it_comes_from(excerpt: Path) -> None:
    text = excerpt.read_text(encoding="utf-8")
    assert text.startswith('# From "')
    assert "\n# Mended: " in text or "\n# Restored: " in text or "Lost and restored: " in text
    assert f"`{excerpt.name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_source_distribution_leaves_them_out(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {Path(name).relative_to(Path(name).parts[0]).as_posix() for name in archive.getnames()}
    assert "tests/documents/listings.py" in names  # the tests do go out
    assert not {name for name in names if name.startswith("tests/documents/excerpts") or name.endswith(".ipy")}
