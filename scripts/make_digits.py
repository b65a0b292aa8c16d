"""Makes src/gradus/data/digits.idx.gz, the digits that come with Gradus, from scikit-learn's copy (pip install scikit-learn).

The file is one IDX array of bytes with a row for each of the 1,797 images, in their original order: 64 grey values from 0 to 16,
the label, and 1 where the row is for the test.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "src" / "gradus" / "data" / "digits.idx.gz"
TEST_ROWS = 360
SEED = 0

def test_counts(labels: np.ndarray) -> np.ndarray:
    """How many rows of each class are for the test: in proportion, the largest remainders rounded up."""
    exact = np.bincount(labels) * TEST_ROWS / len(labels)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: TEST_ROWS - counts.sum()]] += 1
    return counts


def split(labels: np.ndarray) -> np.ndarray:
    """True for the rows of the test, drawn class by class."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    is_test = np.zeros(len(labels), bool)
    for label, count in enumerate(test_counts(labels)):
        is_test[generator.permutation(np.flatnonzero(labels == label))[:count]] = True
    return is_test


def main() -> None:
    """Write the file."""
    source = load_digits()
    rows = np.column_stack([source.data, source.target, split(source.target)])
    header = struct.pack(">4B2I", 0, 0, 8, 2, *rows.shape)
    TARGET.write_bytes(gzip.compress(header + rows.astype(np.uint8).tobytes(), mtime=0))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {len(rows)} images, test rows a class: {test_counts(source.target).tolist()}")


if __name__ == "__main__":
    main()
