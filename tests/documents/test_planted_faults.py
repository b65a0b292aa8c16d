"""The tests that the checklist of the documents names can fail: slips like those of the documents, planted one at a time, are found.

A copy of the package gets one changed line; the tests that stand in the table for that matter then run on the copy, and each must fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMED = {
    (file, name)
    for row, files in tomllib.loads((HERE / "checklist.toml").read_text(encoding="utf-8")).items()
    if row != "rows"
    for file, names in files.items()
    for name in names
}


class Fault(NamedTuple):
    """One line of the package as it is, as somebody might have it, and the tests that must notice."""

    slip: str
    file: str
    ours: str
    theirs: str
    tests: tuple[str, ...]  # "file::name" under tests/, without test_


FAULTS = [
    Fault(
        "the degree of a polynomial is the number of its coefficients",
        "ladder/polynomial.py",
        "return len(self) - 1 if self.coefficients",
        "return len(self) if self.coefficients",
        ("ladder/test_polynomial.py::len_counts_and_degree_is_the_degree",),
    ),
    Fault(
        "the gradient of a bias is not summed over the examples",
        "ladder/functions_and_gradients.py",
        "add_g(b, rows.sum(0))",
        "add_g(b, rows)",
        ("ladder/test_layers.py::linear_takes_any_leading_axes", "ladder/test_layers.py::a_model_finds_every_gradient"),
    ),
    Fault(
        "the gradient on a value is assigned, not added",
        "ladder/functions_and_gradients.py",
        "array.g = np.asarray(g) if array.g is None else array.g + np.asarray(g)",
        "array.g = np.asarray(g)",
        (
            "ladder/test_layers.py::an_array_read_twice_gets_both_gradients",
            "ladder/test_layers.py::two_batches_accumulate_until_the_update",
        ),
    ),
    Fault(
        "mean squared error takes a column for a row",
        "ladder/functions_and_gradients.py",
        "if output.shape != target.shape:",
        "if False:",
        ("ladder/test_layers.py::mse_refuses_shapes_that_would_broadcast",),
    ),
    Fault(
        "its gradient divides by the rows alone",
        "ladder/closure_training.py",
        "return (error * error).mean(), 2 * error / error.size",
        "return (error * error).mean(), 2 * error / len(error)",
        ("ladder/test_closures.py::mse_gradient_is_that_of_its_value",),
    ),
    Fault(
        "the optimiser of the closures does not clear the gradient",
        "ladder/closure_training.py",
        "        parameter.gradient[...] = 0  # until",
        "        # until",
        ("ladder/test_closures.py::gradients_add_up_until_the_update",),
    ),
    Fault(
        "softmax overflows",
        "ladder/classification.py",
        "powers = np.exp(x - np.max(x, axis=-1, keepdims=True))",
        "powers = np.exp(x)",
        ("ladder/test_layers.py::softmax_ignores_a_shift_and_does_not_overflow",),
    ),
    Fault(
        "cross-entropy is a sum over the examples",
        "ladder/classification.py",
        "out=np.zeros_like(t)).sum(-1).mean()",
        "out=np.zeros_like(t)).sum()",
        ("ladder/test_layers.py::cross_entropy_is_the_mean_over_examples",),
    ),
    Fault(
        "a tensor used twice keeps its last contribution alone",
        "ladder/tape.py",
        "arrived[parent] = arrived[parent] + share if parent in arrived else share",
        "arrived[parent] = share",
        ("ladder/test_tape.py::a_tensor_used_twice_gets_both_contributions",),
    ),
    Fault(
        "strides are counted in bytes",
        "torch_names/attributes.py",
        "strides = tuple([s // self.value.itemsize for s in self.value.strides])",
        "strides = self.value.strides",
        ("documents/test_pytorch_listings.py::both_libraries_side_by_side",),
    ),
    Fault(
        "an error speaks otherwise than the book prints it",
        "diagnosis.py",
        "must match the size of tensor b ({m}) at",
        "must be the size of tensor b ({m}) at",
        ("documents/test_pytorch_listings.py::both_libraries_side_by_side",),
    ),
    Fault(
        "the standard deviation is NumPy's",
        "torch_names/reduction.py",
        "return ops.std(input, axis=_axes(input, dim), keepdims=keepdim, correction=_correction(correction, unbiased))",
        "return ops.std(input, axis=_axes(input, dim), keepdims=keepdim, correction=0.0)",
        ("documents/test_pytorch_listings.py::both_libraries_side_by_side",),
    ),
    Fault(
        "mean squared error is summed",
        "fused/loss.py",
        "return _reduced(ops.square(input - target), reduction)",
        'return _reduced(ops.square(input - target), "sum")',
        (
            "documents/test_numpy_listings.py::ten_epochs_on_linear_data",
            "documents/test_numpy_listings.py::fifty_epochs_with_each_of_the_three_losses",
        ),
    ),
    Fault(
        "the variance that is kept is the biased one",
        "fused/norm.py",
        "ops.var(x, axis=axis, correction=1.0)",
        "ops.var(x, axis=axis, correction=0.0)",
        ("documents/test_course.py::batch_norm_of_the_course_and_what_the_library_does_otherwise",),
    ),
    Fault(
        "momentum of a normalisation is that of an optimiser",
        "fused/norm.py",
        "running.mul_(1.0 - momentum).add_(batch * momentum)",
        "running.mul_(momentum).add_(batch * (1.0 - momentum))",
        ("documents/test_course.py::momentum_means_the_opposite_in_normalisation",),
    ),
    Fault(
        "the uniform law is as narrow as it is printed",
        "nn/init.py",
        "bound = math.sqrt(3.0) * _ratio(gain, sum(fans(tensor)) / 2)",
        "bound = _ratio(gain, sum(fans(tensor)) / 2)",
        ("documents/test_references.py::glorot_and_bengio_gradients_keep_their_size",),
    ),
    Fault(
        "the hooks of a backward pass see the gradients of the inputs alone",
        "nn/hooks.py",
        "self.grad_output = spread(gradients, self.outputs, self.width)",
        "self.grad_output = ()",
        ("nn/test_module.py::backward_hooks", "documents/test_course.py::class_activation_maps"),
    ),
    Fault(
        "activations are noted in validation too",
        "train/activation_stats.py",
        "if learner.training and isinstance(output, Tensor):",
        "if isinstance(output, Tensor):",
        ("train/test_activation_stats.py::training_steps_alone_are_noted_and_the_hooks_go_away",),
    ),
]


def environment(package: Path) -> dict[str, str]:
    """What a process needs to import the copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**kept, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def outcomes(package: Path, tests: tuple[str, ...]) -> dict[str, set[str]]:
    """How each test ended on the copy, in all its cases: passed, failed, error."""
    files = sorted({f"tests/{test.partition('::')[0]}" for test in tests})
    chosen = " or ".join(sorted({f"test_{test.partition('::')[2]}" for test in tests}))
    options = ["-q", "-rA", "--tb=no", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "-k", chosen]
    command = [sys.executable, "-m", "pytest", *options, *files]
    run = subprocess.run(command, cwd=ROOT, env=environment(package), capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found: dict[str, set[str]] = {test: set() for test in tests}
    for outcome, file, name in re.findall(
        r"^(PASSED|FAILED|ERROR|SKIPPED) tests/([\w/.]+)::(?:\w+::)*test_(\w+)", run.stdout, re.MULTILINE
    ):
        if f"{file}::{name}" in found:
            found[f"{file}::{name}"].add(outcome)
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that may be spoilt, and on which all these tests pass before."""
    pytest.importorskip("torch", reason="PyTorch is the oracle of several of these tests")
    copy = tmp_path_factory.mktemp("planted") / "src" / "gradus"
    shutil.copytree(ROOT / "src" / "gradus", copy, ignore=shutil.ignore_patterns("__pycache__"))
    ask = [sys.executable, "-c", "import gradus; print(gradus.__file__)"]
    where = subprocess.run(ask, cwd=ROOT, env=environment(copy), capture_output=True, text=True, check=True)
    assert Path(where.stdout.strip()).parent == copy
    before = outcomes(copy, tuple({test: None for fault in FAULTS for test in fault.tests}))
    assert all(outcome == {"PASSED"} for outcome in before.values()), before
    return copy


def test_the_faults_lie_all_over_the_package() -> None:
    assert len(FAULTS) >= 10
    assert len({fault.file for fault in FAULTS}) >= 8


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.slip)
def test_a_fault_is_one_line_that_is_there(fault: Fault) -> None:
    assert (ROOT / "src" / "gradus" / fault.file).read_text(encoding="utf-8").count(fault.ours) == 1
    assert fault.ours != fault.theirs


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.slip)
def test_the_tests_stand_in_the_table(fault: Fault) -> None:
    assert {tuple(test.split("::")) for test in fault.tests} <= NAMED


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.slip)
def test_a_planted_fault_is_found(fault: Fault, package: Path) -> None:
    file = package / fault.file
    whole = file.read_text(encoding="utf-8")
    try:
        file.write_text(whole.replace(fault.ours, fault.theirs), encoding="utf-8")
        found = outcomes(package, fault.tests)
    finally:
        file.write_text(whole, encoding="utf-8")
    assert all("FAILED" in outcome for outcome in found.values()), found
