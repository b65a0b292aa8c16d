"""What a cell prints comes out as it was printed, wherever the kernel cut it."""

from __future__ import annotations

import importlib
import sys

import pytest

pytest.importorskip("myst_nb", reason="Sphinx builds the book: the extra `book`")
streams = importlib.import_module("building.streams")


def test_pieces_are_one_text() -> None:
    node = streams.NotebookNode
    text = "   x  f(x)\n\n   1   0.5\n"
    for cut in range(1, len(text)):
        pieces = [node(output_type="stream", name="stdout", text=piece) for piece in (text[:cut], text[cut:])]
        picture = node(output_type="display_data", data={})
        warning = node(output_type="stream", name="stderr", text="!")
        found = streams.joined([pieces[0], picture, warning, pieces[1]])
        assert [output["output_type"] for output in found] == ["stream", "display_data", "stream"]
        assert (found[0]["text"], found[2]["text"]) == (text, "!")
        assert pieces[0]["text"] == text[:cut]  # left alone


def test_it_takes_the_place_of_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    render = sys.modules["myst_nb.core.render"]
    monkeypatch.setattr(render, "coalesce_streams", render.coalesce_streams)  # put back at the end
    streams.setup(None)
    assert render.coalesce_streams is streams.joined
    assert "coalesce_streams" in render.MditRenderMixin._get_nb_code_cell_outputs.__code__.co_names
