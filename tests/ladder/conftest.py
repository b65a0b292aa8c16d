"""The tests of the ladder share a judge, which lies beside them, and the real images of MNIST."""

import sys
from pathlib import Path

import pytest

from gradus.ladder.labelled_images import Images, load_data

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def mnist(request: pytest.FixtureRequest) -> Images:
    return load_data(request.getfixturevalue("gradus_data") / "mnist")
