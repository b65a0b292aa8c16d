"""What the documents point at: the course behind them and the chapters that follow, as a person would try it with Gradus.

Code that a person writes for PyTorch is written here once, for a library ``T`` that is Gradus or PyTorch, and both give the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradus
import gradus.nn.functional as F
from gradus import nn
from gradus.data import Normalizer, digits, mnist
from gradus.tensors import Tensor
from gradus.train import Callback, CancelFit, Learner


def both(program: Callable[[Any], Any], rtol: float = 1e-5, atol: float = 1e-6) -> Any:
    """The results of a program with either library, compared; a program draws its numbers from NumPy. Returns Gradus' results."""
    mine, theirs = program(gradus), program(pytest.importorskip("torch", reason="PyTorch is the oracle"))
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)
    return mine


def images(T: Any, shape: tuple[int, ...] = (16, 3, 5, 5)) -> Any:
    return T.tensor(np.random.default_rng(0).normal(2.0, 3.0, shape).astype("float32"))


# Normalising.


@pytest.mark.slow
def test_validation_images_are_normalized_by_the_training_set(gradus_data: Path) -> None:
    """The first 50,000 images of MNIST have mean 0.1304 and deviation 0.3073 (of 256 grey steps); the other 10,000 get them too."""
    x, _, _, _ = mnist(gradus_data)
    train, valid = x[:50_000].numpy(), x[50_000:].numpy()
    mean, std = train.mean(dtype="float64"), train.std(dtype="float64")
    assert (mean * 255 / 256, std * 255 / 256) == pytest.approx((0.1304, 0.3073), abs=1e-4)  # the course's file divides by 256
    scale = Normalizer().fit(train)
    np.testing.assert_allclose(scale(valid).numpy(), (valid - mean) / std, atol=1e-5)


AXES = (0, 2, 3)  # of images (B, C, H, W): all but the channels


def held_batch_norm(T: Any, channels: int) -> Any:
    """Batch norm as the course has it: the statistics are found without a gradient, and their averages kept by lerp_."""

    class HeldBatchNorm(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.shift = (T.nn.Parameter(start(channels, 1, 1)) for start in (T.ones, T.zeros))
            self.register_buffer("mean", T.zeros(1, channels, 1, 1))
            self.register_buffer("variance", T.ones(1, channels, 1, 1))

        def forward(self, x: Any) -> Any:
            mean, variance = self.mean, self.variance
            if self.training:
                with T.no_grad():
                    mean, variance = x.mean(AXES, keepdim=True), x.var(AXES, keepdim=True)
                    self.mean.lerp_(mean, 0.1)
                    self.variance.lerp_(variance, 0.1)
            return self.scale * ((x - mean) / (variance + 1e-5).sqrt()) + self.shift

    return HeldBatchNorm()


def test_batch_norm_of_the_course_and_what_the_library_does_otherwise() -> None:
    def program(T: Any) -> list[Any]:
        layer, x = held_batch_norm(T, 3), images(T).requires_grad_()
        (layer(x) ** 3).sum().backward()
        layer.eval()
        return [layer(x), x.grad, layer.scale.grad, layer.shift.grad, layer.mean, layer.variance]

    _, g_course, _, _, means, variances = both(program, rtol=1e-4, atol=1e-4)
    x = images(gradus).requires_grad_()
    library = nn.BatchNorm2d(3)
    y = library(x)
    (y**3).sum().backward()
    flat = x.detach().numpy().transpose(1, 0, 2, 3).reshape(3, -1).astype("float64")
    # The running numbers agree: either keeps the unbiased variance, and a tenth of what is new.
    np.testing.assert_allclose(library.running_mean.numpy(), means.numpy().ravel(), rtol=1e-5)
    np.testing.assert_allclose(library.running_var.numpy(), variances.numpy().ravel(), rtol=1e-5)
    np.testing.assert_allclose(library.running_var.numpy(), 0.9 + 0.1 * flat.var(1, ddof=1), rtol=1e-5)
    # The batch itself is divided by the biased deviation, so that its mean square is 1: not by the one that is kept.
    np.testing.assert_allclose((y.detach().numpy() ** 2).mean((0, 2, 3)), 1, rtol=1e-4)
    # And the mean and variance depend on the input: with their derivative, no gradient is left along a shift or a stretch of a channel.
    g = x.grad.numpy().astype("float64")
    assert np.abs(g.sum((0, 2, 3))).max() < 1e-3 * np.abs(g).sum()
    assert np.abs((g * y.detach().numpy()).sum((0, 2, 3))).max() < 1e-3 * np.abs(g).sum()
    assert np.abs(g_course.numpy().sum((0, 2, 3))).min() > 0.02 * np.abs(g_course.numpy()).sum()


def test_layer_and_instance_norm_of_the_course() -> None:
    def program(T: Any) -> list[Any]:
        x = images(T)

        def normalized(axes: tuple[int, ...]) -> Any:
            m, v = x.mean(axes, keepdim=True), x.var(axes, keepdim=True, unbiased=False)
            return (x - m) / (v + 1e-5).sqrt()

        by_layer, by_instance = T.nn.LayerNorm([3, 5, 5]), T.nn.InstanceNorm2d(3)
        return [normalized((1, 2, 3)), by_layer(x), normalized((2, 3)), by_instance(x)]

    mine = both(program, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine[0].detach().numpy(), mine[1].detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(mine[2].detach().numpy(), mine[3].detach().numpy(), atol=1e-5)


def running_batch_norm(T: Any, channels: int) -> Any:
    """Batch norm as the course mends it for tiny batches: sums, squares and counts are averaged, and also normalised with in training.

    Of a batch of B, a share of 1 - 0.9 / √(B - 1) is new; a variance below 0.01 counts as 0.01.
    """

    class RunningBatchNorm(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.shift = (T.nn.Parameter(start(channels, 1, 1)) for start in (T.ones, T.zeros))
            self.register_buffer("total", T.zeros(1, channels, 1, 1))
            self.register_buffer("squares", T.zeros(1, channels, 1, 1))
            self.register_buffer("count", T.tensor(0.0))
            self.register_buffer("seen", T.tensor(0.0))

        def remember(self, x: Any) -> None:
            share = 1 - 0.9 / math.sqrt(len(x) - 1)
            for kept, new in ((self.total, x), (self.squares, x * x)):
                kept.detach_()  # the gradient goes through this batch alone
                kept.lerp_(new.sum(AXES, keepdim=True), share)
            self.count.lerp_(T.tensor(float(x.numel() / channels)), share)
            self.seen.mul_(1 - share).add_(share)

        def forward(self, x: Any) -> Any:
            if self.training:
                self.remember(x)
            mean = self.total / self.count
            variance = (self.squares / self.count).sub(mean.pow(2)).clamp_min(0.01)
            return x.sub(mean).div((variance + 1e-5).sqrt()).mul(self.scale).add(self.shift)

    return RunningBatchNorm()


def test_running_batch_norm() -> None:
    """Two images at a time, eight times: gradients and averages are those of PyTorch."""

    def program(T: Any) -> list[Any]:
        layer, x = running_batch_norm(T, 3), images(T)
        found = []
        for i in range(0, 16, 2):
            batch = x[i : i + 2].clone().requires_grad_()
            layer(batch).pow(3).sum().backward()
            found.append(batch.grad)
        return [*found, layer.scale.grad, layer.total, layer.seen]

    *_, seen = both(program, rtol=1e-3, atol=1e-3)
    assert seen.item() == pytest.approx(1 - 0.9**8)  # of two images a tenth is new


def test_momentum_means_the_opposite_in_normalisation() -> None:
    """BatchNorm keeps 1 - momentum of the old; SGD keeps momentum of it, and adds all of the new unless dampening takes a share away."""
    layer = nn.BatchNorm1d(1, momentum=0.1)
    layer(gradus.tensor([[9.0], [11.0]]))
    assert layer.running_mean.item() == pytest.approx(0.9 * 0 + 0.1 * 10)
    for dampening, wanted in ((0.0, [1, 1.9, 2.71]), (0.9, [1, 1.0, 1.0])):
        w = nn.Parameter(gradus.zeros(1))
        opt = gradus.optim.SGD([w], lr=1.0, momentum=0.9, dampening=dampening)
        steps = []
        for _ in range(3):
            before = w.item()
            w.grad = gradus.ones(1)
            opt.step()
            steps.append(before - w.item())
        assert steps == pytest.approx(wanted, rel=1e-5)


# Layers and callbacks of one's own.


class ShiftedRelu(nn.Module):
    """The course's GeneralRelu: a leaky ReLU, moved down and cut off above, in place."""

    def __init__(self, slope: float, down: float, top: float) -> None:
        self.slope, self.down, self.top = slope, down, top

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope).sub_(self.down).clamp_max_(self.top)


class Applied(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class BatchTransform(Callback):
    """The course's BatchTransformXCallback: the inputs of each batch pass through a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def before_batch(self, learner: Learner) -> None:
        learner.inputs = [self.function(x) for x in learner.inputs]


def test_the_convolutional_network_of_the_course() -> None:
    def conv(n_in: int, n_out: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, stride=2), ShiftedRelu(0.1, down=0.4, top=6.0))

    x_train, y_train, x_test, y_test = digits()
    model = nn.Sequential(
        conv(1, 8), conv(8, 16), conv(16, 32), conv(32, 32), nn.AdaptiveAvgPool2d(1), Applied(lambda x: x.flatten(1)), nn.Linear(32, 10)
    )
    for p in model.parameters():
        if p.ndim == 4:
            nn.init.kaiming_normal_(p, a=0.1)
    learner = Learner(model, "cross_entropy", "adam", lr=0.01, progress=False, callbacks=[BatchTransform(lambda x: x.view(-1, 1, 8, 8))])
    learner.fit(x_train.reshape(-1, 64), y_train, epochs=6, batch_size=64)
    assert learner.score(x_test[:, None], y_test) > 0.9


def test_general_relu_is_that_of_pytorch() -> None:
    def program(T: Any) -> list[Any]:
        x = T.linspace(-3, 9, 25).requires_grad_()
        y = T.nn.functional.leaky_relu(x, 0.1) * 1
        y.sub_(0.4)
        y.clamp_max_(6.0)
        (y * y).sum().backward()
        return [y, x.grad]

    both(program)


class Anneal(Callback):
    """The course's ParamScheduler: a rate for each share of the way."""

    def __init__(self, schedule: Callable[[float], float]) -> None:
        self.schedule, self.rates = schedule, []

    def before_fit(self, learner: Learner) -> None:
        self.steps, self.done = learner.epochs * len(learner.train_loader), 0

    def before_batch(self, learner: Learner) -> None:
        learner.lr = self.schedule(self.done / self.steps)
        self.rates.append(learner.lr)
        self.done += 1


def cosine(start: float, end: float) -> Callable[[float], float]:
    return lambda share: start + (1 + math.cos(math.pi * (1 - share))) * (end - start) / 2


def combined(shares: list[float], schedules: list[Callable[[float], float]]) -> Callable[[float], float]:
    ends = np.cumsum(shares)

    def at(share: float) -> float:
        k = min(int(np.searchsorted(ends, share, side="right")), len(schedules) - 1)
        return schedules[k]((share - (ends[k] - shares[k])) / shares[k])

    return at


def test_schedules_that_follow_each_other() -> None:
    anneal = Anneal(combined([0.3, 0.7], [cosine(0.3, 0.6), cosine(0.6, 0.2)]))
    x, y = np.zeros((20, 1), "float32"), np.zeros((20, 1), "float32")
    Learner(nn.Linear(1, 1), "mse", "sgd", progress=False, callbacks=[anneal]).fit(x, y, epochs=5, batch_size=2)
    assert len(anneal.rates) == 50
    assert (anneal.rates[0], anneal.rates[15]) == pytest.approx((0.3, 0.6))
    assert anneal.rates[16] < 0.6 and anneal.rates[-1] == pytest.approx(0.2, abs=1e-2)
    assert anneal.rates[32:34] == sorted(anneal.rates[32:34], reverse=True)


class SingleBatch(Callback):
    def after_batch(self, learner: Learner) -> None:
        raise CancelFit


def test_a_single_batch() -> None:
    x, y = np.ones((20, 1), "float32"), np.ones((20, 1), "float32")
    learner = Learner(nn.Linear(1, 1), "mse", "sgd", lr=0.1, progress=False, callbacks=[SingleBatch()])
    learner.fit(x, y, epochs=5, batch_size=2)
    assert learner.step == 1


class MixUp(Callback):
    """Inputs and targets of a batch, each mixed with those of another row; targets are probabilities."""

    def __init__(self, seed: int) -> None:
        self.rng, self.seen = np.random.default_rng(seed), []

    def before_batch(self, learner: Learner) -> None:
        (x,), y = learner.inputs, learner.target
        share = self.rng.beta(0.4, 0.4, len(x)).astype("float32")
        share = gradus.tensor(np.maximum(share, 1 - share))[:, None]
        other = gradus.tensor(self.rng.permutation(len(x)))
        learner.inputs = [share * x + (1 - share) * x[other]]
        learner.target = share * y + (1 - share) * y[other]
        self.seen.append((share, y, other))


def test_mixup() -> None:
    """The loss against the mixed target is the mixture of the losses, which is what the paper minimises; and it learns."""
    x_train, y_train, x_test, y_test = digits()
    mix = MixUp(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    learner = Learner(model, "cross_entropy", "adam", lr=0.003, metrics=[], progress=False, callbacks=[mix])
    learner.fit(x_train.reshape(-1, 64), F.one_hot(y_train, 10).float(), epochs=8, batch_size=64)
    assert learner.score(x_test.reshape(-1, 64), y_test) > 0.88
    share, y, other = mix.seen[-1]
    outputs = gradus.tensor(np.random.default_rng(1).normal(size=y.shape).astype("float32"))
    mixed = F.cross_entropy(outputs, share * y + (1 - share) * y[other], reduction="none")
    parts = [F.cross_entropy(outputs, target, reduction="none") for target in (y, y[other])]
    np.testing.assert_allclose(mixed.numpy(), (share[:, 0] * parts[0] + (1 - share[:, 0]) * parts[1]).numpy(), rtol=1e-4)


def test_label_smoothing_of_the_course() -> None:
    outputs, labels = images(gradus, (6, 5)), gradus.tensor([0, 1, 2, 3, 4, 0])
    log_probabilities = F.log_softmax(outputs, dim=-1)
    e = 0.1
    by_hand = (1 - e) * F.nll_loss(log_probabilities, labels) + e * (-log_probabilities.sum(-1) / 5).mean()
    assert F.cross_entropy(outputs, labels, label_smoothing=e).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_half_precision_needs_a_scaled_loss() -> None:
    """A gradient of 1e-8 is 0 in float16; scaled by 2¹² before, and back in float32 after, it moves a master weight."""
    for scale, moved in ((1.0, False), (4096.0, True)):
        master = gradus.tensor([1.0], requires_grad=True)
        half = master.half()
        loss = half * gradus.tensor([1e-4], dtype=gradus.float16) * gradus.tensor([1e-4 * scale], dtype=gradus.float16)
        loss.sum().backward()
        assert (master.grad.item() / scale == pytest.approx(1e-8, rel=0.05)) is moved
        assert master.grad.dtype == gradus.float32


def test_transfer_learning_freezes_the_body() -> None:
    x_train, y_train, _, _ = digits()
    body, head = nn.Sequential(nn.Linear(64, 32), nn.ReLU()), nn.Linear(32, 10)
    learner = Learner(nn.Sequential(body, head), "cross_entropy", "adam", lr=0.01, progress=False)
    start = {name: value.clone() for name, value in learner.model.state_dict().items()}
    body.requires_grad_(False)
    learner.fit(x_train.reshape(-1, 64), y_train, epochs=1)
    moved = {name for name, value in learner.model.state_dict().items() if not gradus.equal(value, start[name])}
    assert moved == {"1.weight", "1.bias"}
    body.requires_grad_()
    learner.fit(x_train.reshape(-1, 64), y_train, epochs=1)
    assert not any(gradus.equal(value, start[name]) for name, value in learner.model.state_dict().items())


def test_lamb_as_a_rule_of_ones_own() -> None:
    """You and others 2019: Adam's step, stretched in each layer to the length of its weights."""

    class Lamb(gradus.optim.Optimizer):
        ELEMENTWISE = False

        def __init__(self, params: Any, lr: float = 0.01) -> None:
            super().__init__(params, {"lr": lr})
            self.averages: dict[int, list[Any]] = {}

        @gradus.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    m, v, t = self.averages.setdefault(id(p), [gradus.zeros_like(p), gradus.zeros_like(p), 0])
                    m.mul_(0.9).add_(p.grad, alpha=0.1)
                    v.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
                    t = self.averages[id(p)][2] = t + 1
                    step = (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-6) + 0.01 * p
                    p.add_(step, alpha=-group["lr"] * min((p.norm() / step.norm()).item(), 10))

    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    p = nn.Parameter(gradus.tensor(start))
    opt = Lamb([p])
    w, m, v = start.copy(), np.zeros((4, 3)), np.zeros((4, 3))
    for t, g in enumerate(gradients, 1):
        p.grad = gradus.tensor(g)
        opt.step()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6) + 0.01 * w
        w = w - 0.01 * min(np.linalg.norm(w) / np.linalg.norm(step), 10) * step
    np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-10)


def test_decay_of_weights_and_a_penalty_on_them() -> None:
    """For plain SGD one rule; for Adam two, of which AdamW is the decay."""
    start, g = np.array([1.0, -2.0]), np.array([0.3, 0.1])

    def after(make: Callable[[Any], Any], decayed: bool = False) -> np.ndarray:
        w = nn.Parameter(gradus.tensor(start))
        opt = make([w])
        for _ in range(3):
            if decayed:
                w.data.mul_(1 - 0.1 * 0.5)
            w.grad = gradus.tensor(g)
            opt.step()
        return w.detach().numpy()

    sgd = gradus.optim.SGD
    np.testing.assert_allclose(after(lambda p: sgd(p, lr=0.1, weight_decay=0.5)), after(lambda p: sgd(p, lr=0.1), decayed=True))
    adamw = after(lambda p: gradus.optim.AdamW(p, lr=0.1, weight_decay=0.5))
    np.testing.assert_allclose(adamw, after(lambda p: gradus.optim.Adam(p, lr=0.1), decayed=True))
    assert np.abs(adamw - after(lambda p: gradus.optim.Adam(p, lr=0.1, weight_decay=0.5))).max() > 0.01


# Looking inside.


class Watched:
    """What a layer gives out, and the gradient that comes back to it, noted until the end of a block."""

    def __init__(self, layer: Any) -> None:
        self.output = self.gradient = None
        self.handles = [layer.register_forward_hook(self.gave), layer.register_full_backward_hook(self.got)]

    def gave(self, layer: Any, inputs: Any, output: Any) -> None:
        self.output = output.detach().clone()

    def got(self, layer: Any, to_inputs: Any, to_outputs: Any) -> None:
        self.gradient = to_outputs[0].detach().clone()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_class_activation_maps() -> None:
    """CAM by einsum and Grad-CAM by hooks, as in PyTorch; behind average pooling and a linear layer they are one map but for a factor."""

    def program(T: Any) -> list[Any]:
        body, head = T.nn.Conv2d(1, 4, 3, padding=1), T.nn.Linear(4, 3)
        model = T.nn.Sequential(body, T.nn.AdaptiveAvgPool2d(1), T.nn.Flatten(), head)
        rng = np.random.default_rng(0)
        with T.no_grad():
            for p in model.parameters():
                p.copy_(T.tensor(rng.normal(size=tuple(p.shape)).astype("float32")))
        x = images(T, (1, 1, 6, 6))
        with Watched(body) as seen:
            scores = model(x)
            scores[0, 2].backward()
        by_weights = T.einsum("ck,kij->cij", head.weight, seen.output[0])
        by_gradient = seen.gradient[0].mean(dim=[1, 2], keepdim=True) * seen.output[0]
        return [by_weights, by_gradient.sum(0), scores]

    cam, grad_cam, _ = both(program, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grad_cam.numpy() * 36, cam.detach().numpy()[2], rtol=1e-3, atol=1e-4)


def test_a_list_of_hooks_and_histograms() -> None:
    """The course's Hooks and append_stats, with histc: means, spreads and 40 bins of each layer."""

    def program(T: Any) -> list[Any]:
        layers = [T.nn.ReLU(), T.nn.Tanh(), T.nn.LeakyReLU(0.2)]
        stats: list[list[Any]] = [[] for _ in layers]

        def append_stats(k: int) -> Callable[..., None]:
            return lambda mod, inp, outp: stats[k].extend(
                [outp.data.mean(), outp.data.std(), outp.data.cpu().histc(40, 0, 3), outp.data.histc(40, 0, 3)[:2].sum() / outp.numel()]
            )

        handles = [layer.register_forward_hook(append_stats(k)) for k, layer in enumerate(layers)]
        model = T.nn.Sequential(*layers)
        model(images(T))
        for handle in handles:
            handle.remove()
        model(images(T))
        return [value for each in stats for value in each]

    assert len(both(program)) == 12


def test_layers_are_scaled_by_what_they_give_out() -> None:
    """LSUV: with a hook on each activation, bias and weight of its layer are moved until it gives out mean 0 and spread 1."""

    def program(T: Any) -> list[Any]:
        rng = np.random.default_rng(0)
        model = T.nn.Sequential(*(T.nn.Sequential(T.nn.Linear(20, 20), T.nn.LeakyReLU(0.1)) for _ in range(4)))
        with T.no_grad():
            for p in model.parameters():
                p.copy_(T.tensor(rng.normal(0, 0.4, tuple(p.shape)).astype("float32")))
        xb = images(T, (256, 20))

        def scale(layer: Any, activation: Any, tolerance: float = 1e-3) -> None:
            outputs: list[Any] = []
            handle = activation.register_forward_hook(lambda module, args, y: outputs.append(y.detach()))
            for _ in range(50):
                model(xb)
                mean, std = outputs[-1].mean().item(), outputs[-1].std().item()
                if abs(mean) <= tolerance and abs(std - 1) <= tolerance:
                    break
                with T.no_grad():
                    layer.bias -= mean
                    layer.weight.data /= std
            handle.remove()

        for block in model:
            scale(block[0], block[1])
        found = []
        x = xb
        for block in model:
            x = block(x)
            found += [x.mean(), x.std()]
        return found

    mine = both(program, rtol=1e-2, atol=2e-3)
    means, spreads = [value.item() for value in mine[::2]], [value.item() for value in mine[1::2]]
    assert np.abs(means).max() < 1.5e-3 and np.abs(np.subtract(spreads, 1)).max() < 1.5e-3


# Beyond networks.


def test_mean_shift_by_broadcasting() -> None:
    """Every point moves to the weighted mean of all: six clusters come together, and a loop over points gives the same."""

    def program(T: Any) -> list[Any]:
        rng = np.random.default_rng(3)
        centres = np.array([[-30.0, -30], [30, -30], [0, 0], [-30, 30], [30, 30], [60, 0]])
        points = T.tensor((centres.repeat(20, 0) + rng.normal(0, 2, (120, 2))).astype("float32"))

        def weights(d: Any) -> Any:
            return T.exp(-0.5 * (d / 2.5) ** 2) / (2.5 * math.sqrt(2 * math.pi))

        x, loop = points.clone(), points.clone()
        for _ in range(5):
            d = ((x[None] - x[:, None]) ** 2).sum(2).sqrt()
            w = weights(d)
            x = w @ x / w.sum(1, keepdim=True)
        for _ in range(1):
            for i in range(len(loop)):
                w = weights(((loop - loop[i]) ** 2).sum(1).sqrt())
                loop[i] = (w[:, None] * loop).sum(0) / w.sum()
        return [x, loop]

    x, _ = both(program, rtol=1e-3, atol=1e-3)
    assert x.reshape(6, 20, 2).std(1).max().item() < 0.1, "each cluster has come together in a point"


def test_modules_of_fastbook_s_last_chapter() -> None:
    """A convolution and a mean of one's own on the library's Module, as its ConvLayer and AdaptivePool; modes; a hook given to a layer."""

    class Convolution(nn.Module):
        def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
            self.weight = nn.Parameter(gradus.zeros(n_out, n_in, 3, 3))
            self.bias = nn.Parameter(gradus.zeros(n_out)) if bias else None  # no super().__init__() before
            nn.init.kaiming_normal_(self.weight)

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight, self.bias, stride=2, padding=1).relu()

    class MeanOfPixels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    model = nn.Sequential(Convolution(1, 8), Convolution(8, 16, bias=False), MeanOfPixels(), nn.Linear(16, 10))
    assert [tuple(p.shape) for p in model.parameters()] == [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (10, 16), (10,)]
    model.eval()
    assert not any(module.training for module in model.modules())
    seen: list[tuple[int, ...]] = []
    with model[1].register_forward_hook(lambda m, args, y: seen.append(tuple(y.shape))):
        assert model(images(gradus, (4, 1, 8, 8))).shape == (4, 10)
    assert seen == [(4, 16, 2, 2)]
