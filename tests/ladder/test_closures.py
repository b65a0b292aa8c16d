"""Layers that return closures, judged by numeric differences in float64, by closed forms and by PyTorch."""

from __future__ import annotations

import ast
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from central_differences import numeric_gradient

from gradus.ladder import closure_activations, closure_training, functions_and_gradients, jacobians, layers
from gradus.ladder import closures as rung
from gradus.ladder import closures_at_work as work
from gradus.ladder.closure_activations import Activation, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from gradus.ladder.closure_training import Learner, MomentumOptimizer, SGDOptimizer, bce_loss, ce_loss, mse_loss
from gradus.ladder.closures import Layer, Linear, Parameter, Residual, Sequential

ACTIVATIONS = [ReLU, LeakyReLU, Sigmoid, Tanh, Softplus, SiLU]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_the_framework_of_the_source_is_about_a_hundred_lines() -> None:
    """The names of the source, without docstrings and blank lines; and with them all that they are made of here."""
    names = {"Parameter", "Layer", "Linear", "Activation", "ReLU", "Sigmoid", "Sequential", "mse_loss", "SGDOptimizer", "Learner"}
    made_of = {"identity", "then", "times", "plus", "sigmoid", "same_shape", "shuffled_batches"}
    lines: dict[str, int] = {}
    for module in (rung, closure_activations, closure_training):
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
            for part in ast.walk(node):
                if isinstance(part, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(part) is not None:
                    part.body = part.body[1:] or [ast.Pass()]
            lines[getattr(node, "name", "")] = sum(bool(line.strip()) for line in ast.unparse(node).split("\n"))
    assert sum(lines[name] for name in names) <= 90
    assert sum(lines[name] for name in names | made_of) <= 120


# Parameters and layers


def test_a_parameter_is_its_own_array_of_floats() -> None:
    values = np.array([1, 2])
    p = Parameter(values)
    p.gradient += 0.5  # zeros_like of whole numbers would refuse this
    assert p.tensor.dtype == p.gradient.dtype == np.float64 and not np.shares_memory(p.tensor, values)
    assert Parameter(np.ones(2, np.float32)).gradient.dtype == np.float32


def test_the_plain_layer_passes_everything_on() -> None:
    X, D = np.ones(3), np.arange(3)
    Y, backward = Layer().forward(X)
    assert Y is X and backward(D) is D and Layer().parameters == []


def test_build_param_registers_what_update_hands_to_the_optimizer() -> None:
    layer, seen = Layer(), []
    first, second = layer.build_param([1.0]), layer.build_param([2.0])
    assert layer.parameters == [first, second]
    second.frozen = True

    class Notes:
        def update(self, param) -> None:
            seen.append(param)

    layer.update(Notes())
    assert seen == [first]


def test_linear_starts_as_printed() -> None:
    layer = Linear(400, 300, rng=3)
    assert abs(layer.weights.tensor.std() * 20 - 1) < 0.01 and not layer.bias.tensor.any()
    assert np.array_equal(layer.weights.tensor, Linear(400, 300, rng=3).weights.tensor)


def model_of(rng) -> Sequential:
    return Sequential(Linear(3, 4, rng), Sigmoid(), Residual(Linear(4, 4, rng), Tanh()), Linear(4, 2, rng), SiLU())


def test_every_gradient_of_a_model_with_a_branch(rng) -> None:
    model, X, Y = model_of(rng), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    arrays = [X, *(p.tensor for p in model.parameters)]
    numeric = [numeric_gradient(lambda: mse_loss(model.forward(X)[0], Y)[0], array) for array in arrays]
    Y_, backward = model.forward(X)
    found = [backward(mse_loss(Y_, Y)[1]), *(p.gradient for p in model.parameters)]
    assert len(found) == 7
    for a, b in zip(found, numeric):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-10)


def test_the_law_of_a_linear_layer(rng) -> None:
    """∂l/∂w = xᵗ ∂l/∂y, which the source's text turns round; ∂l/∂x = ∂l/∂y wᵗ."""
    layer, X, D = Linear(3, 2, rng), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    _, backward = layer.forward(X)
    dX = backward(D)
    np.testing.assert_allclose(layer.weights.gradient, sum(np.outer(x, d) for x, d in zip(X, D)), rtol=1e-12)
    np.testing.assert_allclose(layer.bias.gradient, [math.fsum(D[:, 0]), math.fsum(D[:, 1])], rtol=1e-12)
    np.testing.assert_allclose(dX, [[x @ d for x in layer.weights.tensor] for d in D], rtol=1e-12)


def test_gradients_add_up_until_the_update(rng) -> None:
    layer, X, D = Linear(3, 2, rng), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    backward = layer.forward(X)[1]
    backward(D)
    once = layer.weights.gradient.copy()
    backward(D)
    np.testing.assert_allclose(layer.weights.gradient, 2 * once, rtol=1e-14)
    layer.update(SGDOptimizer(0.1))
    assert not layer.weights.gradient.any() and not layer.bias.gradient.any()


def test_the_first_layer_may_leave_its_input_s_gradient_out(rng) -> None:
    model = Sequential(Linear(3, 4, rng, input_gradient=False), ReLU(), Linear(4, 1, rng))
    same = Sequential(Linear(3, 4, rng), ReLU(), model.layers[2])
    same.layers[0].weights.tensor[:] = model.layers[0].weights.tensor
    X, gradients = rng.standard_normal((5, 3)), []
    for network in (model, same):
        Y, backward = network.forward(X)
        gradients.append((backward(np.ones_like(Y)), network.layers[0].weights.gradient))
    assert gradients[0][0] is None and gradients[1][0].shape == X.shape
    assert np.array_equal(gradients[0][1], gradients[1][1])


def test_a_layer_used_twice_is_exact(rng) -> None:
    for seed in range(3):
        found, numeric = work.layer_used_twice(seed)
        np.testing.assert_allclose(found, numeric, rtol=1e-7, atol=1e-9)
    same = Linear(3, 3, rng)
    X, other = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    (_, first), (_, second) = same.forward(X), same.forward(other)  # two calls, two closures, in either order
    first(np.ones((2, 3)))
    second(np.ones((2, 3)))
    np.testing.assert_allclose(same.weights.gradient, (X + other).sum(0)[:, None] * np.ones(3), rtol=1e-12)


def test_closures_and_remembering_layers_agree_where_both_are_right(rng) -> None:
    mine = Sequential(Linear(3, 4, rng), ReLU(), Linear(4, 2, rng))
    theirs = layers.Model([layers.Linear(3, 4, dtype=np.float64), layers.ReLU(), layers.Linear(4, 2, dtype=np.float64)])
    for a, b in zip(mine.layers[::2], theirs.layers[::2]):
        b.weight[:] = a.weights.tensor
    X, Y = functions_and_gradients.tensor(rng.standard_normal((5, 3))), rng.standard_normal((5, 2))
    Y_, backward = mine.forward(np.asarray(X))
    value, D = mse_loss(Y_, Y)
    assert math.isclose(theirs.loss(theirs(X), Y), value, rel_tol=1e-14)
    theirs.backward()
    np.testing.assert_allclose(backward(D), X.g, rtol=1e-12, atol=1e-16)
    for a, b in zip(mine.layers[::2], theirs.layers[::2]):
        np.testing.assert_allclose(a.weights.gradient, b.weight.g, rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(a.bias.gradient, b.bias.g, rtol=1e-12, atol=1e-16)


def test_a_layer_listed_twice_is_updated_once() -> None:
    same = Linear(2, 2, rng=0)
    model, nested = Sequential(same, Tanh(), same), Sequential(Sequential(same), same)
    assert len(model.parameters) == len(nested.parameters) == 2
    before = same.bias.tensor.copy()
    optimizer = MomentumOptimizer(lr=1.0, momentum=0.5)
    same.bias.gradient += 1
    model.update(optimizer)
    np.testing.assert_allclose(same.bias.tensor, before - 1)  # twice would be 1 + 0.5
    same.bias.gradient += 1
    model.update(optimizer)
    np.testing.assert_allclose(same.bias.tensor, before - 1 - 1.5)


def test_momentum_agrees_with_pytorch(rng) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    start = rng.standard_normal(4)
    ours, theirs = Parameter(start), torch.nn.Parameter(torch.tensor(start))
    optimizer, their_optimizer = MomentumOptimizer(0.1, 0.9), torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    for _ in range(5):
        g = rng.standard_normal(4)
        ours.gradient += g
        theirs.grad = torch.tensor(g)
        optimizer.update(ours)
        their_optimizer.step()
    np.testing.assert_allclose(ours.tensor, theirs.detach().numpy(), rtol=1e-13)


def test_layers_appended_later_and_frozen_later_are_seen(rng) -> None:
    model = Sequential(Linear(2, 2, rng))
    model.layers.append(Linear(2, 1, rng))
    assert len(model.parameters) == 4
    model.layers[0].weights.frozen = True
    kept, moved = model.layers[0].weights.tensor.copy(), model.layers[1].weights.tensor.copy()
    Learner(model, mse_loss, SGDOptimizer(0.1)).fit_batch(np.ones((3, 2)), np.zeros((3, 1)))
    assert np.array_equal(model.layers[0].weights.tensor, kept) and not np.array_equal(model.layers[1].weights.tensor, moved)


# Activations and losses


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_agree_with_pytorch(rng, kind) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    X, D = np.append(3 * rng.standard_normal(40), [0.0, 1000.0, -1000.0]), rng.standard_normal(43)
    inp = torch.tensor(X, requires_grad=True)
    out = getattr(torch.nn, kind.__name__)()(inp)
    out.backward(torch.tensor(D))
    Y, backward = kind().forward(X)
    np.testing.assert_allclose(Y, out.detach().numpy(), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(backward(D), inp.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_slopes_are_the_derivatives(rng, kind) -> None:
    X = rng.standard_normal(20)
    Y, backward = kind().forward(X)
    np.testing.assert_allclose(backward(np.ones(20)), numeric_gradient(lambda: kind().forward(X)[0].sum(), X), rtol=1e-6, atol=1e-9)
    assert not np.shares_memory(Y, X)


def test_activations_stay_finite_and_leave_the_gradient_alone() -> None:
    X, D = np.array([-np.inf, -1000.0, 0.0, 1000.0]), np.ones(4)
    for kind in (ReLU, Sigmoid, Tanh, Softplus):
        Y, backward = kind().forward(X)
        assert np.isfinite(Y).all() and np.isfinite(backward(D)).all()
    assert ReLU().forward(X)[1](D).tolist() == [0.0, 0.0, 0.0, 1.0] and D.tolist() == [1.0] * 4
    assert max(Sigmoid().forward(np.linspace(-9, 9, 181))[1](np.ones(181))) == 0.25


def test_an_activation_states_two_functions() -> None:
    class Square(Activation):
        function = lambda self, X: X * X
        slope = lambda self, X, Y: 2 * X

    assert Square().forward(np.array([3.0]))[1](np.array([2.0])).tolist() == [12.0]
    with pytest.raises(NotImplementedError):
        Activation().forward(1.0)
    with pytest.raises(NotImplementedError):
        Activation().slope(1.0, 1.0)


@pytest.mark.parametrize("outputs", [1, 3])
def test_mse_gradient_is_that_of_its_value(rng, outputs) -> None:
    Yp, Yt = rng.standard_normal((5, outputs)), rng.standard_normal((5, outputs))
    value, D = mse_loss(Yp, Yt)
    assert math.isclose(value, math.fsum(((Yp - Yt) ** 2).ravel()) / (5 * outputs), rel_tol=1e-13)
    np.testing.assert_allclose(D, numeric_gradient(lambda: mse_loss(Yp, Yt)[0], Yp), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("loss", [mse_loss, bce_loss, ce_loss])
def test_losses_refuse_shapes_that_broadcast(loss) -> None:
    with pytest.raises(ValueError, match=r"\(4, 1\) and targets of shape \(4,\) differ: write Yt\[:, None\]"):
        loss(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match=r"differ$"):
        loss(np.zeros((4, 2)), np.zeros((4, 3)))


def test_the_printed_second_experiment_fails_clearly(rng) -> None:
    X = rng.standard_normal((100, 2))
    learner = Learner(Sequential(Linear(2, 1, rng)), mse_loss, SGDOptimizer(0.01))
    with pytest.raises(ValueError, match="write Yt"):
        learner.fit(X, X[:, 0] * X[:, 1], epochs=1, bs=50)


def test_binary_cross_entropy(rng) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    Yp, Yt = np.append(3 * rng.standard_normal((5, 2)), [[800.0, -800.0]], axis=0), rng.random((6, 2))
    inp = torch.tensor(Yp, requires_grad=True)
    out = torch.nn.functional.binary_cross_entropy_with_logits(inp, torch.tensor(Yt))
    out.backward()
    value, D = bce_loss(Yp, Yt)
    assert math.isclose(value, out.item(), rel_tol=1e-13)
    np.testing.assert_allclose(D, inp.grad.numpy(), rtol=1e-12, atol=1e-16)
    p = 1 / (1 + np.exp(-Yp[:5]))
    by_hand = -(Yt[:5] * np.log(p) + (1 - Yt[:5]) * np.log(1 - p))
    assert math.isclose(bce_loss(Yp[:5], Yt[:5])[0], by_hand.mean(), rel_tol=1e-12)


def test_cross_entropy(rng) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    Yp, Yt = 3 * rng.standard_normal((6, 4)), rng.dirichlet(np.ones(4), size=6)
    inp = torch.tensor(Yp, requires_grad=True)
    out = torch.nn.functional.cross_entropy(inp, torch.tensor(Yt))
    out.backward()
    value, D = ce_loss(Yp, Yt)
    assert math.isclose(value, out.item(), rel_tol=1e-13)
    np.testing.assert_allclose(D, inp.grad.numpy(), rtol=1e-12, atol=1e-16)
    value, D = ce_loss(np.array([[1000.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert value == 1000.0 and D.tolist() == [[1.0, -1.0]]


def test_both_cross_entropies_train_a_classifier(rng) -> None:
    X = rng.standard_normal((200, 2))
    inside = (X**2).sum(1) < 1.2  # a circle: no line divides it
    for loss, outputs in ((bce_loss, 1), (ce_loss, 2)):
        Y = np.stack([inside, ~inside], axis=1)[:, :outputs].astype(float)
        model = Sequential(Linear(2, 16, rng), Tanh(), Linear(16, outputs, rng))
        losses = Learner(model, loss, MomentumOptimizer(0.1), rng).fit(X, Y, epochs=60, bs=20)
        Y_ = model.forward(X)[0]
        right = (Y_[:, 0] > (0 if outputs == 1 else Y_[:, 1])) == inside
        assert right.mean() > 0.95 and losses[-1] < losses[0] / 3


# The learner


def test_one_step_is_loss_gradient_update(rng) -> None:
    layer, X, Y = Linear(3, 1, rng), rng.standard_normal((5, 3)), rng.standard_normal((5, 1))
    W, b = layer.weights.tensor.copy(), layer.bias.tensor.copy()
    loss = Learner(layer, mse_loss, SGDOptimizer(lr=0.1)).fit_batch(X, Y)
    diff = X @ W + b - Y
    assert math.isclose(loss, (diff**2).mean(), rel_tol=1e-13)
    np.testing.assert_allclose(layer.weights.tensor, W - 0.1 * X.T @ diff * 2 / 5, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.tensor, b - 0.1 * 2 * diff.mean(), rtol=1e-12)


def test_fit_reports_the_mean_over_examples(rng) -> None:
    """With a rate of 0 every epoch's loss is the loss of all examples, though the last batch is smaller."""
    layer, X, Y = Linear(3, 1, rng), rng.standard_normal((25, 3)), rng.standard_normal((25, 1))
    losses = Learner(layer, mse_loss, SGDOptimizer(lr=0.0), rng).fit(X, Y, epochs=2, bs=10)
    np.testing.assert_allclose(losses, [mse_loss(layer.forward(X)[0], Y)[0]] * 2, rtol=1e-12)


@pytest.mark.parametrize("drop_last, sizes", [(False, [10, 10, 5]), (True, [10, 10])])
def test_fit_shuffles_each_epoch_and_keeps_pairs(rng, drop_last, sizes) -> None:
    batches = []

    class Watching(Layer):
        def forward(self, X):
            batches.append(X[:, 0])
            return X, lambda D: D

    def loss(Yp, Yt):
        assert np.array_equal(Yt, 2 * Yp)
        return 1.0, Yp

    X = np.arange(25.0)[:, None]
    losses = Learner(Watching(), loss, SGDOptimizer(), rng).fit(X, 2 * X, epochs=2, bs=10, drop_last=drop_last)
    assert losses == [1.0, 1.0] and [len(b) for b in batches] == sizes * 2
    epochs = np.concatenate(batches[: len(sizes)]), np.concatenate(batches[len(sizes) :])
    assert not np.array_equal(*epochs) and all(len(set(e)) == sum(sizes) for e in epochs)
    assert np.array_equal(X[:, 0], np.arange(25.0))
    with pytest.raises(ValueError, match="25 inputs, but 24 targets"):
        Learner(Watching(), loss, SGDOptimizer()).fit(X, X[1:], 1, 5)


# Experiments


def test_linear_data_are_recovered() -> None:
    for seed in range(4):
        ten, thirty, noisy = (
            work.recover_linear(seed=seed, **how) for how in ({"epochs": 10}, {"epochs": 30}, {"epochs": 30, "noise": 0.01})
        )
        assert 1e-3 < ten.weights < 5e-2  # printed: 1.8e-05
        assert thirty.weights < 1e-5 and thirty.bias < 1e-6
        assert 1e-4 < noisy.weights < 2e-2
        assert len(ten.losses) == 10 and ten.losses[-1] < ten.losses[0] / 1000


def test_two_layers_learn_the_product_of_two_numbers() -> None:
    for seed in range(2):
        one, two = work.product_of_two(seed=seed)
        assert len(one) == len(two) == 50
        assert 0.7 < one[-1] < 1.3  # E[(x1 x2)²] = 1: a line can do no better than answer 0
        assert two[-1] < 0.05 and two[0] > 0.5


def test_the_jacobian_of_a_network(rng) -> None:
    model, x = model_of(rng), rng.standard_normal(3)
    model.parameters[0].gradient += 7
    found = jacobians.jacobian(model, x)
    numeric = [numeric_gradient(lambda i=i: model.forward(x[None])[0][0, i], x) for i in range(2)]
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-10)
    assert (model.parameters[0].gradient == 7).all() and not model.parameters[1].gradient.any()


def test_the_chain_rule_multiplies_jacobians(rng) -> None:
    chain = jacobians.chain_rule()
    assert chain.whole.shape == (3, 4) and [part.shape for part in chain.parts] == [(5, 4), (5, 5), (3, 5)]
    np.testing.assert_allclose(chain.product, chain.whole, rtol=1e-12)
    a, b, c = chain.parts
    np.testing.assert_allclose((c @ b) @ a, c @ (b @ a), rtol=1e-10)  # from the left or from the right: one matrix
    own = jacobians.chain_rule(model_of(rng), rng.standard_normal(3))
    np.testing.assert_allclose(own.product, own.whole, rtol=1e-12)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_jacobian_of_an_activation_is_diagonal(rng, kind) -> None:
    found = jacobians.jacobian(kind(), rng.standard_normal(6))
    assert not (found - np.diag(np.diag(found))).any()


def test_the_jacobian_of_linear_is_its_transposed_weights_in_blocks(rng) -> None:
    layer = Linear(4, 3, rng)
    np.testing.assert_allclose(jacobians.jacobian(layer, rng.standard_normal(4)), layer.weights.tensor.T)
    blocks, weights = jacobians.linear_jacobian_of_a_batch(n=3, seed=5), Linear(2, 2, 5).weights.tensor
    assert np.array_equal(blocks, np.kron(np.eye(3), weights.T))


def test_forward_mode_agrees_with_differences(rng) -> None:
    model = Sequential(Linear(3, 4, rng), Sigmoid(), Sequential(Linear(4, 2, rng), Tanh()))
    X, dX = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    directions = {p: rng.standard_normal(p.tensor.shape) for p in model.parameters[:3]}
    Y, dY = jacobians.jvp(model, X, dX, directions)
    outputs, h = [], 1e-6
    for step in (h, -2 * h):
        X = X + step * dX
        for p, direction in directions.items():
            p.tensor += step * direction
        outputs.append(model.forward(X)[0])
    np.testing.assert_allclose(dY, (outputs[0] - outputs[1]) / (2 * h), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(Y, (outputs[0] + outputs[1]) / 2, atol=1e-8)


def test_reverse_mode_takes_one_pass_where_forward_takes_one_a_weight() -> None:
    reverse, forward = jacobians.reverse_and_forward((5, 7, 3), n=6, seed=2)
    np.testing.assert_allclose(reverse.gradient, forward.gradient, rtol=1e-10, atol=1e-14)
    assert (reverse.passes, forward.passes) == (1, 5 * 7 + 7 + 7 * 3 + 3)


def test_cost_of_a_chain_by_counting(rng) -> None:
    for sizes in ((6, 5, 4, 1), (1, 4, 5, 6), (3, 3, 3), (7, 2, 9, 2)):
        count = {"reverse": 0, "forward": 0}
        matrices = [np.zeros((after, before)) for before, after in pairwise(sizes)]
        for way, order in (("reverse", matrices[::-1]), ("forward", matrices)):
            done = order[0]
            for matrix in order[1:]:
                left, right = (done, matrix) if way == "reverse" else (matrix, done)
                count[way] += left.shape[0] * left.shape[1] * right.shape[1]
                done = left @ right
        assert jacobians.cost_of_chain(sizes)._asdict() == count


def test_slips_of_the_source() -> None:
    rows = {slip.where: slip for slip in work.slips()}
    assert len(rows) == 9 and all(slip.printed != slip.true for slip in rows.values())
    assert math.isclose(rows["mse_loss's gradient for 3 outputs, over the true one"].printed, 3.0, rel_tol=1e-12)
    assert rows["Yp - Yt with Yt of shape (N,): its shape"].printed == (6, 6)
    assert math.isnan(rows["its softmax of (0, 1000), without the maximum taken out"].printed[1])
