"""What a console shows of runs and comparisons, as it crosses the pipe from the report desk: small, in few pieces.

A comparison of a thousand reports has some hundred thousand cells. The desk holds them; the console is told a head
(`Seen`) of a few hundred kilobytes, and asks for the cells of what is opened.
"""

from __future__ import annotations

from typing import Final

import msgspec

from torchprobes.model import REPORT_ORDER, Frozen, Verdict

CODES: Final[dict[str, Verdict | None]] = {"-": None} | {verdict.value[0]: verdict for verdict in REPORT_ORDER}
"""A letter a verdict, "-" for a probe that was not asked: `RowSeen.verdicts` is one for each platform."""

CODE_OF: Final = {verdict: code for code, verdict in CODES.items()}


class RunRow(Frozen, frozen=True, kw_only=True):
    """One run, or one file that holds a report. `state` is a verdict, "running", or how it ended otherwise.

    `bytes` is None until somebody has counted. `why` is in words why it cannot be read; `own` is whether it is a run
    of the state directory, which can be renamed and deleted.
    """

    path: str
    name: str
    kind: str = "check"
    title: str = ""
    host: str = ""
    started: str = ""
    tier: str = ""
    state: str = ""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    torch: str | None = None
    device: str = ""
    bytes: int | None = None
    why: str = ""
    own: bool = True


class History(Frozen, frozen=True, kw_only=True):
    """The runs that are kept, newest first."""

    place: str
    rows: tuple[RunRow, ...] = ()
    bytes: int | None = None
    quota_bytes: int = 0


class PlatformSeen(Frozen, frozen=True, kw_only=True):
    """One report as a column, or as a line. `apart` says in words where it lies apart from others of its sort."""

    label: str
    where: str = ""
    host: str = ""
    started: str = ""
    torch: str | None = None
    device: str = ""
    kind: str = "check"
    verdict: Verdict = Verdict.SKIP
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    differs: int = 0
    """In how many rows it came to something else than most."""
    apart: tuple[str, ...] = ()


class FigureSeen(Frozen, frozen=True, kw_only=True):
    """One figure over the platforms: its value as a text each, "" where it was not measured.

    `shares` are what part of the device's own peak each is, None where nobody says what that is.
    """

    key: str
    texts: tuple[str, ...] = ()
    shares: tuple[float | None, ...] = ()
    of: str = ""


class RowSeen(Frozen, frozen=True, kw_only=True):
    """One probe over the platforms; figures only where there are few platforms, and only those to be seen at once."""

    name: str
    group: str
    verdicts: str
    change: str = "same"
    words: tuple[str, ...] = ()
    figures: tuple[FigureSeen, ...] = ()


class CauseSeen(Frozen, frozen=True, kw_only=True):
    """A likely cause without its value on each platform."""

    kind: str
    name: str
    words: str
    explains: tuple[str, ...] = ()
    why: str = ""
    sure: bool = False


class Seen(Frozen, frozen=True, kw_only=True):
    """A comparison's head. `key` names it to the desk; `masked` says what was masked in it."""

    key: str
    platforms: tuple[PlatformSeen, ...]
    headline: str = ""
    rows: tuple[RowSeen, ...] = ()
    causes: tuple[CauseSeen, ...] = ()
    more_causes: int = 0
    uncovered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    masked: str = ""


class CellSeen(Frozen, frozen=True, kw_only=True):
    """One cell in full; figures as (key, text), ways as (what, how)."""

    verdict: Verdict | None = None
    reason: str = ""
    figures: tuple[tuple[str, str], ...] = ()
    ways: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()


class SpanSeen(Frozen, frozen=True, kw_only=True):
    """One figure over many platforms: the lowest and the highest with whose they are, and the one in the middle."""

    key: str
    n: int
    low: str
    low_at: str
    middle: str
    high: str
    high_at: str


class RowCells(Frozen, frozen=True, kw_only=True):
    """What was asked of one row: cells of the platforms from `first` on; `spans` are over all of them."""

    row: str
    first: int
    cells: tuple[CellSeen, ...] = ()
    spans: tuple[SpanSeen, ...] = ()


class CauseValues(Frozen, frozen=True, kw_only=True):
    """The values of a cause, commonest first, each with the labels of the platforms that have it.

    None: it is not there; "": nobody knows.
    """

    place: int
    values: tuple[tuple[str | None, tuple[str, ...]], ...] = ()


class MomentSeen(Frozen, frozen=True, kw_only=True):
    """`comparison.model.Moment`: one report of a node's time line."""

    platform: str
    started: str
    verdict: Verdict
    changes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


class TrackSeen(Frozen, frozen=True, kw_only=True):
    """`comparison.model.Track`: one figure of one node over time."""

    row: str
    key: str
    unit: str
    values: tuple[float | None, ...]
    drift: float | None = None


class LineSeen(Frozen, frozen=True, kw_only=True):
    """`comparison.model.Line`: one node over time, oldest report first."""

    host: str
    moments: tuple[MomentSeen, ...]
    tracks: tuple[TrackSeen, ...] = ()


class TimelineSeen(Frozen, frozen=True, kw_only=True):
    """`comparison.model.Timeline`, with why reports could not be read and what was masked."""

    lines: tuple[LineSeen, ...] = ()
    alone: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    masked: str = ""
