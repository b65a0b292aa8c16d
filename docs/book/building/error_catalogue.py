"""The errors, each with a wrong call and the message that it really gives, made while the page is made; and what the codes stand for."""

from __future__ import annotations

import ast
import inspect
import linecache
import warnings
from pathlib import Path

import gradus
from gradus import errors

PACKAGE = Path(gradus.__file__).parent
BAR = chr(92) + "|"  # within a table
BEGIN = "import gradus\nfrom gradus import nn\n"

EXAMPLES: dict[type, str] = {
    errors.ShapeError: """
        model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        model(gradus.zeros(64, 28, 28))
        """,
    errors.DTypeError: """
        nn.Linear(3, 2)(gradus.zeros(5, 3, dtype=gradus.float64))
        """,
    errors.LabelError: """
        labels = gradus.tensor([1, 2, 3, 1])
        nn.functional.cross_entropy(gradus.zeros(4, 3), labels)
        """,
    errors.IndexRangeError: """
        embedding = nn.Embedding(10, 4)
        embedding(gradus.tensor([3, 10]))
        """,
    errors.GradError: """
        x = gradus.ones(3, requires_grad=True)
        (x * 2).backward()
        """,
    errors.AliasError: """
        x = gradus.ones(3, requires_grad=True)
        y = x.exp()
        y += 1
        y.sum().backward()
        """,
    errors.NonFiniteError: """
        w = gradus.ones(3, requires_grad=True)
        (w * float("inf")).sum().backward()
        nn.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
        """,
    errors.DataError: """
        gradus.data.TensorDataset(gradus.zeros(100, 64), gradus.zeros(99))
        """,
    errors.CheckpointError: """
        saved = nn.Linear(4, 2).state_dict()
        nn.Linear(4, 3).load_state_dict(saved)
        """,
    errors.TraceError: """
        @gradus.compile
        def f(x):
            return x if x.sum() > 0 else -x

        f(gradus.ones(3))
        f(gradus.ones(3))
        """,
    errors.UsageError: """
        nn.Dropout(1.5)
        """,
    errors.MissingExtraError: """
        raise gradus.errors.missing_extra("matplotlib", "plot", "Drawing pictures")
        """,
}


def message(kind: type, code: str) -> str:
    """What a wrong call says, as if it stood in a file `train.py`."""
    text = BEGIN + code
    linecache.cache["train.py"] = (len(text), None, text.splitlines(keepends=True), "train.py")
    gradus.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no Numba, for one
            exec(compile(text, "train.py", "exec"), {"__name__": "__main__"})
    except kind as error:
        return f"{kind.__name__}: {error}"
    raise AssertionError(f"{kind.__name__}: the example runs through")


def template(node: ast.expr) -> str:
    """A sentence of the source, with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


def codes() -> dict[str, list[tuple[str, str]]]:
    """The class and the sentence of each error with a code, by code."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                code = [k.value.value for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)]
                kind = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                sentence = template(node.args[0]) if node.args else ""
                if code and code[0] and kind in vars(errors) and sentence.strip("… "):
                    found.setdefault(code[0], []).append((kind, sentence))
    return found


def entry(kind: type) -> str:
    """The base with its arguments; the others, which have the same, with their meaning alone."""
    if kind is errors.GradusError:
        return ".. autoexception:: gradus.errors.GradusError\n   :members: sentence\n"
    return f".. py:exception:: {kind.__name__}\n   :module: gradus.errors\n\n   {' '.join((inspect.getdoc(kind) or '').split())}\n"


def page() -> str:
    """A section for each class, then the table of codes."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.GradusError)]
    missing = [kind.__name__ for kind in kinds if kind not in EXAMPLES and kind is not errors.GradusError]
    assert not missing, f"errors without an example: {missing}"
    text = ""
    for kind in kinds:
        builtin = [base for base in kind.__mro__ if base.__module__ == "builtins" and base not in (object, BaseException, Exception)]
        also = [f"`{base.__name__}`" for base in builtin]
        text += f"## {kind.__name__}\n\n````{{eval-rst}}\n{entry(kind)}````\n\n"
        if kind in EXAMPLES:
            code = inspect.cleandoc(EXAMPLES[kind])
            text += f"Caught as well by `except` with {', '.join(also)}.\n\n" if also else ""
            text += f"```python\n{code}\n```\n\n```text\n{message(kind, code)}\n```\n\n"
    text += f"## UsageWarning\n\n````{{eval-rst}}\n{entry(errors.UsageWarning)}````\n\n"
    text += "## What the codes stand for\n\nOne code is one kind of mistake, wherever it is noticed. One sentence of each:\n\n"
    text += "| code | classes | for example |\n|---|---|---|\n"
    for code, rows in sorted(codes().items()):
        classes = ", ".join(f"`{kind}`" for kind in sorted({kind for kind, _ in rows}))
        sentence = min((sentence for _, sentence in rows), key=lambda sentence: (len(sentence) < 20, len(sentence)))
        text += f"| {code} | {classes} | {sentence.replace('|', BAR).replace('<', '&lt;')} |\n"
    return text
