"""What people add first: convolution, pooling, flattening, normalisation, softmax and attention.

Each is a Layer of the rung `closures`: forward(x) returns (y, backward), so that they stand in a
Sequential and are trained by a Learner. Public copies of the hundred lines write convolution and
pooling as four nested loops; here a convolution is one matrix product of all windows.

Sources: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, for
the interface; K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks
for Document Processing", 2006 (windows as rows of a matrix); S. Ioffe, C. Szegedy, "Batch
Normalization", 2015; A. Vaswani and others, "Attention Is All You Need", 2017.

Letters: N examples, C channels, H and W height and width, T steps, F features; x input, y output, g
gradient of the loss by the output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gradus.ladder.closures import Backward, Layer


class Flatten(Layer):
    """(N, …) -> (N, product of the rest).

    >>> Flatten().forward(np.zeros((2, 3, 4)))[0].shape
    (2, 12)
    """

    def forward(self, x: Any) -> tuple[Any, Backward]:
        return x.reshape(len(x), -1), lambda g: g.reshape(x.shape)


class Softmax(Layer):
    """y = exp(x) / Σ exp(x) along the last axis; backward y (g - Σ g y), no Jacobian formed.

    >>> Softmax().forward(np.zeros((1, 2)))[0]
    array([[0.5, 0.5]])
    """

    def forward(self, x: Any) -> tuple[Any, Backward]:
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        return y, lambda g: y * (g - (g * y).sum(axis=-1, keepdims=True))


class Conv2D(Layer):
    """Cross-correlation of x (N, C, H, W) with `outputs` kernels (C, size, size).

    The result is (N, outputs, high, wide), with high = (H + 2 padding - size) // stride + 1 and
    wide alike. Every window becomes a row of a matrix (im2col), which is multiplied by the kernels.
    Going back, the windows' gradients are added where the windows lay, all windows at once for each
    of the size² places in one.

    >>> Conv2D(1, 8, size=3, padding=1, rng=0).forward(np.zeros((2, 1, 28, 28)))[0].shape
    (2, 8, 28, 28)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        padding: int = 0,
        rng: Any = None,
    ) -> None:
        super().__init__()
        draws = np.random.default_rng(rng).standard_normal((outputs, inputs, size, size))
        self.weights = self.build_param(draws * np.sqrt(2 / (inputs * size * size)))
        self.bias = self.build_param(np.zeros(outputs))
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Any) -> tuple[Any, Backward]:
        size, step, edge = self.size, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        windows = sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::step, ::step]
        N, C, high, wide = windows.shape[:4]
        rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * high * wide, -1)
        kernels = self.weights.tensor.reshape(len(self.weights.tensor), -1)

        def backward(g: Any) -> Any:
            g = g.transpose(0, 2, 3, 1).reshape(len(rows), -1)
            self.weights.collect((g.T @ rows).reshape(self.weights.tensor.shape))
            self.bias.collect(g.sum(axis=0))
            shares = (g @ kernels).reshape(N, high, wide, C, size, size)
            shares = shares.transpose(4, 5, 0, 3, 1, 2)
            dx = np.zeros_like(padded, dtype=shares.dtype)
            for i, j in np.ndindex(size, size):
                dx[:, :, i : i + step * high : step, j : j + step * wide : step] += shares[i, j]
            return dx[:, :, edge : edge + x.shape[2], edge : edge + x.shape[3]]

        y = (rows @ kernels.T + self.bias.tensor).reshape(N, high, wide, -1)
        return y.transpose(0, 3, 1, 2), backward


class Pooling2D(Layer):
    """What both poolings share: x (N, C, H, W) in tiles of size × size, and back.

    What remains at the edges is left out.
    """

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size

    def tiles(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, H // size, W // size, size²)."""
        k, (N, C, H, W) = self.size, x.shape
        high, wide = H // k, W // k
        cut = x[:, :, : high * k, : wide * k].reshape(N, C, high, k, wide, k)
        return cut.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, high, wide, k * k)

    def untile(self, tiles: Any, shape: tuple[int, ...]) -> Any:
        """The inverse of `tiles`; zero at the edges that were left out."""
        k, (N, C, high, wide) = self.size, tiles.shape[:4]
        squares = tiles.reshape(N, C, high, wide, k, k).transpose(0, 1, 2, 4, 3, 5)
        x = np.zeros(shape, tiles.dtype)
        x[:, :, : high * k, : wide * k] = squares.reshape(N, C, high * k, wide * k)
        return x


class MaxPooling2D(Pooling2D):
    """The largest of each tile; its gradient goes to the first that is largest.

    >>> MaxPooling2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    def forward(self, x: Any) -> tuple[Any, Backward]:
        tiles = self.tiles(x)
        best = tiles.argmax(axis=-1, keepdims=True)

        def backward(g: Any) -> Any:
            shares = np.zeros(tiles.shape, g.dtype)
            np.put_along_axis(shares, best, g[..., None], axis=-1)
            return self.untile(shares, x.shape)

        return np.take_along_axis(tiles, best, axis=-1)[..., 0], backward


class AvgPooling2D(Pooling2D):
    """The mean of each tile; its gradient is shared out evenly.

    >>> AvgPooling2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    def forward(self, x: Any) -> tuple[Any, Backward]:
        places = self.size**2

        def backward(g: Any) -> Any:
            return self.untile(np.repeat(g[..., None] / places, places, axis=-1), x.shape)

        return self.tiles(x).mean(axis=-1), backward


class BatchNormalize(Layer):
    """y = γ (x - mean) / √(variance + ε) + β, by feature of (N, F) or channel of (N, C, H, W).

    In training, mean and variance (divided by the count) are those of the batch, and gradients go
    through them; running ones are kept, the variance divided by the count - 1, as PyTorch does.
    With `training = False` the running ones are used.

    >>> y, _ = BatchNormalize(1).forward(np.array([[1.0], [3.0]]))
    >>> y.round(4)
    array([[-1.],
           [ 1.]])
    """

    def __init__(self, features: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gamma = self.build_param(np.ones(features))
        self.beta = self.build_param(np.zeros(features))
        self.mean, self.variance = np.zeros(features), np.ones(features)
        self.momentum, self.epsilon, self.training = momentum, epsilon, True

    def forward(self, x: Any) -> tuple[Any, Backward]:
        training, axes = self.training, (0, *range(2, x.ndim))  # all but the features

        def spread(v: Any) -> Any:
            return v.reshape(1, -1, *[1] * (x.ndim - 2))

        mean, variance = self.mean, self.variance
        if training:
            mean, variance = x.mean(axis=axes), x.var(axis=axes)
            self.keep_running(mean, variance, count=x.size // x.shape[1])
        deviation = np.sqrt(variance + self.epsilon)
        scale = spread(self.gamma.tensor / deviation)
        normal = (x - spread(mean)) / spread(deviation)

        def backward(g: Any) -> Any:
            self.gamma.collect((g * normal).sum(axis=axes))
            self.beta.collect(g.sum(axis=axes))
            if not training:
                return g * scale
            along = normal * spread((g * normal).mean(axis=axes))
            return scale * (g - spread(g.mean(axis=axes)) - along)

        return normal * spread(self.gamma.tensor) + spread(self.beta.tensor), backward

    def keep_running(self, mean: Any, variance: Any, count: int) -> None:
        """Move the running mean and variance a little towards those of a batch of count numbers."""
        unbiased = variance * count / max(count - 1, 1)
        self.mean = self.mean + self.momentum * (mean - self.mean)
        self.variance = self.variance + self.momentum * (unbiased - self.variance)


class Attention(Layer):
    """y = softmax(Q Kᵀ / √F) V with Q, K, V = x Wq, x Wk, x Wv: (N, T, F) -> (N, T, F).

    Each of the T steps reads from all.

    >>> Attention(4, rng=0).forward(np.zeros((2, 3, 4)))[0].shape
    (2, 3, 4)
    """

    def __init__(self, features: int, rng: Any = None) -> None:
        super().__init__()
        draws = np.random.default_rng(rng).standard_normal((3, features, features))
        self.projections = [self.build_param(w / np.sqrt(features)) for w in draws]
        self.softmax = Softmax()

    def forward(self, x: Any) -> tuple[Any, Backward]:
        Q, K, V = (x @ p.tensor for p in self.projections)
        scale = 1 / np.sqrt(x.shape[-1])
        weights, through_softmax = self.softmax.forward(Q @ K.swapaxes(1, 2) * scale)

        def backward(g: Any) -> Any:
            scores = through_softmax(g @ V.swapaxes(1, 2)) * scale
            shares = scores @ K, scores.swapaxes(1, 2) @ Q, weights.swapaxes(1, 2) @ g
            for p, share in zip(self.projections, shares):
                p.collect(np.tensordot(x, share, axes=((0, 1), (0, 1))))
            return sum(share @ p.tensor.T for p, share in zip(self.projections, shares))

        return weights @ V, backward
