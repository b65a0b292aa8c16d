"""Learner(compile=True) on the real digits: the curve of eager mode, every promise of the callbacks, and weights that no NaN reaches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from gradus import nn
from gradus.data import DataLoader, Normalizer, TensorDataset, digits
from gradus.errors import LabelError, NonFiniteError, ShapeError, TraceError
from gradus.mode import MODE
from gradus.optim import SGD
from gradus.random import manual_seed
from gradus.tensors import Tensor
from gradus.train import Callback, CancelEpoch, CancelFit, ClipGradients, EarlyStopping, Learner
from gradus.train.compiled_steps import SHAPES
from gradus.train.models import build_model


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, ...]:
    return tuple(part.numpy() for part in digits())


def model_of(kind: str = "mlp", dropout: float = 0.2) -> nn.Module:
    inputs = [8, 8] if kind == "mlp" else list(digits()[0].shape[1:])
    return build_model({"kind": kind, "inputs": inputs, "classes": 10, "hidden": [32], "dropout": dropout})


def learner_of(compiled: bool | None, model: nn.Module | None = None, optimizer="adamw", loss="cross_entropy", **options) -> Learner:
    return Learner(model or model_of(), loss, optimizer, progress=False, compile=compiled, **options)


def weights(learner: Learner) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in learner.model.state_dict().items()}


def traced(learner: Learner, kind: str = "train") -> int:
    """How many programs there are for a kind of pass."""
    return sum(len(function.specialisations) for key, function in learner.compiled.programs.items() if key[0][0] == kind)


def both(images, rows: int = 300, fit: dict | None = None, **options) -> tuple[Learner, Learner, list, list]:
    """The same run eagerly and compiled."""
    found = []
    for compiled in (False, True):
        manual_seed(0)
        made = {name: value() if name in ("model", "callbacks", "loss", "normalizer") else value for name, value in options.items()}
        learner = learner_of(compiled, **made)
        history = learner.fit(images[0][:rows], images[1][:rows], **{"epochs": 3, "batch_size": 32, **(fit or {})})
        found.append((learner, history))
    return found[0][0], found[1][0], found[0][1], found[1][1]


class InTrace(Callback):
    """Says whether any of its events was called while a function was traced."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def before_batch(self, learner: Learner) -> None:
        assert MODE.world is None

    def after_step(self, learner: Learner) -> None:
        assert MODE.world is None
        self.events.append(f"{learner.loss.item():.3f}")


# The same curve.


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_curve_is_that_of_eager_mode(images, kind, optimizer) -> None:
    fit = {"epochs": 2, "validation": 0.1, "schedule": "one-cycle"}
    smoothing = {"loss": lambda: nn.CrossEntropyLoss(label_smoothing=0.1), "normalizer": Normalizer}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eager, compiled, a, b = both(images, len(images[0]), fit, model=lambda: model_of(kind), optimizer=optimizer, lr=0.01, **smoothing)
    # AdamW makes full steps of gradients that are nothing but rounding, and compiled sums round otherwise: after some dozens of steps
    # the curves of the network of convolutions differ in the fourth digit. SGD's stay together.
    whole = 1e-5 if optimizer == "sgd" else 3e-3
    assert np.allclose(a.step_losses[:30], b.step_losses[:30], rtol=1e-5, atol=0)
    assert np.allclose(a.step_losses, b.step_losses, rtol=whole, atol=0)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy", "lr"):
        assert a[column] == pytest.approx(b[column], rel=whole), column
    assert compiled.step == eager.step == 2 * -(-1293 // 32)
    assert compiled.gradient_norm == pytest.approx(eager.gradient_norm, rel=max(1e-3, 10 * whole))
    assert traced(compiled) == 2  # full batches and the last, smaller one; a rate that moves makes no third
    assert traced(compiled, "measure") >= 1
    assert compiled.notices == []
    assert not compiled.model.training
    assert all(parameter.grad is None for parameter in compiled.model.parameters())
    if optimizer == "sgd":  # AdamW makes full steps of gradients that are nothing but rounding
        mine, theirs = weights(eager), weights(compiled)
        assert all(np.allclose(mine[name], theirs[name], rtol=1e-4, atol=1e-6) for name in mine)


def test_batch_statistics_go_on_as_in_eager_mode(images) -> None:
    def normed() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))

    eager, compiled, a, b = both(images, fit={"validation": 0.2}, model=normed, optimizer="sgd", lr=0.1)
    assert np.allclose(a.step_losses, b.step_losses, rtol=1e-4)
    assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-4)
    mine, theirs = weights(eager), weights(compiled)
    assert mine["2.num_batches_tracked"] == theirs["2.num_batches_tracked"] == 3 * 8
    assert np.allclose(mine["2.running_var"], theirs["2.running_var"], rtol=1e-4)


def test_clipping_happens_inside_the_step(images) -> None:
    # A bound so low that every step is cut: without clipping the curves would part at once.
    eager, compiled, a, b = both(images, callbacks=lambda: [ClipGradients(0.05)], optimizer="sgd", lr=0.5)
    assert np.allclose(a.step_losses, b.step_losses, rtol=1e-4)
    assert traced(compiled) == 2
    free, *_ = both(images, optimizer="sgd", lr=0.5)
    assert not np.allclose(weights(free)["1.weight"], weights(compiled)["1.weight"], atol=1e-3)
    assert compiled.gradient_norm == pytest.approx(eager.gradient_norm, rel=1e-3)  # that before clipping


def test_another_norm_needs_no_new_trace(images) -> None:
    clip = ClipGradients(1.0)
    learner = learner_of(True, callbacks=[clip], optimizer="sgd", lr=0.1)
    learner.fit(images[0][:128], images[1][:128], epochs=2)
    before, programs = weights(learner), traced(learner)
    clip.max_norm = 1e-12
    learner.fit(images[0][:128], images[1][:128], epochs=2)
    assert traced(learner) == programs
    assert all(np.allclose(before[name], value, atol=1e-6) for name, value in weights(learner).items())


def test_a_loader_and_several_inputs(images) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(64, 10)

        def forward(self, x: Tensor, shift: Tensor) -> Tensor:
            return self.layer(x.flatten(1) + shift)

    curves = []
    for compiled in (False, True):
        manual_seed(1)
        loader = DataLoader(
            TensorDataset(Tensor(images[0][:100]), Tensor(np.ones((100, 1), np.float32)), Tensor(images[1][:100])), batch_size=32
        )
        learner = learner_of(compiled, Sum())
        curves.append(learner.fit(loader, epochs=3).step_losses)
    assert np.allclose(*curves, rtol=1e-5)
    assert traced(learner) == 2


# Numbers that are not finite.


class Batches:
    """A loader of given batches."""

    def __init__(self, *batches: tuple[np.ndarray, np.ndarray]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(tuple(Tensor(part) for part in batch) for batch in self.batches)


def rooted(outputs: Tensor, target: Tensor) -> Tensor:
    """Finite at target 0, where its slope is not."""
    return (outputs * target).sqrt().mean()


def everything(learner: Learner) -> dict[str, np.ndarray]:
    """Weights, buffers and what the optimizer remembers."""
    found = weights(learner)
    for k, state in learner.optimizer.state_dict()["state"].items():
        found |= {f"{k}.{name}": np.array(v.numpy() if isinstance(v, Tensor) else v) for name, v in state.items()}
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("poisoned", ["the loss", "a gradient"])
def test_nothing_is_written_from_what_is_not_finite(poisoned, optimizer) -> None:
    good = (np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
    bad = (good[0] * np.float32(np.nan if poisoned == "the loss" else 1), good[1] * np.float32(poisoned == "the loss"))
    messages, seen = [], []
    for compiled in (False, True):
        model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        with_ones = {name: np.ones_like(value.numpy()) for name, value in model.state_dict().items()}
        model.load_state_dict(with_ones)
        learner = learner_of(compiled, model, optimizer, rooted, lr=1e-3)
        learner.fit(Batches(good, good, good, good), epochs=1)
        before = everything(learner)
        assert len(before) == (4 if optimizer == "sgd" else 16)
        with pytest.raises(NonFiniteError) as caught:
            learner.fit(Batches(good, good, bad, good), epochs=1)
        assert learner.step == 6
        seen.append((before, everything(learner)))
        messages.append(str(caught.value).partition("; lr")[0])
        assert all(parameter.grad is None for parameter in model.parameters())
    assert messages[0] == messages[1]  # eager mode's own words, the layer or parameter included
    assert poisoned in messages[1].splitlines()[0]
    assert "step 7" in messages[1]
    assert traced(learner) == 1
    assert all(np.isfinite(value).all() for value in seen[1][1].values())
    for name, value in seen[0][1].items():  # two good steps, and not the third
        assert np.allclose(value, seen[1][1][name], rtol=1e-5), name
        assert not np.array_equal(value, seen[0][0][name]) or value.ndim == 0 and optimizer == "sgd", name


def test_a_norm_too_large_for_float32_is_no_error() -> None:
    x, y = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    learner = learner_of(True, nn.Linear(2, 1), "sgd", lambda outputs, target: (outputs * 1e25).sum(), lr=0.0)
    learner.fit(Batches(*[(x, y)] * 5), epochs=1)
    assert traced(learner) == 1
    assert learner.step == 5


def test_labels_and_shapes_are_still_refused(images) -> None:
    x, y = images[0][:64], images[1][:64]
    learner = learner_of(True)
    learner.fit(x, y, epochs=3)
    assert traced(learner) == 1
    before = weights(learner)
    with pytest.raises(LabelError, match="a label that the model has no output for"):
        learner.fit(x, y + 5, epochs=1)
    with pytest.raises(LabelError):
        learner.fit_batch(x, y + 5)
    with pytest.raises(ShapeError, match="one number"):
        learner_of(True, loss=nn.CrossEntropyLoss(reduction="none")).fit(x, y, epochs=3)
    assert all(np.array_equal(before[name], value) for name, value in weights(learner).items())


# Callbacks.


@pytest.mark.parametrize("event", ["after_predict", "after_loss", "after_backward"])
def test_who_looks_between_the_lines_is_told_in_time(images, event) -> None:
    seen = []

    def look(self, learner: Learner) -> None:
        seen.append([parameter.grad is not None for parameter in learner.model.parameters()])
        assert isinstance(
            learner.prediction.numpy() if not learner.prediction.requires_grad else learner.prediction.detach().numpy(), np.ndarray
        )

    watcher = type("Watcher", (Callback,), {event: look})()
    learner = learner_of(True, callbacks=[watcher])
    learner.fit(images[0][:64], images[1][:64], epochs=3)
    assert len(seen) == 6
    assert all(all(row) == (event == "after_backward") for row in seen)
    assert learner.notices == [f"batches run eagerly, not compiled: the callback Watcher listens to {event}"]
    assert not learner.compiled.programs


def test_a_heir_of_a_callback_that_is_traced_is_told_too(images) -> None:
    norms = []

    class Shown(ClipGradients):
        def after_backward(self, learner: Learner) -> None:
            super().after_backward(learner)
            norms.append(float(sum((p.grad**2).sum().item() for p in learner.model.parameters())) ** 0.5)

    learner = learner_of(True, callbacks=[Shown(0.01)])
    learner.fit(images[0][:64], images[1][:64], epochs=2)
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)
    assert "Shown" in learner.notices[0]


def test_a_callback_of_ones_own_inside_the_step(images) -> None:
    class Noted(Callback):
        with_compile = "inside"

        def __init__(self) -> None:
            self.norms: list[float] = []

        def inside_step(self, model: nn.Module, loss: Tensor) -> Tensor:
            return sum((parameter.grad**2).sum() for parameter in model.parameters())

        def after_backward(self, learner: Learner) -> None:
            self.after_inside(learner, self.inside_step(learner.model, learner.loss))

        def after_inside(self, learner: Learner, value: Tensor) -> None:
            self.norms.append(value.item())

    eager, compiled, *_ = both(images, callbacks=lambda: [Noted()])
    (a,), (b,) = eager.callbacks, compiled.callbacks
    assert np.allclose(a.norms, b.norms, rtol=1e-3)
    assert len(b.norms) == 3 * 10
    assert traced(compiled) == 2


def test_settings_of_such_a_callback_are_followed(images) -> None:
    class Scaled(Callback):
        with_compile = "inside"
        factor = 1.0

        def inside_step(self, model: nn.Module, loss: Tensor) -> None:
            for parameter in model.parameters():
                parameter.grad.mul_(self.factor)

    scaled = Scaled()
    learner = learner_of(True, callbacks=[scaled], optimizer="sgd", lr=0.1)
    learner.fit(images[0][:64], images[1][:64], epochs=3)
    before = weights(learner)
    scaled.factor = 0.0
    learner.fit(images[0][:64], images[1][:64], epochs=3)
    assert all(np.array_equal(before[name], value) for name, value in weights(learner).items())


def test_events_come_in_the_same_order(images) -> None:
    class Told(Callback):
        with_compile = "late"

        def __init__(self) -> None:
            self.events: list[tuple[str, int, int]] = []

    def note(event: str):
        return lambda self, learner: self.events.append((event, learner.epoch, learner.step))

    events = [f"{moment}_{stage}" for stage in ("fit", "epoch", "pass", "batch") for moment in ("before", "after", "cleanup")]
    for event in [*events, "after_predict", "after_loss", "after_backward", "after_step"]:
        setattr(Told, event, note(event))
    eager, compiled, *_ = both(images, fit={"validation": 0.2}, callbacks=lambda: [Told()])
    assert eager.callbacks[0].events == compiled.callbacks[0].events
    assert traced(compiled) == 2


def test_no_event_is_told_of_a_trace(images) -> None:
    eager, compiled, *_ = both(images, callbacks=lambda: [InTrace()])
    assert eager.callbacks[0].events == compiled.callbacks[0].events


@pytest.mark.parametrize("error", [CancelEpoch, CancelFit])
def test_a_run_can_be_left(images, error) -> None:
    class Leave(Callback):
        def after_batch(self, learner: Learner) -> None:
            if learner.step == 5:
                raise error

    eager, compiled, a, b = both(images, callbacks=lambda: [Leave()])
    assert eager.step == compiled.step
    assert np.allclose(a.step_losses, b.step_losses, rtol=1e-5)


def test_early_stopping_and_schedules(images) -> None:
    fit = {"epochs": 12, "validation": 0.3, "schedule": "cosine"}
    _, compiled, a, b = both(images, fit=fit, callbacks=lambda: [EarlyStopping(patience=1)], lr=0.05)
    assert len(a.rows) == len(b.rows) < 12
    assert a["lr"] == b["lr"]
    assert traced(compiled) == 2


def test_hooks_are_called(images) -> None:
    learner = learner_of(True)
    learner.fit(images[0][:64], images[1][:64], epochs=2)
    called = []
    handle = learner.model[1].register_forward_hook(lambda layer, args, output: called.append(output.numel()))
    learner.fit(images[0][:64], images[1][:64], epochs=2)
    learner.predict(images[0][:64])
    assert len(called) == 5
    assert learner.notices == ["batches run eagerly, not compiled: a hook watches layer 1"]
    handle.remove()
    grads = []
    next(learner.model.parameters()).register_hook(lambda g: grads.append(float(g.abs().sum().item())))
    learner.fit(images[0][:64], images[1][:64], epochs=1)
    assert len(grads) == 2


def test_hooks_that_were_removed_hinder_nothing(images) -> None:
    learner = learner_of(True)
    learner.model.summary(images[0][:2].shape)
    learner.model[1].register_forward_hook(lambda layer, args, output: None).remove()
    learner.fit(images[0][:64], images[1][:64], epochs=2)
    assert not learner.notices
    assert traced(learner) == 1


# Around it.


def test_lr_find_leaves_no_trace(images) -> None:
    x, y = images[0][:256], images[1][:256]
    curves, rates = [], []
    for compiled in (False, True):
        manual_seed(0)
        learner = learner_of(compiled)
        before = everything(learner)
        found = learner.lr_find(x, y, steps=40, high=1.0)
        assert all(np.array_equal(before[name], value) for name, value in everything(learner).items())
        rates.append(found.losses)
        learner.lr = 0.01
        curves.append(learner.fit(x, y, epochs=3).step_losses)
    assert np.allclose(*[losses[:30] for losses in rates], rtol=1e-3)
    assert np.allclose(*curves, rtol=1e-4)


def test_an_optimizer_that_was_loaded_goes_on_from_there(images) -> None:
    x, y = images[0][:128], images[1][:128]
    curves = []
    for compiled in (False, True):
        manual_seed(0)
        learner = learner_of(compiled)
        fresh = learner.optimizer.state_dict()
        start = {name: value.detach().clone() for name, value in learner.model.state_dict().items()}
        learner.fit(x, y, epochs=2, shuffle=False)
        learner.model.load_state_dict(start)
        learner.optimizer.load_state_dict(fresh)
        curves.append(learner.fit(x, y, epochs=2, shuffle=False).step_losses)
    assert np.allclose(*curves, rtol=1e-4)


def test_fit_batch_and_what_is_used_afterwards(images) -> None:
    x, y = images[0][:32], images[1][:32]
    losses, outputs = [], []
    for compiled in (False, True):
        manual_seed(0)
        learner = learner_of(compiled)
        losses.append([learner.fit_batch(x, y) for _ in range(6)])
        for _ in range(3):
            outputs.append(learner.outputs(images[2], batch_size=100).numpy())
            assert learner.evaluate(images[2], images[3])["accuracy"] == learner.score(images[2], images[3])
    assert np.allclose(*losses, rtol=1e-5)
    assert all(np.allclose(outputs[0], other, rtol=1e-4, atol=1e-5) for other in outputs)
    assert traced(learner) == 1
    assert traced(learner, "use") == 3  # full batches, the rest, and all rows at once


def test_changed_parts_are_seen(images) -> None:
    x, y = images[0][:64], images[1][:64]
    learner = learner_of(True, optimizer=lambda parameters: SGD(parameters, lr=0.1))
    learner.fit(x, y, epochs=3)
    first = next(learner.model.parameters())
    first.requires_grad_(False)
    frozen = first.detach().numpy().copy()
    learner.fit(x, y, epochs=2)
    assert np.array_equal(first.detach().numpy(), frozen)
    learner.loss_function = nn.CrossEntropyLoss(reduction="sum")
    assert learner.fit_batch(x, y) == pytest.approx(64 * learner_loss(learner, x, y), rel=0.5)
    learner.model[1].weight.requires_grad_(True)
    learner.fit(x, y, epochs=2)
    assert not np.array_equal(first.detach().numpy(), frozen)


def learner_loss(learner: Learner, x: np.ndarray, y: np.ndarray) -> float:
    return nn.functional.cross_entropy(learner.model(Tensor(x)), Tensor(y)).item()


def test_batches_of_many_shapes(images) -> None:
    batches = [(images[0][:n], images[1][:n]) for n in range(4, 4 + SHAPES + 3)]
    learner = learner_of(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.fit(Batches(*batches), epochs=3)
        for n in range(1, 20):
            assert learner.predict(images[0][:n]).shape == (n,)
    assert traced(learner) == SHAPES
    assert learner.notices == [f"batches of more than {SHAPES} shapes: further ones run eagerly, not compiled"]


class Branching(nn.Module):
    """Cannot be traced: which way it goes depends on values."""

    def __init__(self) -> None:
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x.flatten(1))
        return y if y.sum() > 0 else y * 2


def test_a_model_that_cannot_be_traced(images) -> None:
    x, y = images[0][:64], images[1][:64]
    with pytest.raises(TraceError, match="cannot branch"):
        learner_of(True, Branching()).fit(x, y, epochs=3)
    pytest.importorskip("numba")
    manual_seed(0)
    learner = learner_of(None, Branching())
    losses = learner.fit(x, y, epochs=3).step_losses
    assert learner.notices == ["batches run eagerly, not compiled: a compiled function cannot branch on the values of a tensor"]
    manual_seed(0)
    assert learner_of(False, Branching()).fit(x, y, epochs=3).step_losses == losses


def test_ctrl_c_ends_the_run_after_the_step(images) -> None:
    class Press(Callback):
        def before_batch(self, learner: Learner) -> None:
            if learner.step == 6:
                os.kill(os.getpid(), signal.SIGINT)

    learner = learner_of(True, callbacks=[Press()])
    history = learner.fit(images[0][:128], images[1][:128], epochs=5)
    assert history.interrupted
    assert learner.step == 7


def test_eager_is_the_default_and_loads_no_compiler_of_kernels() -> None:
    text = """
import sys
import numpy as np
from gradus import nn
from gradus.train import Learner
learner = Learner(nn.Linear(2, 1), "mse", progress=False)
learner.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3)
print(learner.compiled, sorted({"numba", "llvmlite"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None []"


def test_without_numba_none_is_eager_and_true_runs_on_numpy(images, monkeypatch) -> None:
    from gradus.compiler import tiers

    monkeypatch.setattr(tiers, "installed", lambda package: package not in tiers.NEEDED)
    monkeypatch.setattr(tiers.Notice, "given", True)
    assert learner_of(None).compiled is None
    _, compiled, a, b = both(images, callbacks=lambda: [ClipGradients(1.0)])
    assert all(function.tier == tiers.NUMPY for function in compiled.compiled.programs.values())
    assert np.allclose(a.step_losses, b.step_losses, rtol=1e-5)
    model = nn.Linear(2, 1)
    learner = learner_of(True, model, "sgd", rooted, lr=1e-3)
    model.load_state_dict({name: np.ones_like(value.numpy()) for name, value in model.state_dict().items()})
    good, bad = [(np.ones((4, 2), np.float32), np.full((4, 1), value, np.float32)) for value in (1, 0)]
    learner.fit(Batches(*[good] * 5), epochs=1)
    before = everything(learner)
    with pytest.raises(NonFiniteError):
        learner.fit(Batches(bad, good), epochs=1)
    assert all(np.array_equal(before[name], value) for name, value in everything(learner).items())
