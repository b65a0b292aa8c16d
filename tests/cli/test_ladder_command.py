"""``gradus ladder``: every experiment leaves a table, and a picture where it has one; bad shapes are told, not traced."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gradus.cli import main
from gradus.cli.ladder import EXPERIMENTS, broadcasting, shape_of


def test_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ladder", "all", "--out", str(tmp_path)])
    assert end.value.code == 0
    text = capsys.readouterr().out
    pictures = {f"{name}.png" for name in EXPERIMENTS if name != "gradients"}
    assert {path.name for path in tmp_path.iterdir()} == {*pictures, "backprop.html"}
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert (tmp_path / "backprop.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert text.count("\nafter ") == len(EXPERIMENTS) + 1
    assert "the result has shape (64, 3, 256, 256)" in text
    overfit = text.split("learnt by heart")[1]
    assert overfit.split("\n\n")[1].strip().endswith("100%")


def test_one_experiment_is_the_same_for_one_seed(tmp_path: Path) -> None:
    assert EXPERIMENTS["xor-like"](3).rows == EXPERIMENTS["xor-like"](3).rows != EXPERIMENTS["xor-like"](4).rows
    gaps = [float(text) for row in EXPERIMENTS["gradients"](0).rows for text in row[2:]]
    assert len(gaps) == 20 and max(gaps) < 1e-10


def test_a_pass_is_written_down_number_by_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ladder", "backprop", "--seed", "0", "--out", str(tmp_path)])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "\nafter J. Howard, S. Gugger" in text
    assert re.search(r"^y +v₁·h₁ \+ v₂·h₂ \+ c +1\.5·4 \+ 1·3\.5 \+ \(−1\.5\) +8$", text, re.MULTILINE)
    assert re.search(r"^a₁ → x₁ +15  w₁₁ = 1\.5 +22\.5  x₁: 5 \+ 22\.5 = 27\.5$", text, re.MULTILINE)
    assert "x₁ 22.5 instead of 27.5 and x₂ 15 instead of 35" in text
    assert "h₁ is dead" in "".join(EXPERIMENTS["backprop"](1).remarks) and "dead" not in "".join(EXPERIMENTS["backprop"](0).remarks)


def test_descent_ends_in_both_valleys() -> None:
    roots = np.sort(np.roots([4.0, 0.0, -4.0, 0.25]).real)
    lowest = {name: f"{(x * x - 1) ** 2 + x / 4:.4f}" for name, x in (("deeper", roots[0]), ("other", roots[2]))}
    for seed in range(3):
        (valleys,) = EXPERIMENTS["descent"](seed).more
        heights = {row[3]: row[2] for row in valleys.rows}
        assert heights == lowest
        other = [row[3] for row in valleys.rows].count("other")
        assert EXPERIMENTS["descent"](seed).remarks[1].startswith(f"{other} of 10 starts")
    assert EXPERIMENTS["descent"](0).more != EXPERIMENTS["descent"](1).more


def test_broadcasting_is_explained_or_refused() -> None:
    assert [row[3] for row in broadcasting("2,3", "3").rows] == ["2", "3"]
    (remark,) = broadcasting("3,3", "2,3").remarks
    assert remark.endswith("The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0")
    assert shape_of("(64, 3)") == shape_of("64x3") == (64, 3) and shape_of("()") == ()


def test_a_bad_shape_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ladder", "broadcast", "2,a", "3"])
    assert end.value.code == 2
    assert "a shape is made of whole numbers" in capsys.readouterr().err


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``gradus ladder`` says when it refuses, and that it did nothing before."""
    with pytest.raises(SystemExit) as end:
        main(["ladder", *arguments])
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_length_of_five_thousand_digits_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "broadcast", "2,3", "9" * 5000)
    assert "a shape is made of whole numbers; got 9999" in said and len(said) < 200


def test_a_folder_that_cannot_be_is_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert f"gradus: {file} is a file, not a folder" in complaint(capsys, "backprop", "--out", str(out))
    assert file.read_text() == "mine"


def test_no_experiment_named_is_no_mistake_to_complain_of(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ladder"])
    captured = capsys.readouterr()
    assert "backprop" in captured.out and captured.err == ""


def test_a_terminal_that_knows_few_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as end:
        main(["ladder", "backprop", "--out", str(tmp_path)])
    assert end.value.code == 0
    assert b"v??h? + v??h? + c" in screen.getvalue() and (tmp_path / "backprop.html").exists()


def test_without_matplotlib_all_but_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as end:
        main(["ladder", "backprop", "--out", str(tmp_path)])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert 'no picture: Drawing pictures needs matplotlib: pip install "gradus-dl[plot]"' in text
    assert [path.name for path in tmp_path.iterdir()] == ["backprop.html"]
