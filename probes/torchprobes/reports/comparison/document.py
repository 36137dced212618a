"""A comparison as a JSON document: what `compare --json` and `fleet --json` write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from torchprobes import __version__

from .model import Cause, Cell, Comparison, Outlier, Platform, Row, Said, Timeline

SCHEMA: Final = 1

Document = dict[str, Any]


def document(comparison: Comparison, masked: str = "", lines: Timeline | None = None) -> Document:
    """The comparison, in the order in which it is told: causes, rows (those that differ first), outliers, what is not
    covered. `masked` is what a redactor says that it masked. With `lines` the time line of each node, too.
    """
    found: Document = {
        "schema": SCHEMA,
        "torchdoctor": __version__,
        "masked": masked,
        "platforms": [_platform(each) for each in comparison.platforms],
        "causes": [_cause(each, comparison.platforms) for each in comparison.causes],
        "rows": [_row(each) for each in comparison.rows],
        "outliers": [_outlier(each) for each in comparison.outliers],
        "uncovered": list(comparison.uncovered),
        "notes": list(comparison.notes),
    }
    return found if lines is None else {**found, "timeline": msgspec.to_builtins(lines)}


def _platform(platform: Platform) -> Document:
    report = platform.report
    return {
        "label": platform.label,
        "where": platform.where,
        "kind": platform.kind,
        "host": report.machine.host,
        "device": platform.device,
        "devices": list(platform.devices),
        "driver": report.machine.driver,
        "torch": report.target.torch,
        "python": report.target.python_version,
        "tier": report.tier,
        "started": report.started,
        "verdict": report.verdict.value,
        "torchdoctor": report.torchdoctor,
        "unread": dict(platform.inventory.unread),
    }


def _cause(cause: Cause, platforms: tuple[Platform, ...]) -> Document:
    """`values` has one a platform; `read` tells one that is not there (null) from one that nobody could read."""
    values = [
        {"platform": platform.label, "value": value or None, "read": value != ""}
        for platform, value in zip(platforms, cause.values, strict=False)
    ]
    told = {"kind": cause.kind, "name": cause.name, "words": cause.words, "why": cause.why, "sure": cause.sure}
    return {**told, "weight": cause.weight, "explains": list(cause.explains), "values": values}


def _row(row: Row) -> Document:
    told = {"name": row.name, "group": row.group, "change": row.change, "words": list(row.words)}
    return {**told, "weight": row.weight, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> Document | None:
    """None for a probe that was not asked there."""
    if cell.verdict is None:
        return None
    return {
        "verdict": cell.verdict.value,
        "reason": cell.reason,
        "figures": [_said(said) for said in cell.figures],
        "ways": _table(cell.ways),
        "findings": list(cell.findings),
    }


def _said(said: Said) -> Document:
    return {
        "key": said.key,
        "value": said.value,
        "unit": said.unit,
        "n": said.n,
        "spread": said.spread,
        "share": said.share,
        "of": said.of,
    }


def _table(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(pairs)


def _outlier(outlier: Outlier) -> Document:
    found: Document = msgspec.to_builtins(outlier)
    return found
