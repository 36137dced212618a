"""What each row of a GPU said last: the same as cells and as JSON, whatever changed in between."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.samples import LinkSample
from torchprobes.telemetry.sampling.said import Said, unread

LOST = Absent(state=CellState.LOST, why="it is gone", code=15)


def whole(said: Said) -> dict[str, Any]:
    """All cells, after a look that cells and JSON are the same."""
    words = (said.fast(), said.slow())
    cells = {name: cell for one in words for of_row in one.cells for name, cell in of_row.items()}
    assert json.loads(b"{%b}" % b",".join(one.json for one in words if one.json)) == json.loads(
        msgspec.json.encode(cells)
    )
    return cells


def test_cells_and_json_are_the_newest_of_each_row() -> None:
    said = Said(["power", "use"])
    assert whole(said) == {}
    said.put("name", {"name": 'NVIDIA "Fake"'})
    assert whole(said) == {"name": 'NVIDIA "Fake"'}
    said.put("power", {"power_w": 250.5})
    said.put("ecc", {"ecc_mode": 1, "ecc_pending": UNREAD})
    assert whole(said)["power_w"] == 250.5
    for watts in (251.0, 252.0):
        said.put("power", {"power_w": watts})
        assert whole(said)["power_w"] == watts
    said.put("ecc", {"ecc_mode": 0, "ecc_pending": 1})
    assert whole(said) == {"name": 'NVIDIA "Fake"', "power_w": 252.0, "ecc_mode": 0, "ecc_pending": 1}


def test_a_row_without_cells_leaves_no_hole() -> None:
    said = Said(["power"])
    said.put("nothing", {})
    said.put("ecc", {"ecc_mode": 1})
    said.put("power", {})
    assert whole(said) == {"ecc_mode": 1}


def test_a_gpu_that_is_gone_keeps_what_names_it_and_why_it_never_said_more() -> None:
    denied = Absent(state=CellState.PERMISSION, why="denied", code=4)
    said = Said(["power"])
    said.put("power", {"power_w": 250.5})
    said.put("name", {"name": "H200"})
    said.put("NVLink", {"nvlinks": 1, "links": (LinkSample(link=0, state=1),)})
    said.put("ecc", {"ecc_mode": denied})
    said.lose(LOST)
    gone = {"power_w": LOST, "name": "H200", "nvlinks": LOST, "links": (), "ecc_mode": denied}
    assert whole(said) == gone
    said.lose(LOST)
    assert whole(said) == gone
    said.put("NVLink", {"nvlinks": 1, "links": (LinkSample(link=0, state=0),)})
    assert whole(said)["links"] == (LinkSample(link=0, state=0),), "it is back"


def test_one_cell_by_its_name() -> None:
    said = Said([])
    said.put("name", {"name": "H200"})
    assert said.cell("name") == "H200"
    assert said.cell("serial") == UNREAD


def test_what_could_not_be_read_has_no_parts() -> None:
    assert unread(("power_w", "links", "migs"), LOST) == {"power_w": LOST, "links": (), "migs": ()}
