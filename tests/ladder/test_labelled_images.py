"""Images in batches: every one once, the tail counted, all normalised alike, and MNIST's bytes in their order."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from gradus.ladder.labelled_images import DataLoader, DataSet, invented_images, load_data, normalize, normalize_row_wise


def test_normalizing() -> None:
    rng = np.random.default_rng(7)
    train, valid = 5 + 3 * rng.standard_normal((50, 8)), 9 + rng.standard_normal((20, 8))
    done = normalize(train)
    assert abs(done.mean()) < 1e-12 and abs(done.std() - 1) < 1e-12
    np.testing.assert_allclose(normalize(valid, like=train), (valid - train.mean()) / train.std())
    rows = normalize_row_wise(np.vstack([train, np.full((1, 8), 4.0)]))
    np.testing.assert_allclose(rows[:-1].mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(rows[:-1].std(1), 1, rtol=1e-12)
    assert not rows[-1].any()


def test_data_set_batches_shuffles_and_counts_the_tail() -> None:
    x = np.arange(25)
    for batch_size, sizes in ((10, [10, 10, 5]), (5, [5] * 5), (None, [25]), (40, [25])):
        data = DataSet(x, 10 * x, batch_size)
        assert [len(a) for a, _ in data] == sizes and len(data) == len(sizes)
        assert np.array_equal(np.concatenate([a for a, _ in data]), x)
    shuffled = DataSet(x, 10 * x, 10, rng=3)
    rounds = [np.concatenate([a for a, b in shuffled if np.array_equal(b, 10 * a)]) for _ in range(2)]
    for order in rounds:
        assert not np.array_equal(order, x) and np.array_equal(np.sort(order), x)
    assert not np.array_equal(*rounds)
    with pytest.raises(ValueError, match="25 inputs, but 24 targets"):
        DataSet(x, x[1:])
    assert len(DataSet(x[:0], x[:0])) == 0
    with pytest.raises(ValueError, match="at least one example, not 0"):
        DataSet(x, x, batch_size=0)


def test_data_loader_normalizes_both_sets_alike() -> None:
    images = invented_images(200, 50, rng=1)
    loader = DataLoader(images, batch_size=64)
    mean, std = images.x_train.mean(), images.x_train.std()
    [(x, y)] = loader.get_validation_data()
    np.testing.assert_allclose(x, (images.x_valid - mean) / std, rtol=1e-5, atol=1e-6)
    assert np.array_equal(y, images.y_valid)
    assert sum(len(x) for x, _ in loader.get_training_data()) == 200
    assert np.array_equal(DataLoader(images, normalized=False).x_train, images.x_train)


def test_load_data_reads_mnist(mnist) -> None:
    assert [part.shape for part in mnist] == [(60000, 784), (60000, 10), (10000, 784), (10000, 10)]
    assert mnist.y_train[:5].argmax(1).tolist() == [5, 0, 4, 1, 9]
    assert mnist.y_train.sum(0).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(mnist.x_train.mean() - 0.1307) < 1e-4 and mnist.x_train.max() == 1.0


def test_load_data_reads_the_bytes_in_their_order(tmp_path) -> None:
    for name, header, body in (
        ("train-images-idx3-ubyte.gz", 16, bytes(range(256)) * 6 + bytes(32)),
        ("train-labels-idx1-ubyte.gz", 8, bytes([3, 9])),
        ("t10k-images-idx3-ubyte.gz", 16, bytes(784)),
        ("t10k-labels-idx1-ubyte.gz", 8, bytes([0])),
    ):
        (tmp_path / name).write_bytes(gzip.compress(bytes(header) + body))
    images = load_data(tmp_path)
    assert images.x_train.shape == (2, 784) and images.x_train[0, 255] == 1.0 and images.x_train[1, 0] == np.float32(784 % 256) / 255
    assert images.y_train.argmax(1).tolist() == [3, 9] and images.y_valid.tolist() == [[1.0] + [0.0] * 9]
