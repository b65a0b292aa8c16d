"""What an experiment shows: tables and remarks on the terminal, a picture and a page in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradus.cli.run_folder import make_folder
from gradus.errors import MissingExtraError


class Table(NamedTuple):
    """A further table of an experiment; `left` are the columns that stand to the left."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)


class Exhibit(NamedTuple):
    """What an experiment shows.

    Attributes:
        title: what it is about.
        follows: author and title.
        head, rows: a table of texts.
        remarks: what to see in it, and what the source has otherwise.
        draw: writes the picture to a path; None if there is none.
        left: the columns of the table that stand to the left.
        more: what the first table does not hold.
        page: writes a page for the browser to a path; None if there is none.
    """

    title: str
    follows: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str]
    draw: Callable[[Path], Any] | None
    left: Sequence[int] = (0,)
    more: Sequence[Table] = ()
    page: Callable[[Path], Any] | None = None


def show(name: str, exhibit: Exhibit, out: Path) -> None:
    """Print the tables and the remarks, and leave the picture (and the page) in a folder."""
    print(f"{exhibit.title}\nafter {exhibit.follows}\n")
    print("\n".join(aligned([exhibit.head, *exhibit.rows], exhibit.left)) + "\n")
    for table in exhibit.more:
        print("\n".join(aligned([table.head, *table.rows], table.left)) + "\n")
    for remark in exhibit.remarks:
        print(f"- {remark}")
    for kind, ending, write in (("picture", "png", exhibit.draw), ("page", "html", exhibit.page)):
        if write is not None:
            make_folder(out)
            try:
                write(out / f"{name}.{ending}")
                print(f"{kind}: {out / name}.{ending}")
            except MissingExtraError as error:
                print(f"no {kind}: {error.sentence()}")
    print()


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Rows of texts as lines with columns, some to the left (the first, if not told otherwise) and the others to the right.

    >>> aligned([["way", "time"], ["loops", "1 s"]])
    ['way    time', 'loops   1 s']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [[text.ljust(widths[k]) if k in left else text.rjust(widths[k]) for k, text in enumerate(row)] for row in rows]
    return ["  ".join(line).rstrip() for line in lines]
