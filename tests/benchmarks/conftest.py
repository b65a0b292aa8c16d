"""The benchmarks are programs in a folder of their own, whose modules find each other there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
