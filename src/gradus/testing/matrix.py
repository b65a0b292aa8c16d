"""The op matrix: every op against every interpreter of its record. Run ``python -m gradus.testing.matrix``."""

from __future__ import annotations

import sys

from gradus import ops
from gradus.primitive import REGISTRY
from gradus.testing.columns import COLUMNS, check_column


def rows() -> list[tuple[str, str, dict[str, str]]]:
    """(op, family, column -> "yes", a reason, or "FAILS: …") for all ops, by family."""
    assert ops, "importing the vocabulary fills the registry"
    table = []
    for record in sorted(REGISTRY.values(), key=lambda record: (record.family, record.name)):
        cells = {}
        for column in COLUMNS:
            try:
                cells[column] = check_column(record, column)
            except AssertionError as error:
                cells[column] = f"FAILS: {error}"
        table.append((record.name, record.family, cells))
    return table


def text() -> str:
    """The matrix as a table; reasons are numbered and listed below it."""
    reasons: dict[str, int] = {}
    lines = [f"{'op':<22}{'family':<13}" + "".join(f"{column:<14}" for column in COLUMNS)]
    failures = []
    for name, family, cells in rows():
        shown = []
        for cell in cells.values():
            if cell == "yes":
                shown.append("yes")
            elif cell.startswith("FAILS"):
                shown.append("FAILS")
                failures.append(cell)
            else:
                shown.append(f"- ({reasons.setdefault(cell, len(reasons) + 1)})")
        lines.append(f"{name:<22}{family:<13}" + "".join(f"{cell:<14}" for cell in shown))
    lines += ["", *(f"({number}) {reason}" for reason, number in reasons.items()), *failures]
    return "\n".join(lines)


if __name__ == "__main__":
    table = text()
    print(table)
    sys.exit(1 if "FAILS" in table else 0)
