"""`gradus train` as a person runs it: the report, the folder, Ctrl-C, and sentences instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")

import gradus
from gradus.cli import main
from gradus.cli import training as training_module
from gradus.compiler import tiers
from gradus.compiler.tiers import kernels_installed
from gradus.data import digits
from gradus.errors import DataError, MissingExtraError, missing_extra
from gradus.nn import Conv2d
from gradus.train import History, load_run

FILES = {"config.json", "metrics.jsonl", "curves.png", "confusion.png", "mistakes.png", "model.safetensors"}
SOURCES = str(Path(gradus.__file__).parents[1])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def program(*words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": SOURCES, "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-m", "gradus", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_default_arguments_reach_97_percent_over_five_seeds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    accuracies = []
    for seed in range(5):
        assert call("train", "--seed", str(seed), "--out", f"run{seed}") == 0
        out = capsys.readouterr().out.splitlines()
        if seed == 0:
            assert {path.name for path in Path("run0").iterdir()} == FILES
            monkeypatch.setattr(training_module, "draw", lambda *arguments, **test: None)  # the other four need no pictures
        accuracies.append(json.loads(Path(f"run{seed}/config.json").read_text())["results"]["test_accuracy"])
        assert out[-1] == f"test accuracy {100 * accuracies[-1]:.1f} %"
        assert sum(line.split()[0].endswith("/40") for line in out if line.strip()) == 40
    assert np.mean(accuracies) >= 0.97
    learner = load_run("run4")
    _, _, x_test, y_test = digits()
    assert (learner.predict(x_test) == y_test.numpy().astype(str)).mean() == accuracies[4]
    assert learner.history.rows == History.from_jsonl("run4/metrics.jsonl").rows
    assert len(learner.history["val_accuracy"]) == 40


@pytest.mark.parametrize(
    "dataset, arguments, least", [("mnist", ["--epochs", "5"], 0.978), ("fashion", ["--epochs", "1", "--model", "linear"], 0.8)]
)
def test_the_big_sets(gradus_data: Path, dataset: str, arguments: list[str], least: float) -> None:
    assert call("train", dataset, *arguments, "--out", "run") == 0
    assert json.loads(Path("run/config.json").read_text())["results"]["test_accuracy"] >= least


def test_the_same_seed_gives_the_same_file() -> None:
    for out in ("a", "b"):
        assert call("train", "--epochs", "2", "--seed", "7", "--out", out) == 0
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_options_arrive(optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--hidden",
        "24,12",
        "--hidden",
        "8",
        "--dropout",
        "0",
        "--epochs",
        "3",
        "--batch-size",
        "50",
        "--lr",
        "0.02",
        "--label-smoothing",
        "0",
    ]
    assert call("train", *words, "--schedule", "none", "--optimizer", optimizer, "--out", "run") == 0
    config = json.loads(Path("run/config.json").read_text())
    expected = {
        "hidden": [24, 12, 8],
        "dropout": 0.0,
        "epochs": 3,
        "batch_size": 50,
        "lr": 0.02,
        "label_smoothing": 0.0,
        "schedule": "none",
        "optimizer": optimizer,
        "seed": 0,
    }
    assert config["options"] == {"dataset": "digits", "model": "mlp", "compile": kernels_installed(), **expected}
    assert config["gradus"] == gradus.__version__
    learner = load_run("run")
    assert [tuple(p.shape) for p in learner.model.parameters() if p.ndim == 2] == [(24, 64), (12, 24), (8, 12), (10, 8)]
    assert learner.history["lr"] == [0.02, 0.02, 0.02]
    assert learner.step == 3 * -(-1293 // 50)
    assert "label smoothing" not in capsys.readouterr().out


def test_compiled_or_not_it_is_said_and_written_down(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba")
    curves = []
    for words, line, written in (
        ([], "compiled (Numba kernels: the first epoch makes them, and they are kept)", True),
        (["--compile"], "compiled (Numba kernels: the first epoch makes them, and they are kept)", True),
        (["--no-compile"], "running eagerly (--compile is faster)", False),
    ):
        assert call("train", "--epochs", "3", "--out", "run", "--overwrite", *words) == 0
        assert capsys.readouterr().out.splitlines().count(line) == 1
        assert json.loads(Path("run/config.json").read_text())["options"]["compile"] is written
        curves.append(load_run("run").history["val_loss"])
    assert curves[0] == curves[1]
    assert curves[0] == pytest.approx(curves[2], rel=1e-3)


def test_without_numba_it_runs_eagerly_and_says_what_would_be_faster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "installed", lambda package: package not in tiers.NEEDED)
    monkeypatch.setattr(tiers.Notice, "given", False)
    install = 'pip install "gradus-dl[fast]"'
    assert call("train", "--epochs", "1", "--out", "a") == 0
    assert f"running eagerly: {install} makes it about 3 times faster" in capsys.readouterr().out.splitlines()
    assert json.loads(Path("a/config.json").read_text())["options"]["compile"] is False
    assert call("train", "--epochs", "1", "--out", "b", "--compile") == 0
    assert f"compiled (NumPy alone: {install} makes kernels)" in capsys.readouterr().out.splitlines()
    assert call("info") == 0
    assert f"gradus.compile NumPy alone; {install} makes kernels" in capsys.readouterr().out


def test_the_convolutional_model() -> None:
    assert call("train", "--model", "cnn", "--epochs", "4", "--hidden", "32", "--out", "run") == 0
    config = json.loads(Path("run/config.json").read_text())
    assert config["results"]["test_accuracy"] >= 0.9
    assert config["model"] == {"kind": "cnn", "inputs": [8, 8], "classes": 10, "hidden": [32], "dropout": 0.4}
    _, _, x_test, _ = digits()
    learner = load_run("run")
    assert len(learner.predict(x_test)) == len(x_test)
    assert isinstance(learner.model[1], Conv2d)


def test_the_linear_model_and_the_default_folder() -> None:
    assert call("train", "--model", "linear", "--epochs", "3") == 0
    assert call("train", "--model", "linear", "--epochs", "1") == 0
    runs = sorted(Path("runs").iterdir())
    assert len(runs) == 2
    assert all(run.name.startswith("digits-linear-20") for run in runs)
    assert sum(parameter.numel() for parameter in load_run(runs[0]).model.parameters()) == 650


def test_test_rows_are_read_once_after_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    x_train = digits()[0]
    seen: list[tuple[int, int]] = []

    class Watched(training_module.Learner):
        def predict_proba(self, x, **options):
            seen.append((len(self.history.rows), len(x)))
            return super().predict_proba(x, **options)

        def fit(self, x, y, **options):
            np.testing.assert_array_equal(x.numpy(), x_train.numpy())
            assert options["validation"] == 0.1
            return super().fit(x, y, **options)

    monkeypatch.setattr(training_module, "Learner", Watched)
    assert call("train", "--epochs", "3", "--out", "run") == 0
    assert seen == [(3, 360)]


def test_without_matplotlib_training_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*arguments: object) -> MissingExtraError:
        raise missing_extra("matplotlib", "plot", "Drawing pictures")

    monkeypatch.setattr(training_module, "draw_curves", refuse)
    assert call("train", "--epochs", "1", "--out", "run") == 0
    out = capsys.readouterr().out
    assert 'No curves, confusion matrix or mistakes were drawn. Drawing pictures needs matplotlib: pip install "gradus-dl[plot]"' in out
    assert {path.name for path in Path("run").iterdir()} == FILES - {"curves.png", "confusion.png", "mistakes.png"}


def test_ctrl_c_keeps_the_run() -> None:
    process = program("train", "--epochs", "100000", "--out", "run")
    history = Path("run/metrics.jsonl")
    give_up = time.monotonic() + 60
    while not history.is_file() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "stopped after step" in out
    assert "test accuracy" not in out
    learner = load_run("run")
    assert learner.step >= 41
    assert len(learner.history.rows) >= 1
    assert learner.predict(digits()[2]).shape == (360,)
    assert json.loads(Path("run/config.json").read_text())["results"]["interrupted"]


# The folder.


def test_an_earlier_run_is_replaced_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--epochs", "1", "--out", "run") == 0
    Path("run/notes.txt").write_text("mine")
    before = Path("run/model.safetensors").read_bytes()
    capsys.readouterr()
    assert call("train", "--epochs", "2", "--out", "run") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "run holds an earlier run" in error
    assert "--overwrite" in error
    assert Path("run/model.safetensors").read_bytes() == before
    assert call("train", "--epochs", "2", "--out", "run", "--overwrite") == 0
    assert Path("run/model.safetensors").read_bytes() != before
    assert Path("run/notes.txt").read_text() == "mine"


def test_a_folder_of_other_things_is_never_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/holiday.png").write_bytes(b"...")
    Path("settings").mkdir()
    Path("settings/config.json").write_text('{"theme": "dark"}')
    Path("file").write_text("")
    for place in ("photos", "settings", "file"):
        assert call("train", "--epochs", "1", "--out", place, "--overwrite") == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in Path("photos").iterdir()] == ["holiday.png"]
    assert [path.name for path in Path("settings").iterdir()] == ["config.json"]


# Complaints.


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["train", "cifar"], "'cifar' is not one of"),
        (["train", "--epochs", "0"], "fix: gradus train --help"),
        (["train", "--epochs", "0"], "epochs"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--hidden", "64,-3"], "--hidden takes positive whole numbers"),
        (["train", "--lr", "-1"], "--lr must be a positive number"),
        (["train", "--lr", "nan"], "--lr must be a positive number"),
        (["train", "--model", "linear", "--hidden", "4"], "a linear model has no hidden layers"),
        (["train", "--frobnicate"], "--frobnicate"),
        (["fly"], "fly"),
        (["predict", "nowhere", "x.png"], "there is no run folder nowhere"),
        (["predict"], "missing"),
    ],
)
def test_a_mistake_ends_in_one_sentence(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gradus: ")
    assert captured.err.count("\n") == 1
    assert complaint.lower() in captured.err.lower()


def test_a_rate_that_is_too_high(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--optimizer", "sgd", "--schedule", "none", "--lr", "1e30", "--epochs", "2", "--out", "run") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "learning rate" in error
    assert error.endswith("fix: --lr 1e+29\n")
    assert call("train", "--lr", "1e9", "--epochs", "2", "--out", "run") == 2  # on the way up
    error = capsys.readouterr().err
    reached = float(re.search(r"lr ([\d.e+]+)", error)[1])
    assert 1e3 < float(error.rpartition(" ")[2]) <= reached / 5 < 1e8
    assert call("train", "--epochs", "1", "--out", "run") == 0  # the run that kept nothing does not stand in the way


@pytest.mark.parametrize("failure, code, complaint", [(KeyboardInterrupt, 130, "stopped by Ctrl-C"), (MemoryError, 2, "not enough memory")])
def test_an_end_outside_of_training_is_told(
    failure: type[BaseException], code: int, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise failure

    monkeypatch.setitem(training_module.DATASETS, "mnist", fail)
    assert call("train", "mnist", "--out", "run") == code
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"gradus: {complaint}")
    assert error.count("\n") == 0


def test_a_data_set_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def mnist() -> None:
        raise DataError("MNIST is not here", wanted="four files in a folder", where="")

    monkeypatch.setitem(training_module.DATASETS, "mnist", mnist)
    assert call("train", "mnist", "--out", "run") == 2
    assert capsys.readouterr().err == "gradus: MNIST is not here; wanted four files in a folder\n"
    assert not Path("run").exists()


def test_a_long_complaint_is_broken_into_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def mnist() -> None:
        raise DataError("MNIST is not here", got="; ".join(["a file is missing"] * 30), fix="fetch it")

    monkeypatch.setitem(training_module.DATASETS, "mnist", mnist)
    assert call("train", "mnist", "--out", "run") == 2
    first, got, fix = capsys.readouterr().err.splitlines()
    assert (first, fix) == ("gradus: MNIST is not here", "  fix:    fetch it")
    assert got.startswith("  got:    a file is missing; ")


# The rest of the program.


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"gradus {gradus.__version__}\n"
    for words in (["--help"], [], ["train", "--help"], ["predict", "-h"]):
        assert call(*words) == 0
        assert "Usage" in capsys.readouterr().out


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("info") == 0
    out = capsys.readouterr().out
    for word in (gradus.__version__, np.__version__, "BLAS", "threads", "extra fast", "extra plot", "typer"):
        assert word in out


def test_info_where_the_cache_has_no_possible_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="without it no kernels are kept anywhere")
    monkeypatch.setenv("GRADUS_CACHE", "long" * 100)
    assert call("info") == 0
    assert "not kept" in capsys.readouterr().out


def test_without_typer_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    assert call("info") == 2
    assert capsys.readouterr().err == 'gradus: The command line needs typer: pip install "gradus-dl[cli]"\n'


def test_a_reader_who_stops_early_sees_no_traceback() -> None:
    with program("info") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


INTERRUPTED = """
import os, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STOPPED_AT"]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
"""


@pytest.mark.parametrize("stopped_at", ["numpy", "gradus.ops", "gradus.cli", "gradus.cli.app", "gradus.train", "typer"])
@pytest.mark.parametrize("command", [["-m", "gradus"], ["gradus"], ["another_program.py"]])
def test_ctrl_c_while_the_command_is_imported_is_one_line(stopped_at: str, command: list[str], tmp_path: Path) -> None:
    """The signal comes when a module is looked for; a program that only uses the package gets Python's own traceback."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    for script in ("gradus", "another_program.py"):
        (tmp_path / script).write_text("from gradus.cli import main\nmain(['info'])\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCES}", "STOPPED_AT": stopped_at}
    done = subprocess.run([sys.executable, *command, "info"], capture_output=True, text=True, env=environment, check=False)
    if command[-1] == "another_program.py" and stopped_at != "typer":
        assert done.returncode not in (0, 130) and done.stderr.startswith("Traceback") and done.stderr.endswith("KeyboardInterrupt\n")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "gradus: stopped by Ctrl-C before all was done\n")


@pytest.mark.parametrize("command", [["train", "--epochs", "1", "--model", "linear"], ["ladder", "descent"]])
@pytest.mark.parametrize(
    "out, said",
    [
        ("a\0b", "null byte"),
        ("x" * 300, "too long"),
        ("/".join(["y" * 200] * 30), "too long"),
        ("file", "file is a file"),
        ("file/below", "file is a file"),
        ("link", "symbolic link"),
        ("link/below", "symbolic link"),
        ("new/../file/below", "file"),
        pytest.param("/proc/new", "no folder can be made", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux has /proc")),
    ],
)
def test_a_folder_that_cannot_be(command: list[str], out: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    Path("link").symlink_to("link")
    assert call(*command, "--out", out) == 2
    error = capsys.readouterr().err
    assert error.startswith("gradus: ") and error.count("\n") == 1 and len(error) < 500
    assert said in error and "; fix: " in error


def test_a_folder_that_is_not_ones_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may write everywhere
    for out in (["--out", "mine/run"], []):
        assert call("train", "--epochs", "1", *out) == 2
        assert "cannot be written to; got --out " in capsys.readouterr().err
    assert list(Path().iterdir()) == []
