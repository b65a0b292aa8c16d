"""Small to carry: NumPy is all that `import gradus` brings in and all that training needs, and the wheel stays within 2 MB.

How long the import takes is measured by `benchmarks/import_time.py`, where a busy machine fails no test.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import gradus

ROOT = Path(__file__).parents[2]
WHEEL_BYTES = 2_000_000

# Modules that cost tens of milliseconds or a dependency, and that only some users ever need.
HEAVY = """
asyncio concurrent.futures cupy decimal doctest email fractions gzip hashlib html http http.client hypothesis IPython
logging matplotlib multiprocessing numba numpy.fft numpy.polynomial numpy.random numpy.testing optparse pandas PIL pydoc pytest rich
scipy secrets sklearn socket sqlite3 ssl subprocess tarfile torch tqdm typer unittest urllib.request xml zipfile
""".split()
EXTRAS = "matplotlib PIL typer click rich numba scipy_openblas32 torch tqdm hypothesis pytest safetensors scipy".split()

WITHOUT_EXTRAS = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


def run(code: str, *, cwd: Path | None = None, path: Path | None = None) -> str:
    """The output of ``code`` in a fresh interpreter that treats warnings as errors, with ``path`` before everything installed."""
    code = f"import sys; sys.path.insert(0, {str(path)!r})\n{code}" if path else code
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that a user would install, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("gradus_dl-*.whl")))


@pytest.fixture(scope="module")
def unpacked(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def test_import_brings_numpy_alone() -> None:
    modules = "import sys; print(*sys.modules)"
    before, after = (set(run(f"import {name}; {modules}").split()) for name in ("numpy", "gradus"))
    heavy = sorted((after - before) & set(HEAVY))
    assert not heavy, heavy


def test_every_module_but_the_entry_points_imports_without_extras(unpacked: Path) -> None:
    code = WITHOUT_EXTRAS + "import gradus, importlib, pkgutil\n"
    code += "names = [m.name for m in pkgutil.walk_packages(gradus.__path__, 'gradus.')]\n"
    code += "aside = ('gradus.testing', 'gradus.kernels.')\n"  # kernels are Numba's
    code += "[importlib.import_module(name) for name in names if not name.endswith('__main__') and not name.startswith(aside)]\n"
    code += "print(gradus.__file__)"
    assert str(unpacked) in run(code, path=unpacked)


TRAINING = """
import gradus
from gradus import nn, optim
from gradus.data import digits

x_train, y_train, x_test, y_test = digits()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = optim.Adam(model.parameters(), lr=0.01)
loss_function = nn.CrossEntropyLoss()
losses = []
for step in range(60):
    rows = gradus.randint(0, len(x_train), (64,))
    loss = loss_function(model(x_train[rows]), y_train[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
gradus.save(model.state_dict(), "model.safetensors")
model.load_state_dict(gradus.load("model.safetensors"))
assert losses[-1] < losses[0] / 2, losses
with gradus.no_grad():
    print((model(x_test).argmax(1) == y_test).float().mean().item())
"""


def test_training_needs_numpy_alone(unpacked: Path, tmp_path: Path) -> None:
    accuracy = float(run(WITHOUT_EXTRAS + TRAINING, cwd=tmp_path, path=unpacked))
    assert accuracy > 0.8


def test_learner_needs_numpy_alone(unpacked: Path, tmp_path: Path) -> None:
    code = """
import gradus
from gradus import nn, optim
from gradus.train import Learner

x_train, y_train, x_test, y_test = gradus.data.digits()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
learner = Learner(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01))
learner.fit(x_train, y_train, epochs=2, batch_size=64)
print()
print(len(learner.predict(x_test)))
"""
    assert run(WITHOUT_EXTRAS + code, cwd=tmp_path, path=unpacked).split()[-1] == str(len(gradus.data.digits()[2]))


def test_a_missing_extra_ends_in_one_sentence(unpacked: Path, tmp_path: Path) -> None:
    code = WITHOUT_EXTRAS + "sys.argv = ['gradus', 'train']\nfrom gradus.cli import main\nmain()"
    program = f"import sys; sys.path.insert(0, {str(unpacked)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert 'pip install "gradus-dl[cli]"' in done.stderr


def test_wheel_is_small_and_whole(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert Path(wheel.filename).stat().st_size <= WHEEL_BYTES
    names = set(wheel.namelist())
    sources = [file for file in (ROOT / "src" / "gradus").rglob("*") if file.is_file() and "cache" not in file.parent.name]
    missing = {file.relative_to(ROOT / "src").as_posix() for file in sources} - names
    assert missing == {"gradus/ladder/ruff.toml"}, missing  # what a tool is told about sources is not for who runs them
    assert {name.split("/")[0] for name in names} == {"gradus", f"gradus_dl-{gradus.__version__}.dist-info"}


def test_core_depends_on_numpy_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ["numpy>=2.0"]
    assert project["version"] == gradus.__version__
