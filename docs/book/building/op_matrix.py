"""The op matrix as a table: what `python -m gradus.testing.matrix` prints."""

from __future__ import annotations

from gradus.testing.columns import COLUMNS
from gradus.testing.matrix import rows


def page() -> str:
    """A list-table with a row for each op; reasons for what is not there are numbered and follow it."""
    reasons: dict[str, int] = {}
    table = rows()
    lines = [".. list-table::", "   :header-rows: 1", "   :class: matrix", "", "   * - op", "     - family"]
    lines += [f"     - {column}" for column in COLUMNS]
    for name, family, cells in table:
        lines += [f"   * - ``{name}``", f"     - {family}"]
        for cell in cells.values():
            assert not cell.startswith("FAILS"), f"{name}: {cell}"
            lines.append("     - " + ("yes" if cell == "yes" else f"\\({reasons.setdefault(cell, len(reasons) + 1)})"))
    yes = sum(cell == "yes" for _, _, cells in table for cell in cells.values())
    count = f"{len(table)} ops, {len(COLUMNS)} columns, {yes} checks passed while this page was made.\n\n"
    return count + "\n".join(lines) + "\n\n" + "\n".join(f"\\({number}) {reason}\n" for reason, number in reasons.items()) + "\n"
