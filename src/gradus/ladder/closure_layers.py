"""What people add first to the hundred lines: convolution, pooling, flattening, batch normalisation, softmax and attention, as closures.

Each is a Layer of `closures.py`: forward(X) returns (Y, backward), so that they stand in a Sequential and are trained by a Learner. Public
copies of the hundred lines write convolution and pooling as four nested loops; here a convolution is one matrix product of all windows.

Sources: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, for the form; K. Chellapilla, S. Puri,
P. Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006 (windows as rows of a matrix); S. Ioffe,
C. Szegedy, "Batch Normalization", 2015; A. Vaswani and others, "Attention Is All You Need", 2017.

Letters: N examples, C channels, H and W height and width, T steps, F features; X input, Y output, D gradient of the loss by the output.
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

    def forward(self, X: Any) -> tuple[Any, Backward]:
        return X.reshape(len(X), -1), lambda D: D.reshape(X.shape)


class Softmax(Layer):
    """S = exp(X) / Σ exp(X) along the last axis; backward S (D - Σ D S), no Jacobian formed.

    >>> Softmax().forward(np.zeros((1, 2)))[0]
    array([[0.5, 0.5]])
    """

    def forward(self, X: Any) -> tuple[Any, Backward]:
        S = np.exp(X - X.max(axis=-1, keepdims=True))
        S /= S.sum(axis=-1, keepdims=True)
        return S, lambda D: S * (D - (D * S).sum(axis=-1, keepdims=True))


class Conv2D(Layer):
    """Cross-correlation of X (N, C, H, W) with `outputs` kernels (C, size, size) -> (N, outputs, (H + 2 padding - size) // stride + 1, …).

    Every window becomes a row of a matrix (im2col), which is multiplied by the kernels. Going back, the windows' gradients are added
    where the windows lay, all windows at once for each of the size² places in one.

    >>> Conv2D(1, 8, size=3, padding=1, rng=0).forward(np.zeros((2, 1, 28, 28)))[0].shape
    (2, 8, 28, 28)
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, padding: int = 0, rng: Any = None) -> None:
        super().__init__()
        draws = np.random.default_rng(rng).standard_normal((outputs, inputs, size, size))
        self.weights = self.build_param(draws * np.sqrt(2 / (inputs * size * size)))
        self.bias = self.build_param(np.zeros(outputs))
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, X: Any) -> tuple[Any, Backward]:
        border = ((0, 0), (0, 0), (self.padding, self.padding), (self.padding, self.padding))
        padded, step = np.pad(X, border), self.stride
        windows = sliding_window_view(padded, (self.size, self.size), axis=(2, 3))[:, :, ::step, ::step]
        N, _, high, wide = windows.shape[:4]
        rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * high * wide, -1)
        kernels = self.weights.tensor.reshape(len(self.weights.tensor), -1)

        def backward(D: Any) -> Any:
            D = D.transpose(0, 2, 3, 1).reshape(len(rows), -1)
            self.weights.gradient += (D.T @ rows).reshape(self.weights.tensor.shape)
            self.bias.gradient += D.sum(axis=0)
            back = (D @ kernels).reshape(N, high, wide, -1, self.size, self.size).transpose(4, 5, 0, 3, 1, 2)
            dX = np.zeros_like(padded, dtype=back.dtype)
            for i, j in np.ndindex(self.size, self.size):
                dX[:, :, i : i + step * high : step, j : j + step * wide : step] += back[i, j]
            return dX[:, :, self.padding : self.padding + X.shape[2], self.padding : self.padding + X.shape[3]]

        return (rows @ kernels.T + self.bias.tensor).reshape(N, high, wide, -1).transpose(0, 3, 1, 2), backward


class Pooling2D(Layer):
    """What both poolings share: X (N, C, H, W) in tiles of size × size, and back; what remains at the edges is left out."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size

    def tiles(self, X: Any) -> Any:
        """(N, C, H, W) -> (N, C, H // size, W // size, size²)."""
        k, (N, C, H, W) = self.size, X.shape
        cut = X[:, :, : H // k * k, : W // k * k].reshape(N, C, H // k, k, W // k, k)
        return cut.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H // k, W // k, k * k)

    def untile(self, tiles: Any, shape: tuple[int, ...]) -> Any:
        """The inverse of `tiles`; zero at the edges that were left out."""
        k, (N, C, high, wide) = self.size, tiles.shape[:4]
        X = np.zeros(shape, tiles.dtype)
        X[:, :, : high * k, : wide * k] = (
            tiles.reshape(N, C, high, wide, k, k).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, high * k, wide * k)
        )
        return X


class MaxPooling2D(Pooling2D):
    """The largest of each tile; its gradient goes to the first that is largest.

    >>> MaxPooling2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    def forward(self, X: Any) -> tuple[Any, Backward]:
        tiles = self.tiles(X)
        best = tiles.argmax(axis=-1, keepdims=True)

        def backward(D: Any) -> Any:
            back = np.zeros(tiles.shape, D.dtype)
            np.put_along_axis(back, best, D[..., None], axis=-1)
            return self.untile(back, X.shape)

        return np.take_along_axis(tiles, best, axis=-1)[..., 0], backward


class AvgPooling2D(Pooling2D):
    """The mean of each tile; its gradient is shared out evenly.

    >>> AvgPooling2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    def forward(self, X: Any) -> tuple[Any, Backward]:
        tiles = self.tiles(X)
        return tiles.mean(axis=-1), lambda D: self.untile(np.repeat(D[..., None] / self.size**2, self.size**2, axis=-1), X.shape)


class BatchNormalize(Layer):
    """Y = γ (X - mean) / √(variance + ε) + β, for each feature of (N, F) or channel of (N, C, H, W).

    In training, mean and variance (divided by the count) are those of the batch, and gradients go through them; running ones are kept,
    the variance divided by the count - 1, as PyTorch does. With `training = False` the running ones are used.

    >>> Y, _ = BatchNormalize(1).forward(np.array([[1.0], [3.0]]))
    >>> Y.round(4)
    array([[-1.],
           [ 1.]])
    """

    def __init__(self, features: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gamma, self.beta = self.build_param(np.ones(features)), self.build_param(np.zeros(features))
        self.mean, self.variance = np.zeros(features), np.ones(features)
        self.momentum, self.epsilon, self.training = momentum, epsilon, True

    def forward(self, X: Any) -> tuple[Any, Backward]:
        training, axes = self.training, (0, *range(2, X.ndim))  # all but the features

        def spread(v: Any) -> Any:
            return v.reshape(1, -1, *[1] * (X.ndim - 2))

        mean, variance = (X.mean(axis=axes), X.var(axis=axes)) if training else (self.mean, self.variance)
        if training:
            count = X.size // X.shape[1]
            self.mean = self.mean + self.momentum * (mean - self.mean)
            self.variance = self.variance + self.momentum * (variance * count / max(count - 1, 1) - self.variance)
        scale = spread(self.gamma.tensor / np.sqrt(variance + self.epsilon))
        normal = (X - spread(mean)) / spread(np.sqrt(variance + self.epsilon))

        def backward(D: Any) -> Any:
            self.gamma.gradient += (D * normal).sum(axis=axes)
            self.beta.gradient += D.sum(axis=axes)
            if not training:
                return D * scale
            return scale * (D - spread(D.mean(axis=axes)) - normal * spread((D * normal).mean(axis=axes)))

        return normal * spread(self.gamma.tensor) + spread(self.beta.tensor), backward


class Attention(Layer):
    """Y = softmax(Q Kᵀ / √F) V with Q, K, V = X Wq, X Wk, X Wv: each of T steps reads from all (N, T, F) -> (N, T, F).

    >>> Attention(4, rng=0).forward(np.zeros((2, 3, 4)))[0].shape
    (2, 3, 4)
    """

    def __init__(self, features: int, rng: Any = None) -> None:
        super().__init__()
        rng = np.random.default_rng(rng)
        self.projections = [self.build_param(rng.standard_normal((features, features)) / np.sqrt(features)) for _ in range(3)]
        self.softmax = Softmax()

    def forward(self, X: Any) -> tuple[Any, Backward]:
        Q, K, V = (X @ p.tensor for p in self.projections)
        scale = 1 / np.sqrt(X.shape[-1])
        S, through_softmax = self.softmax.forward(Q @ K.swapaxes(1, 2) * scale)

        def backward(D: Any) -> Any:
            scores = through_softmax(D @ V.swapaxes(1, 2)) * scale
            backs = scores @ K, scores.swapaxes(1, 2) @ Q, S.swapaxes(1, 2) @ D
            for p, back in zip(self.projections, backs):
                p.gradient += np.tensordot(X, back, axes=((0, 1), (0, 1)))
            return sum(back @ p.tensor.T for p, back in zip(self.projections, backs))

        return S @ V, backward
