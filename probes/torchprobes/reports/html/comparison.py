"""Two to many reports as a page: the causes, the matrix, what differs, and what no probe covered."""

from __future__ import annotations

from ..comparison.model import Cell, Comparison, Row
from ..export import SIGNS
from .document import document
from .elements import Markup, el


def comparison_html(comparison: Comparison, masked: str = "") -> bytes:
    """The comparison as one HTML file; `masked` is what the redactor says that it did."""
    return document(
        f"torchdoctor: {len(comparison.platforms)} platforms",
        el("h1", f"{len(comparison.platforms)} platforms"),
        el("ul", (el("li", cause.words) for cause in comparison.causes)),
        el("table", (_row(row) for row in comparison.rows)),
        el("ul", (el("li", words) for words in comparison.uncovered)),
        masked=masked,
    )


def _row(row: Row) -> Markup:
    return el("tr", el("td", row.name), *(el("td", _cell(cell)) for cell in row.cells))


def _cell(cell: Cell) -> str:
    return "not asked" if cell.verdict is None else f"{SIGNS[cell.verdict]} {cell.verdict.value}"
