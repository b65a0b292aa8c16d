"""Activations watched while a model learns: the numbers are those of the layers' outputs, and a dead layer shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.errors import UsageError
from gradus.train import ActivationStats, Learner


def data(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6)).astype("float32")
    return x, (x[:, :1] - x[:, 1:2]).astype("float32")


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Sequential(nn.Linear(10, 1)))


def test_numbers_are_those_of_the_outputs() -> None:
    net, watch = model(), ActivationStats(bins=8, high=4.0)
    x, y = data()
    first = net[0](gradus.tensor(x)).detach().numpy().astype("float64")  # what the first step will see
    learner = Learner(net, "mse", "sgd", lr=0.05, progress=False)
    learner.fit(x, y, epochs=3, batch_size=64, shuffle=False, callbacks=[watch])
    assert [layer.name for layer in watch.stats] == ["0 (Linear)", "1 (ReLU)", "2.0 (Linear)"]
    linear, relu, _ = watch.stats
    assert linear.means[0] == pytest.approx(first.mean(), rel=1e-5) and linear.deviations[0] == pytest.approx(first.std(), rel=1e-5)
    rectified = np.maximum(first, 0)
    assert relu.near_zero[0] == pytest.approx((rectified < 0.5).mean())
    assert relu.histograms[0].tolist() == [int(((rectified >= k / 2) & (rectified < (k + 1) / 2)).sum()) for k in range(8)]
    sizes = np.abs(first)
    assert linear.near_zero[0] == pytest.approx((sizes < 0.5).mean()) and (first < -0.5).any()
    assert linear.histograms[0].tolist() == [int(((sizes >= k / 2) & (sizes < (k + 1) / 2)).sum()) for k in range(8)]
    assert all(len(values) == 3 for layer in watch.stats for values in (layer.means, layer.deviations, layer.histograms, layer.near_zero))


def test_training_steps_alone_are_noted_and_the_hooks_go_away() -> None:
    net, watch = model(), ActivationStats()
    x, y = data()
    learner = Learner(net, "mse", "sgd", lr=0.05, progress=False, callbacks=[watch])
    learner.fit(x, y, epochs=2, batch_size=16, validation=(x, y))
    assert len(watch.stats[0].means) == 2 * 4
    learner.predict(x)
    net(gradus.tensor(x))
    assert len(watch.stats[0].means) == 2 * 4
    assert not any(layer._hooks for layer in net.modules())
    learner.fit(x, y, epochs=1, batch_size=16)
    assert len(watch.stats[0].means) == 4, "a new fit begins anew"


def test_watching_changes_nothing() -> None:
    x, y = data()
    losses = []
    for callbacks in ([], [ActivationStats()]):
        gradus.manual_seed(1)
        learner = Learner(model(), "mse", "adam", lr=0.01, progress=False, callbacks=callbacks)
        losses.append(learner.fit(x, y, epochs=3, batch_size=16)["loss"])
    assert losses[0] == losses[1]


def test_chosen_layers_and_a_dead_one() -> None:
    net = model()
    with gradus.no_grad():
        net[0].bias.fill_(-100.0)  # no input gets through the ReLU any more
    watch = ActivationStats([net[1]])
    x, y = data()
    Learner(net, "mse", "sgd", lr=0.05, progress=False).fit(x, y, epochs=1, batch_size=16, callbacks=[watch])
    assert [layer.name for layer in watch.stats] == ["1 (ReLU)"]
    assert watch.stats[0].near_zero == [1.0] * 4 and watch.stats[0].means == [0.0] * 4


def test_refusals() -> None:
    x, y = data()
    for options in ({"bins": 0}, {"bins": 1.5}, {"high": 0.0}, {"high": float("inf")}, {"high": float("nan")}):
        with pytest.raises(UsageError, match="at least one bin"):
            ActivationStats(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not in the model"):
        Learner(model(), "mse", progress=False).fit(x, y, epochs=1, callbacks=[ActivationStats([nn.ReLU()])])
    with pytest.raises(UsageError, match="nothing was watched"):
        ActivationStats().plot()


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need the extra plot")
    watch = ActivationStats()
    x, y = data()
    Learner(model(), "mse", "sgd", lr=0.05, progress=False).fit(x, y, epochs=4, batch_size=16, callbacks=[watch])
    lines = watch.plot(tmp_path / "lines.png")
    assert [len(panel.get_lines()) for panel in lines.axes] == [3, 3, 3]
    assert lines.axes[1].get_lines()[2].get_ydata().tolist() == watch.stats[2].deviations
    columns = watch.plot_histograms(tmp_path / "columns.png")
    assert [panel.images[0].get_array().shape for panel in columns.axes if panel.get_visible()] == [(40, 16)] * 3
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("lines.png", "columns.png"))
