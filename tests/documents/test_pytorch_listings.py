"""Two documents written for PyTorch: their own code runs on Gradus after the import lines alone were changed, and does what it does there.

Every cell is run twice, with PyTorch and with Gradus. What is drawn is copied from one to the other; all else must come out alike: the
names, shapes, dtypes, values and gradients, and what is shown, which must also be what the document prints. GIVEN and THEN are
what a listing needs and a document does not show: inputs of a formula, the missing class, a call of what was defined.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np
import pytest
from listings import IMPORTS, Cell, Notebook, cells, shown, shown_in_document, with_gradus

import gradus

BOOK = "net_from_the_foundations"
POST = "building_the_foundations"
DOCUMENTS = [BOOK, POST]

STORAGE = {"storage", "storage of a column"}  # PyTorch shows a storage otherwise by now; Gradus shows it as the book does
DRAWN = re.compile(r"randn|LinearLayer\(|FeedForwardNN\(")

GIVEN = {
    (BOOK, "one neuron"): "inputs, weights, bias = tensor([1., 2.]), tensor([3., 4.]), tensor(.5)",
    (BOOK, "dense layer"): "x, w, b = tensor([[1., 2.], [3., 4.], [5., 6.]]), tensor([[1., -1.], [2., .5]]), tensor([.1, .2])",
    (BOOK, "dense layer in plain Python"): "whole, y, i, j = y, torch.zeros(3, 2), 1, 0",
    (BOOK, "one entry of a product"): "m, n, i, j = tensor([[1., 2.], [3., 4.]]), tensor([[5., 6.], [7., 8.]]), 1, 0",
    (BOOK, "einsum of one"): "a = torch.arange(6.).view(2, 3)",
    (BOOK, "einsum of three"): "a, b, c = torch.arange(6.).view(2, 3), torch.arange(12.).view(3, 4), torch.arange(8.).view(2, 4)",
    (BOOK, "einsum of batches"): "a, b = torch.arange(30.).view(5, 2, 3), torch.arange(60.).view(5, 3, 4)",
    (BOOK, "its backward"): "for t in (x, w1, b1, w2, b2): del t.g",
    (POST, "matmul by einsum"): "A, B = torch.arange(6.).view(2, 3), torch.arange(12.).view(3, 4)",
    (POST, "one step"): """
class ReLU(Layer):
    def __repr__(self): return "(ReLU)"
    def forward(self, x): return x.clamp_min(0.)
    def backward(self): self.args[0].g = (self.args[0] > 0).float() * self.y.g

class FeedForwardNN:
    def __init__(self, x_dim, y_dim, n_layers):
        class Affine(Linear, Layer):
            backward = linear_backward
        widths = [x_dim] + [50] * (n_layers - 1) + [y_dim]
        self.layers = []
        for n_in, n_out in zip(widths, widths[1:]): self.layers += [Affine(n_in, n_out), ReLU()]
        self.layers.pop()
        self.loss = MSE()
    def __call__(self, x):
        for layer in self.layers: x = layer(x)
        return x
    backward = backward

x_train, y_train = torch.randn(8, 784), torch.randn(8)
""",
}
THEN = {
    (BOOK, "relu of a number"): "relu(tensor(-2.)), relu(tensor(3.))",
    (BOOK, "forward_and_backward"): "forward_and_backward(x, y)",
    (BOOK, "Relu as a LayerFunction"): "t, r = x.clone(), Relu()\nr(t)\nr.out.g = x\nr.backward()",
    (
        BOOK,
        "Mse as a LayerFunction",
    ): "for t in (x, w1, b1, w2, b2): del t.g\nmodel = Model(w1, b1, w2, b2)\nloss = model(x, y)\nmodel.backward()",
    (BOOK, "Function"): "t = x.clone().requires_grad_()\nMyRelu.apply(t).pow(2).sum().backward()",
    (POST, "polynomial"): "p = Polynomial(1, 2, 3)\nstr(p), repr(p), len(p), p[1], p(2), p(tensor_of_3)",
    (POST, "matmul by rows"): "matmul(torch.arange(6.).view(2, 3), torch.arange(12.).view(3, 4))",
    (POST, "linear"): "Linear(784, 50)",
    (POST, "backward of linear"): "linear_backward = backward",
}

# What a draw ends in: the range of a number that both libraries' draws must lie in, whatever the seed. (The documents' own numbers do.)
BANDS = {
    "too wide": ("l1.std()", 9, 11),
    "their spread": ("x.std()", 0.3, 2),
    "first layer by xavier": ("l1.std()", 0.9, 1.1),
    "after relu": ("l2.std()", 0.53, 0.64),
    "fifty relu layers": ("x.std()", 1e-10, 1e-6),
    "fifty relu layers by kaiming": ("x.std()", 0.02, 8),
    "first layer by kaiming": ("l2.std()", 0.74, 0.92),
}


def is_tensor(value: Any) -> bool:
    return hasattr(value, "requires_grad") and hasattr(value, "shape")


def assert_same(ours: Any, theirs: Any, where: str) -> None:
    """Equal numbers, tensors with gradients, or nests of them; what is neither (functions, objects) is of the same kind."""
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs), where
        for a, b in zip(ours, theirs):
            assert_same(a, b, where)
    elif is_tensor(theirs):
        assert isinstance(ours, gradus.Tensor), where
        assert (tuple(ours.shape), str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype).removeprefix("torch.")), where
        a, b = ours.detach().numpy(), theirs.detach().numpy()
        scale = np.abs(b[np.isfinite(b)]).max(initial=0.0) if b.dtype.kind == "f" else 0.0
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * scale, err_msg=where)
        for name in ("g", "grad"):
            assert (getattr(ours, name, None) is None) is (getattr(theirs, name, None) is None), f"{where}.{name}"
            if getattr(theirs, name, None) is not None:
                assert_same(getattr(ours, name), getattr(theirs, name), f"{where}.{name}")
    elif isinstance(theirs, (bool, int, float, str)):
        assert ours == theirs, where
    elif not isinstance(theirs, type):
        assert type(ours).__name__ == type(theirs).__name__, where


def assert_same_names(ours: Notebook, theirs: Notebook, cell: str) -> None:
    assert {*ours.names} == {*theirs.names} - {"__warningregistry__"}, cell
    for name, value in theirs.names.items():
        if not name.startswith("__") and name not in {"torch", "nn", "tensor", "Function", "Module"}:
            assert_same(ours[name], value, f"{name} after {cell!r}")


def hand_over(value: Any) -> Any:
    """A tensor of PyTorch's as one of Gradus'."""
    return gradus.tensor(value.detach().numpy().copy())


def hand_over_draws(ours: Notebook, theirs: Notebook, known: dict[str, Any]) -> None:
    """The new tensors that PyTorch drew in place of those that Gradus drew, once their shapes and dtypes were compared."""
    for name, value in theirs.names.items():
        if is_tensor(value) and value is not known.get(name):
            assert (tuple(ours[name].shape), str(ours[name].dtype)) == (tuple(value.shape), str(value.dtype).removeprefix("torch.")), name
            ours.names[name] = hand_over(value)


def run(notebook: Notebook, cell: Cell) -> tuple[Any, str]:
    """What the cell shows, and the error that it ends in."""
    try:
        return notebook.run(cell.source), ""
    except RuntimeError as error:
        words = str(error).splitlines()[0]
        # Gradus gives each kind of mistake a number, before PyTorch's words.
        return None, "RuntimeError: " + re.sub(r"^\[E\d+\] ", "", words)


def check_printed(cell: Cell, value: Any, error: str, gradus_ran: bool) -> None:
    """What was shown is what the document prints."""
    if cell.kind == "!":
        assert error == cell.printed
        return
    assert not error
    if cell.kind == ">" and (gradus_ran or cell.name not in STORAGE):
        assert shown(value) == shown_in_document(cell), cell.name


def started(document: str, gradus_runs: bool) -> Notebook:
    """A notebook whose imports have been run, which some fragments of the book need before it comes to them."""
    notebook = Notebook(gradus_runs)
    notebook.run_all(document, "imports")
    notebook.names["tensor_of_3"] = notebook["torch"].tensor(3.0)
    return notebook


FASTAI_MODULE = """
class Module(nn.Module):
    def __new__(cls, *args):
        module = object.__new__(cls)
        nn.Module.__init__(module)
        return module
"""


def before(notebook: Notebook, document: str, cell: Cell) -> None:
    if cell.name == "Model of fastai's Module":  # Gradus' own Module needs no call of the base either
        notebook.run("Module = nn.Module" if notebook.gradus else FASTAI_MODULE)
    notebook.run(GIVEN.get((document, cell.name), ""))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_but_import_lines_is_changed(document: str) -> None:
    for cell in cells(document):
        old, new = cell.source.split("\n"), with_gradus(cell.source).split("\n")
        assert len(old) == len(new)
        assert all(IMPORTS[a] == b for a, b in zip(old, new) if a != b)
        assert not any(re.match(r"\s*(import|from)\s+torch\b", line) for line in new), "PyTorch would be imported all the same"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_gradus_alone(document: str) -> None:
    notebook = started(document, gradus_runs=True)
    for cell in cells(document):
        if cell.name == "imports" or (cell.name == "sympy" and importlib.util.find_spec("sympy") is None):
            continue
        before(notebook, document, cell)
        check_printed(cell, *run(notebook, cell), gradus_ran=True)
        notebook.run(THEN.get((document, cell.name), ""))
        check_bands(notebook, cell)


def check_bands(notebook: Notebook, cell: Cell) -> None:
    if cell.name in BANDS:
        expression, low, high = BANDS[cell.name]
        assert low < notebook.run(expression).item() < high, (cell.name, notebook.gradus)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_both_libraries_side_by_side(document: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is the oracle")
    ours, theirs = started(document, gradus_runs=True), started(document, gradus_runs=False)
    for cell in cells(document):
        if cell.name == "imports":
            continue
        if cell.name == "one step":
            break  # its model is drawn inside: see below
        values, known = [], dict(theirs.names)
        for notebook in (ours, theirs):
            before(notebook, document, cell)
            value, error = run(notebook, cell)
            check_printed(cell, value, error, notebook.gradus)
            values.append((value, error))
            check_bands(notebook, cell)
        if DRAWN.search(cell.source):
            hand_over_draws(ours, theirs, known)
        elif cell.name not in STORAGE:
            assert_same(values[0], values[1], cell.name)
        after = [notebook.run(THEN.get((document, cell.name), "")) for notebook in (ours, theirs)]
        assert_same(*after, cell.name)
        assert_same_names(ours, theirs, cell.name)


def test_gradients_by_hand_are_those_of_the_tape() -> None:
    notebook = Notebook()
    definitions = ["imports", "lin", "relu", "mse", "mse_grad", "relu_grad", "lin_grad", "forward_and_backward"]
    notebook.run_all(BOOK, *definitions, "xavier", "data once more", "kaiming")
    notebook.run("forward_and_backward(x, y)")
    by_hand = {name: notebook[name].g for name in ("x", "w1", "b1", "w2", "b2")}
    for name in by_hand:
        notebook[name].requires_grad_()
    notebook.run("mse(lin(relu(lin(x, w1, b1)), w2, b2), y).backward()")
    for name, g in by_hand.items():
        np.testing.assert_allclose(g.numpy(), notebook[name].grad.numpy(), rtol=1e-4, atol=1e-6 * float(g.abs().max()))


TRAINING = """
net = Model(100, 50, 1)
opt = torch.optim.SGD(net.parameters(), lr=.1)
"""
STEPS = """
losses = []
for _ in range(5):
    loss = net(x, y)
    loss.backward()
    losses.append(loss.item())
    opt.step()
    opt.zero_grad()
"""


@pytest.mark.parametrize("cell", ["Model of modules", "Model of fastai's Module"])
def test_a_model_of_modules_learns_as_there(cell: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is the oracle")
    notebooks = [started(BOOK, gradus_runs=True), started(BOOK, gradus_runs=False)]
    for notebook in notebooks:
        notebook.run_all(BOOK, "data", "mse", "LinearLayer")
        before(notebook, BOOK, next(each for each in cells(BOOK) if each.name == cell))
        notebook.run_all(BOOK, cell)
        notebook.run(TRAINING)
    ours, theirs = notebooks
    hand_over_draws(ours, theirs, {})
    ours["net"].load_state_dict({name: value.numpy() for name, value in theirs["net"].state_dict().items()})
    for notebook in notebooks:
        notebook.run(STEPS)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    assert ours["losses"][-1] < ours["losses"][0]


def test_a_linear_layer_of_the_book_is_the_library_s() -> None:
    notebook = Notebook()
    notebook.run_all(BOOK, "imports", "LinearLayer")
    notebook.run("from math import sqrt\nlin, library = LinearLayer(10, 2), nn.Linear(10, 2)\nlibrary.load_state_dict(lin.state_dict())")
    notebook.run("x = torch.randn(5, 10)\nmine, its = lin(x), library(x)")
    np.testing.assert_allclose(notebook["mine"].detach().numpy(), notebook["its"].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_model_trained_with_the_function_of_the_book() -> None:
    notebook = Notebook()
    notebook.run_all(BOOK, "imports", "Function", "LinearLayer", "mse")
    notebook.run("""
from math import sqrt
x = torch.linspace(-1, 1, 64)[:, None]
y = x.abs().squeeze(-1)
first, second = LinearLayer(1, 16), LinearLayer(16, 1)
opt = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=.1)
losses = []
for _ in range(200):
    loss = mse(second(MyRelu.apply(first(x))), y)
    loss.backward()
    losses.append(loss.item())
    opt.step()
    opt.zero_grad()
""")
    assert notebook["losses"][-1] < 0.01 < notebook["losses"][0]  # a line leaves 1/12 of a variance: about 0.08


def test_the_post_s_training_step() -> None:
    """Five layers, one step: value and every gradient as in PyTorch, its slip with the bias included, which the tape shows."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    ours, theirs = started(POST, gradus_runs=True), started(POST, gradus_runs=False)
    *definitions, step = [cell for cell in cells(POST) if cell.name not in {"imports", "matmul by einsum"}]
    make, use = step.source.split("\n", 1)
    for notebook in (ours, theirs):
        for cell in definitions:
            notebook.run(cell.source)
            notebook.run(THEN.get((POST, cell.name), ""))
        notebook.run(GIVEN[POST, step.name] + make)
    hand_over_draws(ours, theirs, {})
    for mine, its in zip(ours["model"].layers[::2], theirs["model"].layers[::2]):
        mine.weight, mine.bias = hand_over(its.weight), hand_over(its.bias)
    for notebook in (ours, theirs):
        notebook.run(use)
    assert_same(ours["loss"], theirs["loss"], "loss")
    assert str(ours["model"].layers[0]) == "(Linear: in=784 out=50)" == str(theirs["model"].layers[0])
    for mine, its in zip(ours["model"].layers[::2], theirs["model"].layers[::2]):
        assert_same([mine.weight, mine.bias], [its.weight, its.bias], "layer")  # their g with them
        leaves = [hand_over(its.weight).requires_grad_(), hand_over(its.bias).requires_grad_()]
        y = hand_over(its.args[0]) @ leaves[0] + leaves[1]
        y.backward(hand_over(its.y.g))
        np.testing.assert_allclose(mine.weight.g.numpy(), leaves[0].grad.numpy(), rtol=1e-4, atol=1e-5)
        assert mine.bias.g.shape == y.shape != leaves[1].shape  # the post's slip: a row for each example
        np.testing.assert_allclose(mine.bias.g.sum(0).numpy(), leaves[1].grad.numpy(), rtol=1e-4, atol=1e-5)
    assert torch.is_tensor(theirs["loss"])


def test_a_float_tensor_made_float_is_the_same_object() -> None:
    """The post's step needs it: the gradient of the loss lands on what ``y_pred.float()`` returns. A double's lands on a copy."""
    x = gradus.zeros(2)
    assert x.float() is x
    assert x.double().float() is not x
