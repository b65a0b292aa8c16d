"""Layers with `.g`, judged by numeric differences in float64, by closed forms and by PyTorch."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from central_differences import numeric_gradient

from gradus.ladder import classification, functions_and_gradients, weight_gradient
from gradus.ladder import layers_at_work as work
from gradus.ladder.classification import MSES, CrossEntropy, Softmax, index_to_one_hot, softmax
from gradus.ladder.functions_and_gradients import tensor
from gradus.ladder.labelled_images import DataLoader, Images, invented_images
from gradus.ladder.layers import MSE, FeedForwardNN, Layer, Linear, Loss, Model, ReLU

LOSSES = [MSE, MSES, CrossEntropy]


def relative_error(found, true) -> float:
    """The largest difference over the largest true entry: an absolute tolerance of 1e-3 lets gradients of 1e-2 be wrong by a tenth."""
    found, true = np.asarray(found), np.asarray(true)
    assert found.shape == true.shape
    return float(np.abs(found - true).max() / np.abs(true).max())


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    rows = np.zeros((len(labels), classes))
    for row, label in zip(rows, labels):
        row[label] = 1.0
    return rows


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def first(images: Images, n: int) -> Images:
    return Images(*(part[:n] for part in images))


def two_layers(rng, outputs: int = 3, dtype=np.float64) -> Model:
    model = Model([Linear(4, 5, rng, dtype=dtype), ReLU(), Linear(5, outputs, rng, dtype=dtype)])
    model.layers[0].bias[:] = rng.standard_normal(5)
    return model


# What it stands on


# The array that carries a gradient


def test_plain_arrays_cannot_carry_a_gradient_and_tensors_can() -> None:
    with pytest.raises(AttributeError):
        np.zeros(2).g = 1
    values = np.array([1, 2])
    x = tensor(values)
    assert isinstance(x, np.ndarray) and x.dtype == np.float64 and not np.shares_memory(x, values)
    x.g = np.array([3.0, 4.0])
    for result in (x + 1, x[:1], x.T, x.copy(), np.exp(x)):
        assert result.g is None
    assert tensor(np.ones(2, np.float32)).dtype == np.float32 and tensor([1.5], np.float32).dtype == np.float32


def test_gradients_add_up_and_no_array_of_the_caller_is_touched() -> None:
    x, handed_in = tensor([1.0, 1.0]), np.array([1.0, 2.0])
    functions_and_gradients.add_g(x, handed_in)
    functions_and_gradients.add_g(x, handed_in)
    assert x.g.tolist() == [2.0, 4.0] and handed_in.tolist() == [1.0, 2.0]
    functions_and_gradients.add_g(np.zeros(2), handed_in)  # nothing to carry it, nothing happens


# Functions


def test_functions_of_the_book_and_their_shapes(rng) -> None:
    x, y = rng.standard_normal((200, 100)), rng.standard_normal(200)
    w1, b1, w2, b2 = rng.standard_normal((100, 50)), np.zeros(50), rng.standard_normal((50, 1)), np.zeros(1)
    l1 = functions_and_gradients.lin(x, w1, b1)
    out = functions_and_gradients.lin(functions_and_gradients.relu(l1), w2, b2)
    assert l1.shape == (200, 50) and out.shape == (200, 1)
    assert math.isclose(functions_and_gradients.mse(out, y[:, None]), ((out.squeeze(-1) - y) ** 2).mean())
    with pytest.raises(ValueError, match=r"\(200, 1\), the target \(200,\): their difference would have \(200, 200\).*target\[:, None\]"):
        functions_and_gradients.mse(out, y)
    with pytest.raises(ValueError, match="Inner dimensions must match: 50 not equal to 100"):
        functions_and_gradients.lin(l1, w1)


def test_forward_and_backward_finds_every_gradient(rng) -> None:
    inp, target = tensor(rng.standard_normal((6, 4))), rng.standard_normal((6, 2))
    parameters = [tensor(rng.standard_normal(shape)) for shape in ((4, 5), (5,), (5, 2), (2,))]

    def loss() -> float:
        w1, b1, w2, b2 = map(np.asarray, parameters)
        return np.mean((np.maximum(np.asarray(inp) @ w1 + b1, 0) @ w2 + b2 - target) ** 2)

    numeric = [numeric_gradient(loss, array) for array in (inp, *parameters)]
    with pytest.raises(AttributeError):  # plain arrays on the way cannot carry .g: a model of Layers wraps each output
        functions_and_gradients.forward_and_backward(np.asarray(inp), target, *map(np.asarray, parameters))
    value = functions_and_gradients.forward_and_backward(inp, target, *parameters)
    assert math.isclose(value, loss(), rel_tol=1e-12)
    for array, true in zip((inp, *parameters), numeric):
        assert relative_error(array.g, true) < 1e-8


def test_forward_and_backward_agrees_with_pytorch(rng) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the second oracle")
    arrays = [rng.standard_normal(shape) for shape in ((6, 4), (4, 5), (5,), (5, 1), (1,))]
    target = rng.standard_normal((6, 1))
    ours, theirs = [tensor(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    x, w1, b1, w2, b2 = theirs
    value = torch.nn.functional.mse_loss((x @ w1 + b1).clamp_min(0) @ w2 + b2, torch.tensor(target))
    value.backward()
    assert math.isclose(functions_and_gradients.forward_and_backward(ours[0], target, *ours[1:]), value.item(), rel_tol=1e-12)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.g, b.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_relu_has_slope_zero_at_zero_and_survives_infinity() -> None:
    layer, x = ReLU(), tensor([-np.inf, -1.0, 0.0, 2.0, np.inf])
    y = layer(x)
    assert y.tolist() == [0.0, 0.0, 0.0, 2.0, np.inf]
    layer.backward(np.array([np.inf, 3.0, 3.0, 3.0, 3.0]))
    assert x.g.tolist() == [0.0, 0.0, 0.0, 3.0, 3.0]
    assert np.isnan(ReLU()(np.array([np.nan]))).all()


# Layers


def test_an_abstract_layer_says_what_is_missing() -> None:
    class Empty(Layer):
        def __repr__(self) -> str:
            return "(Empty)"

    with pytest.raises(NotImplementedError, match="__repr__"):
        repr(Layer())
    with pytest.raises(NotImplementedError, match="forward"):
        Layer()(1.0)
    empty = Empty()
    empty.args, empty.y = (), tensor([1.0])
    with pytest.raises(NotImplementedError, match="bwd"):
        empty.backward(np.ones(1))


def test_a_call_keeps_arguments_and_output() -> None:
    layer, x = ReLU(), np.array([1.0, -1.0])
    y = layer(x)
    assert layer.args[0] is x and layer.y is y and isinstance(y, functions_and_gradients.Tensor)


def test_reprs() -> None:
    assert repr(Linear(784, 50)) == "(Linear: in=784 out=50)"
    assert repr(MSE()) == "Loss: Mean Squared Error"
    assert repr(Model([Linear(2, 3), ReLU(), Softmax()])) == "Model[(Linear: in=2 out=3), (ReLU), (Softmax)]"
    assert {repr(MSES()), repr(CrossEntropy())} == {"Loss: Mean Squared Error of Softmax", "Loss: Cross-Entropy"}


def test_linear_starts_with_kaiming_weights_and_no_bias() -> None:
    layer = Linear(784, 500, rng=1)
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    deviation = np.asarray(layer.weight, np.float64).std()
    assert abs(deviation / math.sqrt(2 / 784) - 1) < 0.01  # 392,000 draws: one part in a thousand is one standard error
    assert not layer.bias.any()
    assert np.array_equal(layer.weight, Linear(784, 500, rng=1).weight)
    assert not np.array_equal(layer.weight, Linear(784, 500, rng=2).weight)


def test_linear_without_a_bias_keeps_the_origin(rng) -> None:
    layer = Linear(784, 10, rng, bias=False)
    assert layer.bias is None and len(layer.parameters) == 1
    assert not layer(np.zeros((2, 784), np.float32)).any()
    image = rng.random((28, 28), dtype=np.float32)
    y = layer(image.reshape(1, -1))
    assert y.shape == (1, 10)
    np.testing.assert_allclose(y[0, 3], sum(image[i, j] * layer.weight[28 * i + j, 3] for i in range(28) for j in range(28)), rtol=1e-4)
    layer.backward(np.ones((1, 10), np.float32))
    assert layer.weight.g.shape == (784, 10)


@pytest.mark.parametrize("leading", [(), (1,), (6,), (2, 3), (2, 3, 2), (0,)])
def test_linear_takes_any_leading_axes(rng, leading) -> None:
    layer = Linear(4, 3, rng, dtype=np.float64)
    layer.bias[:] = rng.standard_normal(3)
    x, g = tensor(rng.standard_normal((*leading, 4))), rng.standard_normal((*leading, 3))
    y = layer(x)
    layer.backward(g)
    np.testing.assert_allclose(y, np.einsum("...i,io->...o", x, layer.weight) + layer.bias)
    np.testing.assert_allclose(layer.weight.g, sum((np.outer(x[place], g[place]) for place in np.ndindex(leading)), np.zeros((4, 3))))
    np.testing.assert_allclose(layer.bias.g, sum((g[place] for place in np.ndindex(leading)), np.zeros(3)))
    np.testing.assert_allclose(x.g, np.einsum("...o,io->...i", g, layer.weight))
    assert layer.bias.g.shape == (3,) and x.g.shape == x.shape


@pytest.mark.parametrize("loss", LOSSES)
def test_a_model_finds_every_gradient(rng, loss) -> None:
    model, x, t = two_layers(rng), tensor(rng.standard_normal((6, 4))), one_hot(rng.integers(3, size=6), 3)
    model.loss = loss()
    arrays = [x, *(p for layer in model.layers for p in layer.parameters)]
    numeric = [numeric_gradient(lambda: model.loss(model(x), t), array) for array in arrays]
    model.loss(model(x), t)
    model.backward()
    for array, true in zip(arrays, numeric):
        assert relative_error(array.g, true) < 1e-7


@pytest.mark.parametrize("loss", LOSSES)
def test_both_ways_to_hand_the_gradient_on_agree(rng, loss) -> None:
    x, t, model = rng.standard_normal((6, 4)), one_hot(rng.integers(3, size=6), 3), two_layers(rng)
    model.loss = loss()
    found = []
    for by_hand in (True, False):
        model.loss(model(x), t)
        model.backward(model.loss.gradient()) if by_hand else model.backward()
        found.append([p.g for layer in model.layers for p in layer.parameters])
        for layer in model.layers:
            layer.update(0.0)
    for a, b in zip(*found):
        assert np.array_equal(a, b)


def test_softmax_as_a_layer_inside_a_model(rng) -> None:
    x, t = rng.standard_normal((5, 3)), one_hot(rng.integers(3, size=5), 3)
    inside, outside, loss = tensor(x), tensor(x), MSES()
    model = Model([Softmax()])
    value = model.loss(model(inside), t)
    model.backward()
    assert math.isclose(value, loss(outside, t), rel_tol=1e-14)
    loss.backward()
    np.testing.assert_allclose(inside.g, outside.g, rtol=1e-13)


def test_float32_stays_float32(rng) -> None:
    model, x = two_layers(rng, dtype=np.float32), tensor(rng.standard_normal((6, 4)), np.float32)
    for loss in LOSSES:
        model.loss = loss()
        value = model.loss(model(x), one_hot(rng.integers(3, size=6), 3))
        model.backward()
        assert value.dtype == np.float32
        assert {array.g.dtype for array in (x, *model.layers[0].parameters)} == {np.dtype(np.float32)}
        model.update(0.1)
        assert model.layers[0].weight.dtype == np.float32


def test_the_first_layer_computes_its_input_s_gradient_only_for_one_who_can_carry_it(rng, monkeypatch) -> None:
    products = []
    true_add = functions_and_gradients.add_g
    monkeypatch.setattr(functions_and_gradients, "add_g", lambda array, g: (products.append(np.shape(g)), true_add(array, g)))
    layer = Linear(4, 3, rng, dtype=np.float64)
    for x, expected in ((rng.standard_normal((6, 4)), [(4, 3), (3,)]), (tensor(rng.standard_normal((6, 4))), [(4, 3), (3,), (6, 4)])):
        layer(x)
        layer.y.g = np.ones((6, 3))
        products.clear()
        layer.backward()
        assert products == expected


def test_an_array_read_twice_gets_both_gradients(rng) -> None:
    """Two heads on one trunk, and one weight in two layers: assigning .g would keep the last contribution alone."""
    x, t = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    trunk, head, other = (Linear(i, o, rng, dtype=np.float64) for i, o in ((4, 3), (3, 2), (3, 2)))
    other.weight = head.weight
    losses = MSE(), MSE()

    def total() -> float:
        middle = trunk(x)
        return losses[0](head(middle), t) + losses[1](other(middle), 2 * t)

    numeric = [numeric_gradient(total, array) for array in (trunk.weight, head.weight)]
    total()
    for part in (*losses, head, other, trunk):
        part.backward()
    assert relative_error(trunk.weight.g, numeric[0]) < 1e-8 and relative_error(head.weight.g, numeric[1]) < 1e-8


def test_a_shared_weight_is_updated_once(rng) -> None:
    a, b = Linear(3, 3, rng, dtype=np.float64), Linear(3, 3, rng, dtype=np.float64)
    b.weight = a.weight
    before = np.array(a.weight)
    a.weight.g = np.ones((3, 3))
    Model([a, b]).update(0.5)
    np.testing.assert_allclose(a.weight, before - 0.5, rtol=1e-15)


def test_update_subtracts_in_place_and_clears(rng) -> None:
    model, x, t = two_layers(rng), rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    model.loss(model(x), t)
    model.backward()
    parameters = [p for layer in model.layers for p in layer.parameters]
    expected = [np.asarray(p) - 0.1 * p.g for p in parameters]
    model.update(0.1)
    assert all(a is b for a, b in zip(parameters, (p for layer in model.layers for p in layer.parameters)))
    for p, true in zip(parameters, expected):
        assert np.array_equal(p, true) and p.g is None
    model.update(0.1)  # nothing new came back, so nothing moves
    assert all(np.array_equal(p, true) for p, true in zip(parameters, expected))
    ReLU().update(0.1)  # a layer without parameters may be asked as well
    layers = model.layers
    layers.append(Linear(3, 1, rng))  # a layer that comes later is updated too
    layers[-1].bias.g = np.ones(1, np.float32)
    model.update(1.0)
    assert layers[-1].bias.tolist() == [-1.0]


def test_two_batches_accumulate_until_the_update(rng) -> None:
    model, x, t = two_layers(rng), rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    for rows in (slice(0, 2), slice(2, 6)):
        y = model(x[rows])
        model.loss(y, t[rows])
        model.backward(model.loss.gradient() * len(y) / 6)
    in_two = [p.g for p in model.layers[0].parameters]
    model.update(0.0)
    model.loss(model(x), t)
    model.backward()
    for a, p in zip(in_two, model.layers[0].parameters):
        np.testing.assert_allclose(a, p.g, rtol=1e-12)


def test_backward_says_why_no_gradient_came(rng) -> None:
    model, x, t = two_layers(rng), rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    model.loss(model(x).astype(np.float64), t)  # a copy, as `y_pred.float()` was
    with pytest.raises(RuntimeError, match="read a copy of its output"):
        model.backward()
    model.loss(np.asarray(model(x)), t)
    with pytest.raises(TypeError, match=r"plain array, which cannot carry \.g"):
        model.backward()
    model.loss(model(x), t)
    model(x[:2])  # validation between forward and backward
    with pytest.raises(RuntimeError, match="called again in between"):
        model.backward()
    model.loss(model(x), t)
    model.backward()
    with pytest.raises(RuntimeError, match="went backward more often than forward"):
        model.backward()
    with pytest.raises(RuntimeError, match="before its first call"):
        MSE().gradient()


def test_a_layer_used_twice_is_refused_and_would_be_wrong(rng) -> None:
    same = Linear(4, 4, rng, dtype=np.float64)
    model, x, t = Model([same, ReLU(), same]), rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    model.loss(model(x), t)
    with pytest.raises(RuntimeError, match="put two layers"):
        model.backward()
    for seed in range(3):
        found, true = work.layer_used_twice(seed)
        r = np.random.default_rng(seed)
        x, t, w = r.standard_normal((5, 4)), r.standard_normal((5, 4)), np.random.default_rng(seed).standard_normal((4, 4)) * math.sqrt(0.5)
        numeric = numeric_gradient(lambda w=w, x=x, t=t: np.mean((np.maximum(x @ w, 0) @ w - t) ** 2), w)
        assert abs(true - np.linalg.norm(numeric)) < 1e-8
        assert abs(found - true) > 0.01


# Losses


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (2, 5, 3), ()])
def test_mse_divides_by_every_entry_whatever_the_axes(rng, shape) -> None:
    y, t, loss = rng.standard_normal(shape), rng.standard_normal(shape), MSE()
    assert math.isclose(loss(y, t), sum(((y - t) ** 2).ravel()) / y.size, rel_tol=1e-12)
    np.testing.assert_allclose(
        loss.gradient(),
        numeric_gradient(lambda: np.mean((y - t) ** 2), np.atleast_1d(y).view()).reshape(shape) if shape else 2 * (y - t),
        rtol=1e-6,
        atol=1e-9,
    )


def test_mse_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="their difference would have"):
        MSE()(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match="have no difference; give both one shape"):
        MSE()(np.zeros((4, 2)), np.zeros((4, 3)))


def test_softmax_ignores_a_shift_and_does_not_overflow(rng) -> None:
    x = rng.standard_normal((4, 5))
    s = softmax(x)
    np.testing.assert_allclose(s, np.exp(x) / np.exp(x).sum(1)[:, None], rtol=1e-13)
    np.testing.assert_allclose(softmax(x + 300), s, rtol=1e-11)
    assert np.isfinite(softmax(1000 * x)).all()
    np.testing.assert_allclose(s.sum(1), 1)


def test_the_jacobian_of_softmax(rng) -> None:
    x = rng.standard_normal(5)
    rows = [numeric_gradient(lambda i=i: softmax(x)[i], x) for i in range(5)]
    found = classification.softmax_jacobian(softmax(x))
    np.testing.assert_allclose(found, rows, atol=1e-9)
    np.testing.assert_allclose(found.sum(0), 0, atol=1e-16)  # a shift of all inputs changes nothing
    assert classification.softmax_jacobian(softmax(rng.standard_normal((7, 5)))).shape == (7, 5, 5)


def test_both_gradients_of_mses_agree(rng) -> None:
    y, t, loss = rng.standard_normal((6, 4)), one_hot(rng.integers(4, size=6), 4), MSES()
    loss(y, t)
    numeric = numeric_gradient(lambda: np.mean((softmax(y) - t) ** 2), y)
    assert relative_error(loss.gradient(), numeric) < 1e-8
    assert relative_error(loss.gradient_by_jacobian(), loss.gradient()) < 1e-14


def test_cross_entropy_is_the_mean_over_examples(rng) -> None:
    y, labels, loss = rng.standard_normal((6, 4)), rng.integers(4, size=6), CrossEntropy()
    by_hand = [-math.log(math.exp(row[k]) / sum(map(math.exp, row))) for row, k in zip(y, labels)]
    for target in (labels, one_hot(labels, 4)):
        assert math.isclose(loss(y, target), sum(by_hand) / 6, rel_tol=1e-12)
        np.testing.assert_allclose(loss.gradient(), (softmax(y) - one_hot(labels, 4)) / 6, rtol=1e-12, atol=1e-16)
    assert math.isclose(classification.nll(classification.log_softmax(y), labels), sum(by_hand) / 6, rel_tol=1e-12)
    assert math.isclose(loss(np.zeros((3, 10)), np.array([1, 2, 3])), math.log(10), rel_tol=1e-12)  # the 2.30 of an untrained network


def test_cross_entropy_takes_soft_targets_and_long_sequences(rng) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    y, t = rng.standard_normal((6, 4)), softmax(rng.standard_normal((6, 4)))
    loss, theirs = CrossEntropy(), torch.tensor(y, requires_grad=True)
    value = torch.nn.functional.cross_entropy(theirs, torch.tensor(t))
    value.backward()
    assert math.isclose(loss(y, t), value.item(), rel_tol=1e-12)
    np.testing.assert_allclose(loss.gradient(), theirs.grad.numpy(), rtol=1e-10)
    y, labels = rng.standard_normal((2, 3, 4)), rng.integers(4, size=(2, 3))
    flat = CrossEntropy()(y.reshape(6, 4), labels.reshape(6))
    assert math.isclose(loss(y, labels), flat, rel_tol=1e-14) and loss.gradient().shape == y.shape


def test_cross_entropy_survives_one_confident_mistake() -> None:
    y, t, loss = np.array([[1000.0, 0.0, -np.inf]]), np.array([[0.0, 1.0, 0.0]]), CrossEntropy()
    assert loss(y, t) == 1000.0
    assert loss.gradient().tolist() == [[1.0, -1.0, 0.0]]
    with pytest.raises(ValueError, match="wants targets of the same shape, or class numbers"):
        loss(y, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="class numbers lie in 0 … 2"):
        loss(y, np.array([3]))


def test_log_softmax_three_ways(rng) -> None:
    x = rng.standard_normal((4, 5))
    first, second, third = classification.log_softmax_three_ways(x)
    np.testing.assert_allclose(first, second, rtol=1e-12)
    np.testing.assert_allclose(second, third, rtol=1e-12)
    first, second, third = classification.log_softmax_three_ways(np.array([-1000.0, 0.0, 1000.0]))
    assert np.isinf(first[0]) and np.isinf(second).all() and third.tolist() == [-2000.0, -1000.0, 0.0]


@pytest.mark.parametrize("ours, name", [(MSE, "mse_loss"), (CrossEntropy, "cross_entropy")])
def test_losses_and_a_linear_layer_agree_with_pytorch(rng, ours, name) -> None:
    """The test of the third document, 3 × 768 -> 50, and the step of the optimiser that it leaves out."""
    torch = pytest.importorskip("torch", reason="PyTorch is the second oracle")
    x, w, b = rng.standard_normal((3, 768)), rng.standard_normal((768, 50)) / 30, rng.standard_normal(50)
    t = one_hot(rng.integers(50, size=3), 50)
    layer, inp = Linear(768, 50, dtype=np.float64), tensor(x)
    layer.weight[:], layer.bias[:] = w, b
    model = Model([layer], ours())
    value = model.loss(model(inp), t)
    model.backward()
    theirs = torch.nn.Linear(768, 50, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight[:], theirs.bias[:] = torch.tensor(w.T), torch.tensor(b)
    their_x, step = torch.tensor(x, requires_grad=True), torch.optim.SGD(theirs.parameters(), lr=0.1)
    their_value = getattr(torch.nn.functional, name)(theirs(their_x), torch.tensor(t))
    their_value.backward()
    assert math.isclose(value, their_value.item(), rel_tol=1e-12)
    for g, true in ((inp.g, their_x.grad), (layer.weight.g, theirs.weight.grad.T), (layer.bias.g, theirs.bias.grad)):
        assert relative_error(g, true.numpy()) < 1e-12
    model.update(0.1)
    step.step()
    assert relative_error(layer.weight, theirs.weight.detach().numpy().T) < 1e-14
    assert relative_error(layer.bias, theirs.bias.detach().numpy()) < 1e-14


def test_an_absolute_tolerance_hides_what_a_relative_one_shows(rng) -> None:
    """A gradient of MSE over 3 × 50 entries is about 1e-2: five per cent too much passes `< 1e-3` and fails here."""
    y, t, loss = rng.uniform(0.2, 0.6, (3, 50)), np.zeros((3, 50)), MSE()
    loss(y, t)
    wrong = 1.05 * loss.gradient()
    assert np.all(np.abs(wrong - loss.gradient()) < 1e-3)
    assert relative_error(wrong, loss.gradient()) > 0.04


# Models and data


def test_feed_forward_network_in_one_training_step(rng) -> None:
    model = FeedForwardNN(x_dim=784, y_dim=1, n_layers=5, rng=rng)
    assert [type(layer).__name__ for layer in model.layers] == ["Linear", "ReLU"] * 4 + ["Linear"]
    x, y = rng.standard_normal((16, 784)).astype(np.float32), rng.integers(10, size=16)
    before = model.loss(model(x), y[:, None])
    model.backward()
    model.update(1e-3)
    assert model.loss(model(x), y[:, None]) < before


def test_an_untrained_model_guesses(mnist) -> None:
    x, t = mnist.x_train[:1000], mnist.y_train[:1000]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        model = Model([Linear(784, 50, rng), ReLU(), Linear(50, 10, rng)], CrossEntropy())
        y = model(x)
        assert 2.2 < model.loss(y, t) < 3.0  # printed as 2592: that is the sum over 1,000 images
        assert 0.02 < classification.calculate_accuracy(y, t) < 0.25


def test_accuracy_takes_both_forms_of_labels() -> None:
    y = np.array([[0.1, 0.9, 0.0], [0.9, 0.1, 0.0], [0.0, 0.4, 0.6], [0.5, 0.2, 0.3]])
    for labels in (np.array([1, 0, 2, 2]), one_hot(np.array([1, 0, 2, 2]), 3)):
        assert classification.calculate_accuracy(y, labels) == 0.75


def test_one_hot_rows(rng) -> None:
    labels = rng.integers(2, 5, size=9)  # the smallest is not 0: the printed version had too few columns and raised IndexError
    assert np.array_equal(index_to_one_hot(labels, classes=7), one_hot(labels, 7))
    assert index_to_one_hot(np.array([2, 4])).shape == (2, 5)
    assert index_to_one_hot(np.array([], dtype=int), classes=3).shape == (0, 3)
    for wrong in ([3], [-1]):
        with pytest.raises(ValueError, match="class numbers lie in 0 … 2"):
            index_to_one_hot(wrong, classes=3)


# Experiments


def test_three_losses_end_in_the_order_of_the_source(mnist) -> None:
    for seed in (0, 1):
        rows = work.compare_losses(first(mnist, 1000), epochs=20, seed=seed)
        accuracy = {name: epochs[9].accuracy for name, epochs in rows.items()}
        assert accuracy["CrossEntropy"] > accuracy["MSE"] > accuracy["MSES"]
        assert rows["MSE"][-1].accuracy > 0.8 and rows["CrossEntropy"][-1].valid_accuracy > 0.8


def test_with_normalized_images_mse_overshoots(mnist) -> None:
    rows = work.compare_losses(first(mnist, 1000), epochs=10, normalized=True)
    assert rows["MSE"][0].loss > 1.0  # the loss of an answer of zeros is 0.1
    assert rows["MSE"][-1].accuracy < rows["MSES"][-1].accuracy < rows["CrossEntropy"][-1].accuracy


def test_every_loss_learns_invented_images() -> None:
    for epochs in work.compare_losses(invented_images(500, 200, rng=0), epochs=15).values():
        assert epochs[-1].accuracy > epochs[0].accuracy + 0.1 and epochs[-1].loss < epochs[0].loss


def test_a_hundred_images_are_learnt_by_heart(mnist) -> None:
    for seed in range(3):
        rows = work.overfit(first(mnist, 200), seed=seed)
        assert len(rows) == 30 and rows[0].accuracy < 0.4 and rows[-1].accuracy == 1.0
        assert rows[-1].loss < rows[0].loss / 5


def test_the_printed_rate_leaps_about(mnist) -> None:
    ends = [work.overfit(first(mnist, 200), learning_rate=1.0, seed=seed)[-1].accuracy for seed in (2, 3, 4)]
    assert min(ends) < 0.9 and max(ends) == 1.0


def test_one_epoch_row_is_what_it_says() -> None:
    """With a rate of 0 nothing moves: the row must be the loss and accuracy of the start, whatever the batches' sizes."""
    loader = DataLoader(invented_images(250, 40, rng=0), batch_size=100)
    [row] = work.train_classifier(loader, CrossEntropy(), learning_rate=0.0, epochs=1, rng=5)
    rng = np.random.default_rng(5)
    model, loss = Model([Linear(784, 50, rng), ReLU(), Linear(50, 10, rng)]), CrossEntropy()
    assert math.isclose(row.loss, loss(model(loader.x_train), loader.y_train), rel_tol=1e-5)
    assert math.isclose(row.accuracy, classification.calculate_accuracy(model(loader.x_train), loader.y_train))
    assert row.valid_accuracy == classification.calculate_accuracy(model(loader.x_valid), loader.y_valid)


def test_softmax_shrinks_the_gradient_of_mse() -> None:
    rows = {row.scale: row.mses / row.cross_entropy for row in work.gradient_shrinkage()}
    assert all(ratio <= 0.26 for ratio in rows.values())
    assert rows[30.0] < rows[10.0] < rows[3.0]


def test_outer_products_hold_a_number_for_each_image_and_weight() -> None:
    ways = {way.name: way for way in weight_gradient.weight_gradient_ways(n=64, inputs=100, outputs=20)}
    assert all(way.error < 1e-11 for way in ways.values())
    products = 64 * 100 * 20 * 8
    assert products <= ways["outer products"].peak_bytes < 1.2 * products + 100_000
    assert ways["x.T @ g"].peak_bytes < products / 20
    assert 50_000 * 784 * 50 * 8 == 15_680_000_000


@pytest.mark.slow
def test_fifty_thousand_images_at_once_fit_into_memory() -> None:
    tracemalloc.start()
    try:
        weight_gradient.full_batch_times()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    images = 50_000 * 784 * 4
    assert images < peak < 2 * images  # the printed way: fifty times the images, for the gradient of the first weights alone


@pytest.mark.slow
def test_one_epoch_on_all_of_mnist(mnist) -> None:
    data = DataLoader(mnist, batch_size=100, rng=0)
    [row] = work.train_classifier(data, CrossEntropy(), learning_rate=0.1, epochs=1, rng=0)
    assert row.valid_accuracy > 0.92


def test_slips_of_the_sources() -> None:
    rows = {slip.where: slip for slip in work.slips()}
    assert len(rows) == 8
    ratio = {where: slip.printed / slip.true for where, slip in rows.items() if isinstance(slip.true, float)}
    assert math.isclose(ratio["MSE gradient divided by the examples alone, over the true one"], 3.0, rel_tol=1e-9)
    assert math.isclose(ratio["Heinzer's cross-entropy: the mean of one sum"], 6.0, rel_tol=1e-6)
    assert math.isclose(ratio["its gradient, over the true one"], 6.0, rel_tol=1e-6)
    assert ratio["its value for the soft target .9 .05 .05"] > 1.5
    assert all(slip.printed != slip.true for slip in rows.values())


def test_loss_is_abstract() -> None:
    class Half(Loss):
        def forward(self, output, target):
            return np.float64(0.5)

    half = Half()
    assert half(tensor([1.0]), [1.0]) == 0.5
    with pytest.raises(NotImplementedError, match="derivative"):
        half.gradient()
