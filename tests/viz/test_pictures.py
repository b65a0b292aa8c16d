"""Pictures: what they show, for one epoch as for two hundred, and that no text is cut off or drawn over another."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from gradus.data import digits  # noqa: E402
from gradus.errors import LabelError, MissingExtraError, ShapeError, UsageError  # noqa: E402
from gradus.viz import confusion_matrix, draw_confusion, draw_curves, draw_learning_rate, draw_mistakes  # noqa: E402
from gradus.viz.mistakes import worst_first  # noqa: E402

NAMES = [str(i) for i in range(10)]
LONG = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def history(epochs: int) -> dict[str, list[float]]:
    steps = np.arange(1, epochs + 1)
    loss, accuracy = 2.3 * np.exp(-steps / 20) + 0.1, 1 - 0.9 * np.exp(-steps / 5)
    columns = {
        "epoch": steps,
        "loss": loss,
        "accuracy": accuracy,
        "val_loss": loss + 0.1,
        "val_accuracy": accuracy - 0.02,
        "lr": loss,
        "seconds": loss,
    }
    return {name: list(values) for name, values in columns.items()}


def predictions(wrong: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real test images, their labels, and probabilities of which ``wrong`` are."""
    _, _, images, labels = (part.numpy() for part in digits())
    probabilities = np.full((len(labels), 10), 0.02)
    answers = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 10, labels)
    probabilities[np.arange(len(labels)), answers] = np.linspace(0.9, 0.5, len(labels))
    return images, labels, probabilities


def texts_that_collide(figure) -> list[str]:
    """Texts that leave the picture or lie over each other."""
    figure.savefig(io.BytesIO(), format="png")
    renderer = figure.canvas.get_renderer()
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = axis.get_major_ticks() + axis.get_minor_ticks()
            unseen |= {
                label for tick in ticks for label in (tick.label1, tick.label2) if not axes.axison or not low <= tick.get_loc() <= high
            }
    shown = [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text().strip() and text not in unseen]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown if not text.get_rotation() % 90]
    wide, high = figure.get_size_inches() * figure.dpi
    outside = [text for text, box in boxes if box.x0 < -1 or box.y0 < -1 or box.x1 > wide + 1 or box.y1 > high + 1]
    touching = [
        f"{a} / {b}" for (a, box), (b, other) in itertools.combinations(boxes, 2) if box.shrunk(0.9, 0.8).overlaps(other) and a != b
    ]
    return outside + touching


@pytest.mark.parametrize("epochs", [1, 2, 10, 200])
def test_curves(epochs: int, tmp_path: Path) -> None:
    figure = draw_curves(history(epochs), tmp_path / "curves.png", "digits")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy"]
    for axes, name in zip(figure.axes, ("loss", "accuracy")):
        for line, column in zip(axes.lines, (name, f"val_{name}"), strict=True):
            np.testing.assert_allclose(line.get_ydata(), history(epochs)[column])
            assert line.get_marker() == ("None" if epochs == 200 else "o")
            low, high = axes.get_ylim()
            assert low <= min(line.get_ydata())
            assert max(line.get_ydata()) <= high
        assert all(tick == int(tick) for tick in axes.get_xticks())
        assert axes.get_xlabel() == "epoch"
    assert texts_that_collide(figure) == []
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_without_validation_and_over_magnitudes() -> None:
    figure = draw_curves({"epoch": [1, 2, 3], "loss": [1000.0, 10.0, 0.1]})
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize("epochs, drawn", [(1, True), (3, True), (4, False)])
def test_few_epochs_have_their_steps_behind_them(epochs: int, drawn: bool) -> None:
    steps = list(np.linspace(3.0, 0.01, 50 * epochs))
    figure = draw_curves(history(epochs), step_losses=steps)
    loss, accuracy = figure.axes
    assert len(accuracy.lines) == 2
    assert len(loss.lines) == 2 + drawn
    if drawn:
        line, (low, high) = loss.lines[-1], loss.get_ylim()
        assert list(line.get_ydata()) == steps
        assert line.get_xdata()[[0, 49, -1]].tolist() == pytest.approx([0.02, 1.0, epochs])
        assert low <= min(steps) and max(steps) <= high
        assert len(loss.get_legend().get_texts()) == 3
    assert all(tick == int(tick) for tick in loss.get_xticks())
    assert texts_that_collide(figure) == []


@pytest.mark.parametrize("epochs", [1, 3, 40])
def test_the_lowest_loss_with_smoothed_labels_is_a_thin_dashed_line(epochs: int) -> None:
    figure = draw_curves(history(epochs), step_losses=[2.0] * epochs, lowest_loss=0.05)
    loss, accuracy = figure.axes
    (line,) = [line for line in loss.lines if line.get_label().startswith("lowest possible with label smoothing")]
    assert set(line.get_ydata()) == {0.05} and line.is_dashed() and line.get_linewidth() < 1
    assert line.get_label() in [text.get_text() for text in loss.get_legend().get_texts()]
    assert loss.get_ylim()[0] <= 0.05 and len(accuracy.lines) == 2
    assert texts_that_collide(figure) == []


def test_no_epoch_no_curves() -> None:
    with pytest.raises(UsageError, match="no curves"):
        draw_curves({})


@pytest.mark.parametrize("names", [NAMES, LONG])
def test_confusion(names: list[str], tmp_path: Path) -> None:
    _, labels, probabilities = predictions(7)
    matrix = confusion_matrix(labels, probabilities.argmax(1), 10)
    assert matrix.sum() == 360
    assert np.trace(matrix) == 353
    assert matrix[labels[0], (labels[0] + 1) % 10] >= 1
    figure = draw_confusion(matrix, names, tmp_path / "confusion.png", "digits")
    axes = figure.axes[0]
    assert sorted(int(text.get_text()) for text in axes.texts) == sorted(matrix[matrix > 0].tolist())
    assert "353 of 360 right" in axes.get_title(loc="left")
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert texts_that_collide(figure) == []


def test_confusion_of_nonsense() -> None:
    with pytest.raises(ShapeError):
        confusion_matrix([0, 1], [0], 2)
    with pytest.raises(LabelError):
        confusion_matrix([0, 2], [0, 1], 2)


def test_worst_first() -> None:
    _, labels, probabilities = predictions(7)
    assert worst_first(labels, probabilities).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("wrong, names", [(0, NAMES), (7, NAMES), (7, LONG), (100, LONG)])
def test_mistakes(wrong: int, names: list[str], tmp_path: Path) -> None:
    images, labels, probabilities = predictions(wrong)
    figure = draw_mistakes(images, labels, probabilities, names, tmp_path / "mistakes.png", "digits")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 24
    assert sum("taken for" in title for title in titles) == min(wrong, 24)
    if wrong:
        assert titles[0].startswith(f"true {names[labels[0]]}\ntaken for {names[(labels[0] + 1) % 10]}")
        assert titles[0].endswith("90 %")
        np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[0])
    assert f"{wrong} of 360 test images misread" in figure.get_suptitle()
    assert texts_that_collide(figure) == []


def test_mistakes_of_few_images() -> None:
    images, labels, probabilities = (part[:2] for part in predictions(1))
    assert [axes.get_title() != "" for axes in draw_mistakes(images, labels, probabilities, NAMES).axes] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    with pytest.raises(ShapeError):
        draw_mistakes(images, labels[:1], probabilities, NAMES)


def test_learning_rate(tmp_path: Path) -> None:
    rates = np.geomspace(1e-6, 10, 100)
    losses = 2.3 - 2 / (1 + np.exp(-2 * (np.log10(rates) + 2))) + np.where(rates > 0.5, 9 * rates, 0)
    figure = draw_learning_rate(rates, losses, 0.01, tmp_path / "lr.png")
    assert figure.axes[0].get_xscale() == "log"
    assert "0.01" in figure.axes[0].texts[0].get_text()
    assert texts_that_collide(figure) == []


def test_no_global_state_of_pyplot() -> None:
    before = dict(matplotlib.rcParams)
    draw_curves(history(3))
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_without_matplotlib_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'pip install "gradus-dl\[plot\]"'):
        draw_curves(history(3))
