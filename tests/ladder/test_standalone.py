"""Each rung can be read and copied alone: it needs NumPy, the standard library, and the few rungs that it says it stands on."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import gradus.ladder

FOLDER = Path(gradus.ladder.__file__).parent
RUNGS = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")

# Which rungs a rung stands on. Those that are not named here stand on none.
STANDS_ON = {
    "tensors": {"broadcasting"},
    "tensors_at_work": {"tensors"},
    "matmul_timings": {"matmul"},
    "layers": {"functions_and_gradients"},
    "classification": {"functions_and_gradients", "layers"},
    "labelled_images": {"layers", "classification"},
    "layers_at_work": {"functions_and_gradients", "layers", "classification", "labelled_images"},
    "weight_gradient": {"layers", "classification"},
    "autoencoder": {"functions_and_gradients", "layers"},
    "closure_activations": {"closures"},
    "closure_training": {"closures", "closure_activations"},
    "closure_layers": {"closures"},
    "initialisation_at_work": {"initialisation"},
    "jacobians": {"closures", "closure_activations", "closure_training"},
    "closures_at_work": {"closures", "closure_activations", "closure_training"},
    "tape_at_work": {"tape"},
    "module": {"tape_of_layers"},
    "training_loop": {"tape_of_layers", "module"},
    "engine_costs": {"engines", "complex_step"},
    "training_mistakes": {"tape_of_layers", "module", "training_loop", "data_loader", "training_stages"},
    "training_stages": {"tape_of_layers", "module", "training_loop", "data_loader"},
}
WITHOUT_NUMPY = ["polynomial", "contexts_and_callbacks", "symbolic"]


def imported(rung: str) -> set[str]:
    """The modules that the file names in import lines, wherever they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{rung}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "gradus.ladder" else {module}
    return names


@pytest.mark.parametrize("rung", [rung for rung in RUNGS if rung != "engines"])
def test_a_rung_stands_on_numpy_the_standard_library_and_few_others(rung: str) -> None:
    others = {name for name in imported(rung) if name.split(".")[0] not in sys.stdlib_module_names | {"numpy"}}
    assert others == {f"gradus.ladder.{name}" for name in STANDS_ON.get(rung, set())}


@pytest.mark.parametrize("rung", WITHOUT_NUMPY)
def test_the_first_rungs_need_no_numpy(rung: str) -> None:
    assert {name.split(".")[0] for name in imported(rung)} <= sys.stdlib_module_names


def test_the_engines_compare_the_rungs_with_gradus_itself() -> None:
    others = {name for name in imported("engines") if name.split(".")[0] == "gradus"}
    below = "closure_activations closure_training closures complex_step functions_and_gradients layers tape tape_at_work".split()
    assert others == {"gradus", *(f"gradus.ladder.{name}" for name in below)}


def test_every_rung_is_in_the_table_of_contents() -> None:
    assert set(RUNGS) <= set(vars(gradus.ladder))
    assert set(STANDS_ON) <= set(RUNGS)
