"""Imports go down only: a module may import from the rows above its own, never from its own row's neighbours or from below.

The table is the architecture. A new module takes its place here first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "gradus"

# From the ground up. Names on one row do not know each other; modules of one folder do.
LAYERS = """
errors versions cuda mode folders memory terminal ctrl_c
blas
dtypes special kernels
backend
primitive
ops
random diagnosis
fused
printing
tensors
tape
grad_mode tensor_hooks
reverse function inplace
autograd
torch_names array_api
transforms
io
nn optim data
viz utils compiler
train
gradus
ladder
cli
"""

# These may use the whole house, and nothing in the house uses them.
ASIDE = {"testing", "__main__"}

# `gradus.ops` is the array namespace of tensors and tracers alike, so it knows neither.
FORBIDDEN = {"ops": {"tensors", "tape", "autograd"}}

# Whoever imports one of these packages, and who may: it never happens on `import gradus`, only inside the function that needs it.
EXTRAS = {"matplotlib", "PIL", "typer", "rich", "tqdm", "numba", "llvmlite", "IPython"}
ONLY_IN = {"cupy": {"backend"}, "torch": set(), "tensorflow": set(), "jax": set()}

# These packages are of no use without an extra and import it with the module; others import them as they import extras.
NEEDS_EXTRA = {"kernels": {"numba", "llvmlite"}}


class Import(NamedTuple):
    """One imported module: who, whom, in which line, and whether inside a function."""

    importer: str
    imported: str
    line: int
    in_function: bool


def module_name(file: Path, root: Path) -> str:
    """``…/gradus/nn/linear.py`` is ``gradus.nn.linear``; a package's ``__init__.py`` is the package."""
    parts = (root.name, *file.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement and whether it is inside a function; those for the type checker alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, in_function
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        else:
            yield from statements(node, in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def imports(root: Path) -> list[Import]:
    """All imports of the package at ``root``, relative ones resolved, ``from gradus.ops import reduction`` led to the submodule."""
    modules = {module_name(file, root): file for file in sorted(root.rglob("*.py"))}
    found = []
    for name, file in modules.items():
        for node, in_function in statements(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                base = node.module or ""
                if node.level:
                    here = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
                    base = ".".join(here[: len(here) - node.level + 1] + ([node.module] if node.module else []))
                targets = sorted({f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in node.names})
            found += [Import(name, target, node.lineno, in_function) for target in targets]
    return found


def room(module: str) -> str:
    """The name by which the table knows a module: ``gradus.nn.linear`` is ``nn``."""
    return module.split(".")[1] if "." in module else module


def outside(module: str) -> str:
    return module.split(".")[0]


def upward(root: Path, layers: str = LAYERS) -> list[str]:
    """Imports that do not go down, and modules that the table does not know."""
    height = {name: row for row, names in enumerate(layers.split("\n")) for name in names.split()}
    problems = [
        f"{module}: has no place in the table"
        for module in sorted({module_name(file, root) for file in root.rglob("*.py")})
        if room(module) not in height and room(module) not in ASIDE
    ]
    for importer, imported, line, _ in imports(root):
        low, high = room(imported), room(importer)
        if outside(imported) != root.name or low == high or high in ASIDE:
            continue
        if low in ASIDE:
            problems.append(f"{importer}:{line}: {imported} stands aside")
        elif low in FORBIDDEN.get(high, ()) or (high in height and height.get(low, -1) >= height[high]):
            problems.append(f"{importer}:{line}: {imported} is not below")
    return problems


def cycles(root: Path) -> list[str]:
    """Modules that import each other in a ring, each ring named once."""
    below: dict[str, set[str]] = {}
    for importer, imported, _, _ in imports(root):
        if outside(imported) == root.name and imported != importer:
            below.setdefault(importer, set()).add(imported)
    rings, done = [], set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            rings.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for other in sorted(below.get(module, ())):
                walk(other, [*path, module])
            done.add(module)

    for module in sorted(below):
        walk(module, [])
    return rings


def misplaced(root: Path) -> list[str]:
    """Extras imported at module level, anything else imported inside a function, and packages that only one module may import."""
    problems = []
    for importer, imported, line, in_function in imports(root):
        package = outside(imported)
        if room(importer) not in ONLY_IN.get(package, {room(importer)}):
            problems.append(f"{importer}:{line}: {package} is not imported here")
        elif in_function and package not in EXTRAS and package not in ONLY_IN and room(imported) not in NEEDS_EXTRA:
            problems.append(f"{importer}:{line}: {imported} is imported inside a function")
        elif not in_function and package in EXTRAS - NEEDS_EXTRA.get(room(importer), set()):
            problems.append(f"{importer}:{line}: the extra {package} is imported with the module")
        elif not in_function and room(importer) not in NEEDS_EXTRA and room(imported) in NEEDS_EXTRA:
            problems.append(f"{importer}:{line}: {imported}, which needs an extra, is imported with the module")
    return problems


@pytest.mark.parametrize("check", [upward, cycles, misplaced])
def test_package(check) -> None:
    problems = check(PACKAGE)
    assert not problems, "\n".join(problems)


PLANTED = [
    (upward, "ops/add.py", "from gradus.tensors import Tensor", "gradus.ops.add:1: gradus.tensors is not below"),
    (upward, "ops/add.py", "from ..tensors import Tensor", "gradus.ops.add:1: gradus.tensors is not below"),
    (upward, "errors.py", "def f():\n    import gradus.nn", "gradus.errors:2: gradus.nn is not below"),
    (upward, "io/files.py", "from gradus import nn", "gradus.io.files:1: gradus.nn is not below"),
    (upward, "nn/layer.py", "import gradus", "gradus.nn.layer:1: gradus is not below"),
    (upward, "nn/layer.py", "from gradus.testing import gradcheck", "gradus.nn.layer:1: gradus.testing stands aside"),
    (upward, "drawer.py", "", "gradus.drawer: has no place in the table"),
    (cycles, "ops/add.py", "from gradus.ops import mul", "gradus.ops.add -> gradus.ops.mul -> gradus.ops.add"),
    (misplaced, "backend.py", "import cupy", None),
    (misplaced, "nn/layer.py", "import cupy", "gradus.nn.layer:1: cupy is not imported here"),
    (misplaced, "testing/parity.py", "def f():\n    import torch", "gradus.testing.parity:2: torch is not imported here"),
    (misplaced, "nn/layer.py", "def f():\n    import json", "gradus.nn.layer:2: json is imported inside a function"),
    (misplaced, "viz/curves.py", "import matplotlib.pyplot", "gradus.viz.curves:1: the extra matplotlib is imported with the module"),
    (misplaced, "kernels/loop.py", "import numba\nfrom llvmlite import ir", None),
    (misplaced, "kernels/loop.py", "import rich", "gradus.kernels.loop:1: the extra rich is imported with the module"),
    (misplaced, "nn/layer.py", "def f():\n    from gradus.kernels import loop", None),
    (
        misplaced,
        "nn/layer.py",
        "from gradus.kernels import loop",
        "gradus.nn.layer:1: gradus.kernels.loop, which needs an extra, is imported with the module",
    ),
    (misplaced, "viz/curves.py", "class C:\n    def f(self):\n        from matplotlib import pyplot", None),
    (upward, "ops/add.py", "if TYPE_CHECKING:\n    from gradus.tensors import Tensor", None),
    (upward, "nn/layer.py", "from . import other\nfrom gradus.ops.add import f", None),
]


@pytest.mark.parametrize("check, path, source, complaint", PLANTED)
def test_a_planted_violation_is_found(check, path: str, source: str, complaint: str | None, tmp_path: Path) -> None:
    root = tmp_path / "gradus"
    files = {"__init__.py": "", "tensors.py": "", "errors.py": "", "nn/__init__.py": "", "nn/other.py": "", "testing/__init__.py": ""}
    files |= {"ops/__init__.py": "", "ops/mul.py": "from gradus.ops import add", "ops/add.py": ""}
    files |= {"kernels/__init__.py": "", "kernels/loop.py": ""}
    for name, text in (files | {path: source}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    assert check(root) == ([complaint] if complaint else [])
