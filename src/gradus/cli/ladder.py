"""``gradus ladder``: experiments, each a table and a picture, with the text that it follows and where that text was wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

import gradus
from gradus.cli.exhibits import Exhibit, Table, show
from gradus.compiler.tiers import kernels_installed
from gradus.errors import UsageError
from gradus.ladder import (
    backprop,
    classification,
    closures_at_work,
    descent,
    engines,
    initialisation_at_work,
    layers_at_work,
    matmul_timings,
)
from gradus.ladder.broadcasting import explain_broadcasting
from gradus.ladder.complex_step import make_network
from gradus.ladder.labelled_images import Images, load_data
from gradus.viz import ladder as pictures
from gradus.viz.backprop import draw_backprop, picture_of, short, subscripts
from gradus.viz.backprop_page import step_texts, write_page
from gradus.viz.curves import draw_curves

FOUNDATIONS = '"Building the foundations of Deep Learning from scratch"'
HUNDRED_LINES = 'J. Eisenschlos, "Neural Networks in 100 lines of pure Python"'
ACTIVATIONS = {"linear": "none", "relu": "ReLU", "shifted_relu": "ReLU − ½"}
LOSSES = {"MSE": "squared error (MSE)", "MSES": "squared error behind a softmax (MSES)", "CrossEntropy": "cross-entropy"}
CHAPTER = 'J. Howard, S. Gugger, "Deep Learning for Coders", chapter 17: "A Neural Net from the Foundations"'
HEINZER = 'M. Heinzer, "Creating a Neural Network from scratch - Part I"'
DRAWN = ("plain normal", "narrow uniform", "Xavier normal", "Kaiming normal")  # the uniform twins of two of them lie upon them
MOST_DIGITS = 18  # of a length: what is longer fits into no memory


def matrix_products(seed: int) -> Exhibit:
    """(5, 784) @ (784, 10) in every way, from loops over lists to the library."""
    found = matmul_timings.timings(seed=seed)
    rows = [(row.name, pictures.readable(row.seconds), pictures.times(row.ratio)) for row in found]
    return Exhibit(
        "A matrix product, (5, 784) @ (784, 10), from three loops to the library",
        CHAPTER,
        ("way", "time", "times as fast"),
        rows,
        ("einsum is not always the fastest: without its own plan NumPy walks it element by element",),
        lambda path: pictures.draw_times({row.name: row.seconds for row in found}, path, "A matrix product, (5, 784) @ (784, 10)"),
    )


def broadcasting(a: str, b: str) -> Exhibit:
    """How two shapes meet, axis by axis."""
    explanation = explain_broadcasting(shape_of(a), shape_of(b))
    rows = [[str(row.axis), *("" if n is None else str(n) for n in (row.a, row.b, row.result)), row.why] for row in explanation.rows]
    remark = f"the result has shape {explanation.shape}" if explanation.shape is not None else f"they do not fit: {explanation.error}"
    return Exhibit(f"{shape_of(a)} meets {shape_of(b)}", CHAPTER, ("axis", "a", "b", "result", "why"), rows, (remark,), None)


def shape_of(text: str) -> tuple[int, ...]:
    """``"64,3,1"`` as a shape.

    Raises:
        UsageError: a part is no whole number from 0 that a length can be.
    """
    parts = [part.strip() for part in text.strip("()[] ").replace("x", ",").split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts):
        raise UsageError(
            "a shape is made of whole numbers",
            got=text if len(text) < 60 else f"{text[:60]}…",
            wanted="lengths such as 64,3,1",
            fix="gradus ladder broadcast 2,3 3",
            where="",
        )
    return tuple(int(part) for part in parts)


def initial_weights(seed: int) -> Exhibit:
    """The spread of activations by depth under each law of the weights."""
    found = {(law, ACTIVATIONS[name]): profile for (law, name), profile in initialisation_at_work.profiles(seed=seed).items()}
    at = (1, 10, 50)
    rows = [(law, activation, *(f"{profile[k].std:.3g}" for k in at)) for (law, activation), profile in found.items()]
    by_activation: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for (law, activation), profile in found.items():
        if law in DRAWN:
            by_activation.setdefault(activation, {})[law] = [(row.layer, row.std) for row in profile]
    return Exhibit(
        "The spread of activations after 1, 10 and 50 layers of width 100",
        f"{FOUNDATIONS}; {CHAPTER}",
        ("law of the weights", "activation", *(f"layer {k}" for k in at)),
        rows,
        (
            "narrow: U[-1/√n, 1/√n], printed as Xavier's law, has variance 1/(3n): the spread shrinks by 0.577 a layer; right is √(3/n)",
            "Glorot's law is Xavier's with the mean of inputs and outputs for n: the same between layers of one width",
            "ReLU halves the mean square, not the spread: Kaiming's factor is √2",
        ),
        lambda path: pictures.draw_depths(by_activation, path, "Exploding, vanishing, and just right"),
    )


def three_losses(seed: int) -> Exhibit:
    """The same network under three losses."""
    data, source = some_images(2000)
    found = layers_at_work.compare_losses(data, seed=seed)
    rows = [(name, f"{e[0].valid_accuracy:.1%}", f"{e[9].valid_accuracy:.1%}", f"{e[-1].valid_accuracy:.1%}") for name, e in found.items()]
    curves = {LOSSES[name]: [epoch.valid_accuracy for epoch in epochs] for name, epochs in found.items()}
    return Exhibit(
        f"Three losses on {source}: share of right answers on other images after 1, 10 and 50 epochs",
        HEINZER,
        ("loss", "1", "10", "50"),
        rows,
        ("MSES is the squared error behind a softmax, whose slope shrinks its gradient: it is the slowest to begin with",),
        lambda path: pictures.draw_lines(curves, path, f"Three losses on {source}", "right answers on other images", share=True),
    )


def overfitting(seed: int) -> Exhibit:
    """A hundred images by heart."""
    data, source = some_images(1000)
    found = layers_at_work.overfit(data, epochs=30 if source == "MNIST" else 100, seed=seed)  # smaller images have smaller gradients
    rows = [(str(k), f"{found[k - 1].loss:.3f}", f"{found[k - 1].accuracy:.0%}") for k in (1, 5, 10, 20, len(found))]
    curves = {
        "epoch": [k + 1.0 for k in range(len(found))],
        "loss": [epoch.loss for epoch in found],
        "accuracy": [epoch.accuracy for epoch in found],
    }
    return Exhibit(
        f"A hundred images of {source} learnt by heart",
        HEINZER,
        ("epoch", "loss", "accuracy"),
        rows,
        ("the text's learning rate of 0.01 works on a gradient summed over the images; on their mean it is 1, which fails for some seeds",),
        lambda path: draw_curves(curves, path, f"A hundred images of {source} learnt by heart"),
    )


def product_of_two(seed: int) -> Exhibit:
    """y = x₁x₂ with one layer and with two."""
    found = closures_at_work.product_of_two(seed=seed)
    rows = [(str(k), f"{found.one_layer[k - 1]:.3f}", f"{found.two_layers[k - 1]:.3f}") for k in (1, 10, 25, 50)]
    return Exhibit(
        "y = x₁x₂: no line comes near it, ten sigmoids do",
        HUNDRED_LINES,
        ("epoch", "one layer", "two layers"),
        rows,
        ("as printed, with targets of shape (N,), the first batch fails: (N, 1) minus (N,) is (N, N)",),
        lambda path: pictures.draw_lines(
            {"one layer": found.one_layer, "two layers": found.two_layers}, path, "y = x₁x₂", "mean squared error"
        ),
    )


def descending(seed: int) -> Exhibit:
    """Ten points on a parabola, ways over a long valley, and two valleys of which each start finds its own."""
    points = descent.descent_on_parabola()
    xs = np.linspace(-1.2, 5.4, 100)
    surface = descent.surface(descent.bowl)
    ways = {f"lr {lr}": descent.descend(descent.bowl_gradient, np.array([-2.6, 1.6]), lr, 30) for lr in (0.02, 0.1, 0.19)}
    found = descent.journeys(seed)
    valleys = {
        name: [journey.way for journey in found if journey.deeper is deeper] for name, deeper in (("deeper", True), ("other", False))
    }
    ends = [(point(j.way[0]), point(j.way[-1]), f"{j.height:.4f}", "deeper" if j.deeper else "other") for j in found]
    grid = descent.surface(descent.landscape, half_width=2.2, points=101)
    return Exhibit(
        "Gradient descent on (x − 2)² + 1 from 5 with a learning rate of 0.1; then on (x² − 1)² + x/4 + 3/2 (y − x/2)²",
        f"{HEINZER}; {HUNDRED_LINES}",
        ("step", "x", "f(x)"),
        [(str(k), f"{x:.4f}", f"{y:.4f}") for k, (x, y) in enumerate(points)],
        (
            "each step leaves 0.8 of the distance; the border is 2 / the greatest curvature, here 1, not 1 for every function",
            f"{len(valleys['other'])} of {len(found)} starts end in the valley that is not the lowest: downhill is a matter of the place",
        ),
        lambda path: pictures.draw_descent(
            np.stack([xs, descent.parabola(xs)], 1), points, surface, ways, grid, valleys, path, "Gradient descent"
        ),
        more=(Table(("start", "end", "height", "valley"), ends),),
    )


def point(p: np.ndarray) -> str:
    """A place on a map.

    >>> point(np.array([1.0, -0.5]))
    '(1.00, -0.50)'
    """
    return f"({p[0]:.2f}, {p[1]:.2f})"


def pass_by_hand(seed: int) -> Exhibit:
    """A pass forward and back through two hidden units, every number written down."""
    found = backprop.step_by_step(seed)
    values, numeric = backprop.gradients(found.steps), backprop.numeric_gradients(found.given)
    assigned = backprop.gradients(backprop.backward(found.nodes, adding=False))
    lost = [f"{subscripts(name)} {short(assigned[name])} instead of {short(g)}" for name, g in values.items() if assigned[name] != g]
    dead = [subscripts(node.name) for node in found.nodes if node.name in ("h1", "h2") and not node.value]
    gap = max(abs(values[name] - numeric[name]) for name in numeric)
    title, source = "Backpropagation, step by step", f'{CHAPTER}, "Gradients and the Backward Pass"; {HUNDRED_LINES}'
    remarks = (
        "the chapter writes inp.g = …, right for a chain; what is used twice, as x here, would keep its last contribution alone: "
        + (" and ".join(lost) or "by chance the same"),
        *(f"{unit} is dead: what arrives at it is multiplied by 0, and nothing behind it learns from this example" for unit in dead),
        f"central differences of the loss differ from these gradients by {gap:.0e} at most",
    )
    forward = [(subscripts(node.name), subscripts(node.formula), node.numbers, short(node.value)) for node in found.nodes]
    drawn = picture_of(found.given._asdict(), found.nodes, found.steps)
    return Exhibit(
        f"{title}: " + ", ".join(f"{subscripts(name)} = {short(value)}" for name, value in found.given._asdict().items()),
        source,
        ("forward", "formula", "in numbers", "value"),
        forward,
        remarks,
        lambda path: draw_backprop(drawn, path, title),
        (0, 1, 2),
        (Table(("backward", "arrives", "local derivative", "product", "gradient so far"), [*map(step_texts, found.steps)], (0, 2, 4)),),
        lambda path: write_page(found, path, title, source, remarks),
    )


def four_engines(seed: int) -> Exhibit:
    """One model, four engines, one table of gradients."""
    # Without Numba: said below, not warned of.
    found = engines.compare(make_network(seed), tier=None if kernels_installed() else "numpy")
    rows = [(row.engine, f"{row.loss:.12f}", *(f"{value:.0e}" for value in row[2:])) for row in found]
    return Exhibit(
        "One network, four engines: the loss, and how far each gradient is from the judge's",
        f"{FOUNDATIONS}; {HUNDRED_LINES}; {CHAPTER}",
        ("engine", "loss", *engines.NAMES),
        rows,
        (
            "the judge differentiates by a complex step and knows no chain rule",
            *(() if kernels_installed() else ("without Numba the compiled step runs on NumPy: the same numbers, more slowly",)),
        ),
        None,
    )


EXPERIMENTS: dict[str, Callable[[int], Exhibit]] = {
    "matmul": matrix_products,
    "init": initial_weights,
    "losses": three_losses,
    "overfit": overfitting,
    "xor-like": product_of_two,
    "descent": descending,
    "backprop": pass_by_hand,
    "gradients": four_engines,
}


def some_images(train: int) -> tuple[Images, str]:
    """MNIST's first images where $GRADUS_DATA has them, else the digits that come with Gradus; and what they are called."""
    folder = Path(os.environ.get("GRADUS_DATA", "")) / "mnist"
    if (folder / "train-images-idx3-ubyte.gz").is_file():
        whole = load_data(folder)
        return Images(whole.x_train[:train], whole.y_train[:train], whole.x_valid[:1000], whole.y_valid[:1000]), "MNIST"
    x, y, x_valid, y_valid = (part.numpy() for part in gradus.data.digits())
    flat = [part.reshape(len(part), -1) / max(1.0, float(part.max())) for part in (x, x_valid)]
    hot = [classification.index_to_one_hot(part, classes=10) for part in (y, y_valid)]
    return Images(flat[0][:train], hot[0][:train], flat[1], hot[1]), "digits"


def run_experiment(name: str, seed: int, out: Path) -> None:
    """Show one experiment, or all of them one after the other."""
    for each in EXPERIMENTS if name == "all" else [name]:
        show(each, EXPERIMENTS[each](seed), out)
    if name == "all":
        show("broadcast", broadcasting("64,3,256,256", "3,1,1"), out)
