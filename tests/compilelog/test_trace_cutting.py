"""A trace's events are the same whatever the pieces that it arrives in."""

from __future__ import annotations

import pytest
from trace_files import read, trace


@pytest.mark.parametrize("piece", [4093, 65536])
def test_the_same_events_in_pieces_of_any_size(piece: int) -> None:
    data = trace("03_graph_breaks")
    assert read(data, piece) == read(data, len(data)) != []


def test_the_same_events_byte_by_byte() -> None:
    data = trace("10_fullgraph_error")
    assert read(data, 1) == read(data, len(data)) != []
