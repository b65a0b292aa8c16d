"""A variational autoencoder of layers with `.g`: a graph that forks, and joins in a random draw.

Two encoders read an image: one gives the mean μ of a code, the other the logarithm of its deviation
σ. A code z = μ + σ ε is drawn, and a decoder paints the image again. The loss is what the painting
lacks plus what the codes' distribution lacks to be standard normal.

Sources: Diederik Kingma, Max Welling, "Auto-Encoding Variational Bayes", 2013; M. Heinzer, the
repository NeuralNetworkFromScratch that belongs to "Creating a Neural Network from scratch -
Part I", 2020. Its attempt ends with the updates commented out: several of its values and slopes are
wrong, as `slips` shows.

Letters: N images, K numbers of a code; x image (N, 784) of grey values from 0 to 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.functions_and_gradients import Tensor, add_g
from gradus.ladder.layers import Layer, Linear, Loss, Model, Random, ReLU


class Exponential(Layer):
    """y = exp(x), and x.g += y.g * y.

    >>> Exponential()(np.zeros(2))
    Tensor([1., 1.])
    """

    def __repr__(self) -> str:
        return "(Exponential)"

    def forward(self, x: Any) -> np.ndarray:
        return np.exp(x)

    def bwd(self, y: Tensor, x: Any) -> None:
        add_g(x, np.asarray(y.g) * np.asarray(y))


class Reparameterization(Layer):
    """y = mean + deviation * ε with ε ~ N(0, 1): a random draw through which a gradient passes.

    mean.g += g, deviation.g += g ε.

    >>> layer = Reparameterization(rng=0)
    >>> layer(np.ones((2, 3)), np.zeros((2, 3))).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, rng: Random = None) -> None:
        self.rng = np.random.default_rng(rng)

    def __repr__(self) -> str:
        return "(Reparameterization)"

    def forward(self, mean: Any, deviation: Any) -> np.ndarray:
        self.epsilon = self.rng.standard_normal(mean.shape).astype(mean.dtype)
        return mean + deviation * self.epsilon

    def bwd(self, y: Tensor, mean: Any, deviation: Any) -> None:
        g = np.asarray(y.g)
        add_g(mean, g)
        add_g(deviation, g * self.epsilon)


class KLDivergenceStandardNormal(Layer):
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ_k (μ² + σ² - 1 - log σ²), mean over the examples.

    It takes μ and log σ, both (N, K). Gradients: μ / N and (σ² - 1) / N.

    >>> float(KLDivergenceStandardNormal()(np.array([[2.0, 0.0]]), np.zeros((1, 2))))
    2.0
    """

    def __repr__(self) -> str:
        return "Loss: KL Divergence from the Standard Normal"

    def forward(self, mean: Any, log_deviation: Any) -> np.ndarray:
        m, s = np.asarray(mean), np.asarray(log_deviation)
        return np.asarray((m * m + np.exp(2 * s) - 1 - 2 * s).sum() / (2 * len(m)))

    def backward(self, gradient: Any = 1.0) -> None:
        super().backward(np.asarray(gradient, self.y.dtype))

    def bwd(self, y: Tensor, mean: Any, log_deviation: Any) -> None:
        g = np.asarray(y.g) / len(mean)
        add_g(mean, g * np.asarray(mean))
        add_g(log_deviation, g * (np.exp(2 * np.asarray(log_deviation)) - 1))


class PixelCrossEntropy(Loss):
    """Binary cross-entropy of sigmoid(y) and grey values: Σ (log(1 + exp(y)) - t y) / N.

    It is summed over the pixels, and the mean over the images.

    >>> float(PixelCrossEntropy()(np.zeros((1, 2)), np.ones((1, 2)))) == 2 * math.log(2)
    True
    """

    def __repr__(self) -> str:
        return "Loss: Binary Cross-Entropy of Pixels"

    def forward(self, output: np.ndarray, target: np.ndarray) -> np.floating:
        return (np.logaddexp(0, output) - target * output).sum(dtype=output.dtype) / len(output)

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        return (np.exp(-np.logaddexp(0, -output)) - target).astype(output.dtype) / len(output)


class Parts(NamedTuple):
    """The loss of an autoencoder and what it is made of."""

    reconstruction: float
    divergence: float

    @property
    def loss(self) -> float:
        return self.reconstruction + self.divergence


class VariationalAutoencoder:
    """x -> (μ, log σ) -> z -> x again.

    The two encoders are pixels-hidden-code, the decoder is code-hidden-pixels.

    >>> model = VariationalAutoencoder(rng=0)
    >>> parts = model(np.zeros((2, 784), np.float32))
    >>> model.backward(); model.update(0.001); model.sample(3, rng=0).shape
    (3, 784)
    """

    def __init__(
        self,
        pixels: int = 784,
        hidden: int = 50,
        code: int = 10,
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        rng = np.random.default_rng(rng)

        def network(first: int, last: int) -> Model:
            narrow = Linear(first, hidden, rng, dtype=dtype)
            return Model([narrow, ReLU(), Linear(hidden, last, rng, dtype=dtype)])

        self.mean, self.log_deviation = network(pixels, code), network(pixels, code)
        self.decoder = network(code, pixels)
        for encoder in (self.mean, self.log_deviation):  # codes start near the standard normal
            encoder.layers[-1].weight *= 0.1  # type: ignore[attr-defined]
        self.exponential, self.draw = Exponential(), Reparameterization(rng)
        self.pixel_loss, self.divergence = PixelCrossEntropy(), KLDivergenceStandardNormal()
        self.code, self.dtype = code, dtype

    def __call__(self, x: np.ndarray) -> Parts:
        """Encode, draw, decode; the loss of the images x (N, pixels)."""
        mean, log_deviation = self.mean(x), self.log_deviation(x)
        painted = self.decoder(self.draw(mean, self.exponential(log_deviation)))
        reconstruction = float(self.pixel_loss(painted, x))
        return Parts(reconstruction, float(self.divergence(mean, log_deviation)))

    def backward(self) -> None:
        """In reverse; μ and log σ, read by draw and divergence, get two gradients each."""
        self.pixel_loss.backward()
        self.divergence.backward()
        for layer in (*reversed(self.decoder.layers), self.draw, self.exponential):
            layer.backward()
        for encoder in (self.mean, self.log_deviation):
            for layer in reversed(encoder.layers):
                layer.backward()

    def update(self, learning_rate: float) -> None:
        """One step downhill for all three networks."""
        for network in (self.mean, self.log_deviation, self.decoder):
            network.update(learning_rate)

    def sample(self, n: int, rng: Random = None) -> np.ndarray:
        """n images that nobody drew: codes from N(0, 1), decoded; (n, pixels) from 0 to 1."""
        z = np.random.default_rng(rng).standard_normal((n, self.code)).astype(self.dtype)
        return np.exp(-np.logaddexp(0, -np.asarray(self.decoder(z))))


def train_autoencoder(
    x: np.ndarray,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: float = 0.01,
    seed: int = 0,
) -> tuple[VariationalAutoencoder, list[Parts]]:
    """The trained model, and the mean parts of the loss of every epoch, each batch before its step.

    >>> model, rows = train_autoencoder(np.eye(20, 784, dtype=np.float32), epochs=3, batch_size=10)
    >>> rows[2].loss < rows[0].loss
    True
    """
    rng = np.random.default_rng(seed)
    model, rows = VariationalAutoencoder(x.shape[1], rng=rng), []
    for _ in range(epochs):
        order, total = rng.permutation(len(x)), np.zeros(2)
        for start in range(0, len(x), batch_size):
            batch = x[order[start : start + batch_size]]
            total += np.array(model(batch)) * len(batch)
            model.backward()
            model.update(learning_rate)
        rows.append(Parts(*(total / len(x)).tolist()))
    return model, rows


class Slip(NamedTuple):
    """Something printed in the source: where, what it gives, what is true."""

    where: str
    printed: float
    true: float


def slips(seed: int = 0) -> list[Slip]:
    """What the repository's autoencoder computes for three numbers, beside what is true."""
    rng = np.random.default_rng(seed)
    mean, variance = rng.standard_normal(3), 1 + rng.random(3)
    epsilon, g = rng.standard_normal(3), rng.standard_normal(3)
    square = (mean**2).sum() + variance.sum() - 3
    deviation = np.sqrt(variance)
    rows = [
        Slip(
            "the divergence, with log(log(Σ σ²)) for Σ log σ²",
            (square - math.log(math.log(variance.sum()))) / 2,
            (square - np.log(variance).sum()) / 2,
        ),
        Slip("its slope by the first mean, the ½ left out", 2 * mean[0], mean[0]),
        Slip(
            "the draw, with the variance for the deviation",
            mean[0] + variance[0] * epsilon[0],
            mean[0] + deviation[0] * epsilon[0],
        ),
        Slip("the draw's slope by the deviation: g instead of g ε", g[0], g[0] * epsilon[0]),
        Slip(
            "the slope of exp: exp(g) instead of g exp(x)",
            math.exp(g[0]),
            g[0] * math.exp(mean[0]),
        ),
    ]
    return [Slip(where, float(printed), float(true)) for where, printed, true in rows]
