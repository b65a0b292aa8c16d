"""What a cell prints is one text. A kernel sends it in pieces whenever its clock strikes, also in the middle of a line or of a table;
MyST-NB's own way of joining them begins a new line at each seam and drops empty lines before it."""

from __future__ import annotations

import myst_nb.core.render
from nbformat import NotebookNode
from sphinx.application import Sphinx


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with one text for each stream, at the place of its first piece, as it was written."""
    kept: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output["output_type"] == "stream" and output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
            continue
        if output["output_type"] == "stream":
            output = streams[output["name"]] = NotebookNode(output)  # a copy: the notebook keeps its pieces
        kept.append(output)
    return kept


def setup(app: Sphinx) -> dict[str, bool]:
    """Put in the place of MyST-NB's own."""
    myst_nb.core.render.coalesce_streams = joined
    return {"parallel_read_safe": True, "parallel_write_safe": True}
