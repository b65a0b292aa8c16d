"""Two documents written in NumPy: their own code, its slips mended, takes the same steps as Gradus' layers, losses and optimisers.

Same initial weights, same data, same order of batches, everything in float64, the documents' own learning rates and numbers of epochs:
the losses agree to 1e-10. What each mended place had is run too, so that mending is known to be needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from listings import Notebook, cells

from gradus import nn
from gradus.nn.functional import softmax
from gradus.tensors import Tensor, wrap
from gradus.train import Learner

CLOSURES = "hundred_lines_of_python"
LAYERS = "network_from_scratch"
SAME = {"rtol": 1e-10, "atol": 1e-12}


def copied(weights: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """A layer of Gradus' with the weights of a document's, which has them the other way round."""
    layer = nn.Linear(*weights.shape).double()
    layer.load_state_dict({"weight": weights.T.copy(), "bias": bias.copy()})
    return layer


def learner(model: nn.Module, loss: Any, lr: float) -> Learner:
    return Learner(model, loss, "sgd", lr=lr, progress=False, metrics=[])


def definitions(document: str, end: str) -> list[str]:
    """The names of the cells before ``end``."""
    names = [cell.name for cell in cells(document)]
    return names[: names.index(end)]


# Julian Eisenschlos' hundred lines.


class Batches:
    """The batches of the post's ``Learner.fit``, which shuffles rows that it has shuffled before; drawn anew in each epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int, draws: Iterator[np.ndarray]) -> None:
        self.x, self.y, self.size, self.draws = x, y, size, draws

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = next(self.draws)
        self.x, self.y = self.x[order], self.y[order]
        for i in range(0, len(self.x), self.size):
            yield wrap(self.x[i : i + self.size].copy()), wrap(self.y[i : i + self.size].copy())


@pytest.fixture
def hundred_lines(monkeypatch: pytest.MonkeyPatch) -> tuple[Notebook, list[np.ndarray], list[dict[str, Any]]]:
    """The post's classes, the orders that it draws, and the weights that its layers begin with."""
    notebook, orders, layers = Notebook(), [], []
    notebook.run_all(CLOSURES, *definitions(CLOSURES, "linear data"))
    draw, init = np.random.permutation, notebook["Linear"].__init__

    def permutation(n: int) -> np.ndarray:
        orders.append(draw(n))
        return orders[-1]

    def begin(layer: Any, inputs: int, outputs: int) -> None:
        init(layer, inputs, outputs)
        layers.append(copied(layer.weights.tensor, layer.bias.tensor))

    monkeypatch.setattr(np.random, "permutation", permutation)
    notebook["Linear"].__init__ = begin
    return notebook, orders, layers


def test_ten_epochs_on_linear_data(hundred_lines: Any) -> None:
    notebook, orders, layers = hundred_lines
    notebook.run_all(CLOSURES, "linear data")
    batches = Batches(notebook["X"], notebook["Y"], 10, iter(orders))
    history = learner(layers[0], "mse", 0.05).fit(batches, epochs=10)
    np.testing.assert_allclose(np.multiply(history["loss"], len(batches)), notebook["losses"], **SAME)
    np.testing.assert_allclose(layers[0].weight.detach().numpy().T, notebook["model"].weights.tensor, **SAME)
    assert notebook["losses"][-1] < 0.01 * notebook["losses"][0]
    notebook.run_all(CLOSURES, "learned weights")
    distance, bias = map(float, notebook.said.split())
    assert 1e-5 < distance < 0.05 and abs(bias) < 0.05  # the post prints 1.8e-05: about twice as many epochs get there


def test_fifty_epochs_on_the_product_of_two_numbers(hundred_lines: Any) -> None:
    notebook, orders, layers = hundred_lines
    notebook.run_all(CLOSURES, "product of two numbers")
    draws = iter(orders)
    models = {"losses1": (nn.Sequential(layers[0]), 0.01), "losses2": (nn.Sequential(layers[1], nn.Sigmoid(), layers[2]), 0.3)}
    for name, (model, lr) in models.items():
        batches = Batches(notebook["X"], notebook["Y"], 50, draws)
        history = learner(model, "mse", lr).fit(batches, epochs=50)
        np.testing.assert_allclose(np.multiply(history["loss"], len(batches)), notebook[name], rtol=1e-9)
    assert notebook["losses2"][-1] < 0.1 * notebook["losses1"][-1]  # one layer cannot learn a product


def test_a_relu_of_the_post_in_a_model(hundred_lines: Any) -> None:
    notebook, _, layers = hundred_lines
    notebook.run("model = Sequential(Linear(6, 20), ReLu(), Linear(20, 3))\nx, y = np.random.randn(32, 6), np.random.randn(32, 3)")
    steps = learner(nn.Sequential(layers[0], nn.ReLU(), layers[1]), "mse", 0.2)
    notebook.run("learner = Learner(model, mse_loss, SGDOptimizer(0.2))")
    for _ in range(20):
        loss = notebook.run("learner.fit_batch(x, y)")
        np.testing.assert_allclose(steps.fit_batch(notebook["x"], notebook["y"]), loss, **SAME)


def test_what_the_post_has_at_its_mended_places() -> None:
    source = {cell.name: cell.source for cell in cells(CLOSURES)}
    notebook = Notebook()
    notebook.run_all(CLOSURES, *definitions(CLOSURES, "linear data"))
    with pytest.raises(NameError, match="'W'"):
        notebook.run(source["linear data"].replace("W = np", "w = np").replace("B = np", "b = np"))
    notebook.run(source["linear data"])
    with pytest.raises(NameError, match="'m'"):
        notebook.run(source["learned weights"].replace("model.", "m."))
    with pytest.raises(ValueError, match=r"shape \(10,1\) doesn't match the broadcast shape|doesn't match"):
        notebook.run(source["product of two numbers"].replace("(X[:, 0] * X[:, 1])[:, None]", "X[:, 0] * X[:, 1]"))
    notebook.run(source["loss"].replace("diff.size", "len(diff)"))
    by_rows = notebook.run("mse_loss(np.ones((4, 3)), np.zeros((4, 3)))[1]")
    np.testing.assert_allclose(by_rows, 3 * (2 / 12))  # three outputs: three times the gradient of that value


# Michael Heinzer's network.


@pytest.fixture(scope="module")
def post() -> Notebook:
    notebook = Notebook()
    notebook.run_all(LAYERS, *definitions(LAYERS, "untrained"))
    return notebook


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """784 pixels and the class: each class has its own dots of ink, as much of it as MNIST has (mean 0.13), and some of it is missing."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 10)
    patterns = np.random.default_rng(99).random((10, 784)) > 0.8
    return patterns[labels] * (rng.random((n, 784)) > 0.2) * rng.random((n, 784)) * 1.6, labels


@pytest.fixture
def network(post: Notebook) -> Notebook:
    """The post's classes, and a load_data of images that need no file."""

    def load_data() -> tuple[np.ndarray, ...]:
        (x, y), (x_valid, y_valid) = images(1000), images(500, 1)
        return x, post["index_to_one_hot"](y, 10), x_valid, post["index_to_one_hot"](y_valid, 10)

    post.names["load_data"] = load_data
    return post


def twin(model: Any) -> nn.Sequential:
    """The post's model as one of Gradus', with copies of its weights."""
    return nn.Sequential(*(copied(layer.weights, layer.bias) if type(layer).__name__ == "Linear" else nn.ReLU() for layer in model.layers))


def test_an_untrained_network(network: Notebook) -> None:
    loss, accuracy = network.run(next(cell.source for cell in cells(LAYERS) if cell.name == "untrained"))
    outputs = twin(network["model"])(wrap(network["first_images"]))
    labels = network["first_targets"].argmax(1)
    np.testing.assert_allclose(nn.CrossEntropyLoss()(outputs, wrap(labels)).item(), loss, **SAME)
    assert (outputs.detach().numpy().argmax(1) == labels).mean() == accuracy < 0.25


def test_thirty_epochs_on_a_hundred_images(network: Notebook) -> None:
    """The post's loop to its end, step for step; its loss is a mean here, and its rate times the number of examples."""
    source = next(cell.source for cell in cells(LAYERS) if cell.name == "training")
    head, loop = source.split("for i in range(epochs):")
    network.run(head)
    ours = learner(twin(network["model"]), "cross_entropy", network["learning_rate"])
    rows = []
    network.names["rows"] = rows
    network.run("for i in range(epochs):" + loop + "\n    rows.append((loss_value, accuracy))")
    x, labels = network["multiple_images"], network["multiple_targets"].argmax(1)
    losses = [ours.fit_batch(x, labels) for _ in rows]
    np.testing.assert_allclose(losses, [loss for loss, _ in rows], rtol=1e-10)
    assert len(rows) == 30 and rows[-1][1] == 1.0 == ours.score(x, labels)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "MSE": nn.MSELoss(),
    "MSES": lambda outputs, target: nn.MSELoss()(softmax(outputs, dim=1), target),
    "CrossEntropy": nn.CrossEntropyLoss(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_fifty_epochs_with_each_of_the_three_losses(network: Notebook, name: str) -> None:
    """The post's end-to-end runs: rate 0.5, fifty epochs, one architecture, three losses."""
    network.run(f"model, loss, rows = Model([Linear(784, 50), ReLU(), Linear(50, 10)]), {name}(), []")
    network.run("x, target, _, _ = load_data()\nx, target = x[:300], target[:300]")
    ours = learner(twin(network["model"]), LOSSES[name], 0.5)
    network.run("""
for i in range(50):
    rows.append(loss(model(x), target))
    model.backward(loss.gradient())
    model.update(0.5)
""")
    losses = [ours.fit_batch(network["x"], network["target"]) for _ in range(50)]
    np.testing.assert_allclose(losses, network["rows"], rtol=1e-9)
    assert losses[-1] < losses[0]


def test_small_pieces(network: Notebook) -> None:
    network.run_all(LAYERS, "matrix multiplication by loops")
    a, b = np.arange(12.0).reshape(4, 3), np.arange(6.0).reshape(3, 2)
    by_loops = network["matrix_multiplication"]
    assert (by_loops(a, b) == a @ b).all()
    with pytest.raises(AssertionError, match="Dimension mismatch for A an B: 3 != 4"):
        by_loops(a, a)
    loader = network.run("DataLoader()")
    x, _ = loader.get_training_data().__next__()
    assert abs(x.mean()) < 1e-12 and abs(x.std() - 1) < 1e-12
    x_valid, y_valid = loader.get_validation_data().__next__()
    assert len(x_valid) == len(y_valid) == 500
    raw, _, raw_valid, _ = network["load_data"]()
    np.testing.assert_allclose(x_valid * raw.std() + raw.mean(), raw_valid, atol=1e-12)


WRAPPERS = """
def to_numpy(tensor): return tensor.detach().numpy()

class ClassificationLossWrapper:
    def __init__(self, loss): self.loss = loss()
    def __call__(self, input, target, classes): return self.loss(to_numpy(input), index_to_one_hot(to_numpy(target), classes))
    def gradient(self): return self.loss.gradient()

class RegressionLossWrapper:
    def __init__(self, loss): self.loss = loss()
    def __call__(self, input, target): return self.loss(to_numpy(input), to_numpy(target))
    def gradient(self): return self.loss.gradient()

class LayerWrapper:
    def __init__(self, layer, **numbers): self.layer = layer(**numbers)
    def __call__(self, input): return self.layer(to_numpy(input))
    def backward(self, gradient): return self.layer.backward(to_numpy(gradient))
    def update_attribute(self, name, value): assert hasattr(self.layer, name); setattr(self.layer, name, value)
    def get_attribute(self, name): return getattr(self.layer, name)
"""


@pytest.mark.parametrize("test", ["test_cross_entropy", "test_linear"])
@pytest.mark.parametrize("gradus", [True, False], ids=["gradus", "pytorch"])
def test_the_post_s_own_tests(gradus: bool, test: str) -> None:
    """They compare its NumPy code with PyTorch: with Gradus in PyTorch's place they hold as well, and need no PyTorch."""
    if not gradus:
        pytest.importorskip("torch", reason="PyTorch is what the post compares with")
    notebook = Notebook(gradus)
    notebook.run_all(LAYERS, *(cell.name for cell in cells(LAYERS) if cell.name not in {"untrained", "training"}))
    notebook.run(WRAPPERS)
    notebook.run(f"{test}()")


def test_np_bool_is_there_again(network: Notebook) -> None:
    """The post's gradient of the cross-entropy says np.bool: NumPy 1.24 had taken it away, NumPy 2 has it again, and Gradus asks for 2."""
    assert np.bool is np.bool_
    network.run("loss = CrossEntropy()\nloss(np.zeros((2, 3)), np.eye(3)[:2])")
    np.testing.assert_allclose(network.run("loss.gradient()"), (np.full((2, 3), 1 / 3) - np.eye(3)[:2]) / 2)


def test_what_the_network_s_post_has_at_its_mended_places(network: Notebook) -> None:
    source = {cell.name: cell.source for cell in cells(LAYERS)}

    def mutated(cell: str, ours: str, theirs: str) -> Notebook:
        assert ours in source[cell]
        notebook = Notebook()
        notebook.names.update(network.names)
        notebook.run(source[cell].replace(ours, theirs))
        return notebook

    g = np.ones((2, 3))
    notebook = mutated("relu", "gradient = gradient.copy()", "pass")
    notebook.run("relu = ReLU()\nrelu(np.array([[1., -1., 2.], [-1., 3., 4.]]))")
    notebook["relu"].backward(g)
    assert (g == 0).sum() == 2, "the post's ReLU writes into the caller's gradient"
    with pytest.raises(TypeError):
        mutated("mse", "np.prod(self.target.shape)", "np.multiply(*self.target.shape)").run(
            "m = MSE()\nm(np.ones(3), np.zeros(3))\nm.gradient()"
        )
    notebook = mutated("cross entropy", "-1*np.log(input_probabilities[target > 0])", "-1*np.sum(np.log(input_probabilities[target > 0]))")
    summed = notebook.run("CrossEntropy()(np.zeros((5, 3)), np.eye(3)[[0, 1, 2, 0, 1]])")
    np.testing.assert_allclose(summed, 5 * np.log(3))
    wide = mutated("linear", "2/input_units", "2/512").run("Linear(784, 500)(np.random.randn(200, 784)).std()")
    right = network.run("Linear(784, 500)(np.random.randn(200, 784)).std()")
    assert wide / right == pytest.approx(np.sqrt((2 * 784 / 512 + 1) / 3), rel=0.03)  # the bias adds 1 to either variance
    with pytest.raises(NameError, match="Module"):
        mutated("linear", "class Linear:", "class Linear(Module):")
