"""The table of ranks: a row each, made when it comes into view, guilty ones told apart by sign, word and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import Line, Page, Span, fit, join, line, wrap
from torchdoctor.text import safe
from torchdoctor.widgets.lazy_lines import MadeLines
from torchdoctor.widgets.table_rows import Column, Fitted, fit_columns, head_line, table_row

from .job_words import BAD_STATES, bytes_text, lag_text, long_text, rank_sign, spread_text

if TYPE_CHECKING:
    from torchprobes.distributed import JobView, RankView

INDENT: Final = 2
QUIET_S: Final = 10.0
"""So long a wait, or no word, gets a colour."""

LATE_S: Final = 0.002
LATE_SHARE: Final = 0.5
"""Who comes last in more than half of the collectives, and by more than this, is coloured."""


@dataclass(frozen=True, slots=True)
class RankCell:
    """A rank as a row shows it."""

    rank: RankView
    guilty: bool
    blamed: bool

    @property
    def role(self) -> str:
        """The colour of its row."""
        return "fail" if self.guilty else "dim" if self.rank.state in ("ended",) else ""


# --- cells -------------------------------------------------------------------------------------------------------


def _state(cell: RankCell, width: int) -> Sequence[Span]:
    mark, role = rank_sign(cell.rank, cell.guilty, cell.blamed)
    return [(f"{mark} " + fit(safe(cell.rank.state, limit=40), width - 2), role)]


def _waits(cell: RankCell, _: int) -> Sequence[Span]:
    rank = cell.rank
    if rank.waiting_s is not None:
        return [(long_text(rank.waiting_s), "warn" if rank.waiting_s >= QUIET_S else "")]
    return [(long_text(rank.quiet_s), "dim")]


def _lag(cell: RankCell, _: int) -> Sequence[Span]:
    lag, share = cell.rank.lag_s, cell.rank.last_share
    late = lag is not None and share is not None and lag >= LATE_S and share >= LATE_SHARE
    return [(lag_text(lag), "warn" if late else "")]


def _memory(cell: RankCell, width: int) -> Sequence[Span]:
    rank = cell.rank
    both = join((fit(bytes_text(rank.memory_bytes), 9, "right"), fit(spread_text(rank.memory_spread), 6, "right")), " ")
    return [(both if width >= 16 else bytes_text(rank.memory_bytes), "")]


def _number(read: Callable[[RankView], float | None], form: str) -> Callable[[RankCell, int], Sequence[Span]]:
    def show(cell: RankCell, _: int) -> Sequence[Span]:
        value = read(cell.rank)
        return [("" if value is None else form.format(value), "")]

    return show


def _words(read: Callable[[RankView], str], role: str = "") -> Callable[[RankCell, int], Sequence[Span]]:
    return lambda cell, _: [(safe(read(cell.rank), limit=200), cell.role if cell.guilty else role)]


def exit_or_why(rank: RankView) -> str:
    """How it ended, and why it is in its state."""
    return join((rank.exit, rank.why if rank.why != rank.exit else ""))


_Row = tuple[Column[RankCell], Callable[["RankView"], object]]

COLUMNS: Final[tuple[_Row, ...]] = (
    (Column("rank", 4, 0, lambda cell, _: [(str(cell.rank.rank), cell.role)]), lambda rank: rank.rank),
    (Column("state", 14, 0, _state, left=True), lambda rank: rank.state),
    (Column("host", 10, 4, _words(lambda rank: rank.host), left=True, most=20), lambda rank: rank.host or None),
    (Column("gpu", 3, 5, _words(lambda rank: rank.gpu)), lambda rank: rank.gpu or None),
    (Column("pid", 7, 6, _number(lambda rank: rank.pid or None, "{}")), lambda rank: rank.pid or None),
    (Column("steps/s", 7, 3, _number(lambda rank: rank.step_rate_hz, "{:.2f}")), lambda rank: rank.step_rate_hz),
    (Column("step", 7, 12, _number(lambda rank: rank.steps, "{:,}")), lambda rank: rank.steps),
    (Column("last collective", 15, 1, _words(lambda rank: rank.collective), left=True, most=22),
     lambda rank: rank.collective or None),
    (Column("waits", 8, 1, _waits), lambda rank: rank.quiet_s if rank.waiting_s is None else rank.waiting_s),
    (Column("lag", 8, 4, _lag), lambda rank: rank.lag_s),
    (Column("memory", 9, 7, _memory, most=16), lambda rank: rank.memory_bytes),
    (Column("gpu %", 5, 8, _number(lambda rank: rank.gpu_utilization_percent, "{:.0f}")),
     lambda rank: rank.gpu_utilization_percent),
    (Column("W", 4, 9, _number(lambda rank: rank.gpu_power_w, "{:.0f}")), lambda rank: rank.gpu_power_w),
    (Column("cpu %", 5, 10, _number(lambda rank: rank.cpu_percent, "{:.0f}")), lambda rank: rank.cpu_percent),
    (Column("rss", 9, 11, lambda cell, _: [(bytes_text(cell.rank.rss_bytes), "")]), lambda rank: rank.rss_bytes),
)  # fmt: skip
"""(column, what of a rank it needs): one that no rank has anything for is left out."""


WHY: Final = Column("why", 26, 2, _words(exit_or_why, "dim"), left=True, most=100)
ENDS: Final = Column("how it ended", 34, 1, _words(exit_or_why, "dim"), left=True, most=110)
"""The last column: why a rank is in its state; where one has ended, how, before most else."""


def columns_of(ranks: Sequence[RankView]) -> tuple[Column[RankCell], ...]:
    """The columns that have something to say of these ranks; a host only where there are several."""
    hosts = len({rank.host for rank in ranks})
    needed = [any(read(rank) is not None for rank in ranks) for _, read in COLUMNS]
    on = tuple(need and (row[0].title != "host" or hosts > 1) for need, row in zip(needed, COLUMNS, strict=True))
    last = ENDS if any(rank.exit for rank in ranks) else WHY if any(rank.why for rank in ranks) else None
    return _picked(on, last)


@lru_cache(maxsize=64)
def _picked(needed: tuple[bool, ...], last: Column[RankCell] | None) -> tuple[Column[RankCell], ...]:
    chosen = tuple(column for (column, _), on in zip(COLUMNS, needed, strict=True) if on)
    return chosen if last is None else (*chosen, last)


# --- the order ---------------------------------------------------------------------------------------------------


def _weight(cell: RankCell) -> int:
    return 0 if cell.guilty else 1 if cell.rank.state in BAD_STATES else 2 if cell.rank.state == "waiting" else 3


SORTS: Final[dict[str, Callable[[RankCell], object]]] = {
    "rank": lambda cell: 0,
    "state": lambda cell: (_weight(cell), cell.rank.state),
    "lag": lambda cell: -(cell.rank.lag_s or 0.0) if cell.rank.lag_s is not None else 1.0,
    "step rate": lambda cell: cell.rank.step_rate_hz if cell.rank.step_rate_hz is not None else float("inf"),
}
"""Name of an order -> what it sorts by, before the rank; what is unread comes last."""


def rank_cells(view: JobView, sort: str) -> list[RankCell]:
    """The ranks in this order."""
    guilty = frozenset(view.verdict.ranks)
    cells = [RankCell(rank, rank.rank in guilty, bool(guilty)) for rank in view.ranks]
    read = SORTS[sort]
    return sorted(cells, key=lambda cell: (read(cell), cell.rank.rank, cell.rank.attempt))


# --- the page ----------------------------------------------------------------------------------------------------


class RankLines(MadeLines):
    """Lines of ranks, each made when somebody looks at it: 512 ranks cost what is on the screen.

    Lines of `before` whose ranks say the same are taken over.
    """

    def __init__(self, cells: Sequence[RankCell], fitted: Fitted[RankCell], before: RankLines | None = None) -> None:
        self._cells, self._fitted = cells, fitted
        same = before is not None and before._fitted == fitted
        self._made: dict[int, Line] = before._still(cells) if before is not None and same else {}

    def _still(self, cells: Sequence[RankCell]) -> dict[int, Line]:
        return {at: row for at, row in self._made.items() if at < len(cells) and cells[at] == self._cells[at]}

    def __len__(self) -> int:
        return len(self._cells)

    def made(self, at: int) -> Line:
        """Line `at`."""
        line = self._made.get(at)
        if line is None:
            line = self._made[at] = self._line(self._cells[at])
        return line

    def _line(self, cell: RankCell) -> Line:
        mark = ("›" if cell.guilty else " ").ljust(INDENT)
        row = table_row(cell, self._fitted)
        return (mark, cell.role), *((text, "fail" if cell.guilty and not role else role) for text, role in row)


def fitted_to(view: JobView, width: int) -> Fitted[RankCell]:
    """The columns of this job on a screen of this width."""
    return fit_columns(columns_of(view.ranks), max(20, width - INDENT))


def rank_head(fitted: Fitted[RankCell]) -> Line:
    """The titles over the ranks."""
    return (" " * INDENT, ""), *head_line(fitted)


def rank_key(rank: RankView) -> str:
    """What the cursor calls a rank."""
    return f"rank:{rank.rank}"


def rank_of(key: str | None, ranks: Iterable[RankView]) -> RankView | None:
    """The rank of a key."""
    return next((rank for rank in ranks if rank_key(rank) == key), None)


@dataclass(frozen=True, slots=True)
class Table:
    """The ranks of one view in one order, on a screen of one width. `told` says that a rank has a reason or an end."""

    view: JobView
    sort: str
    width: int
    fitted: Fitted[RankCell]
    lines: RankLines
    page: Page
    told: bool


class Tables:
    """Keeps the newest table: a key press changes neither view, nor order, nor width."""

    def __init__(self) -> None:
        self._newest: Table | None = None

    def of(self, view: JobView, sort: str, width: int) -> Table:
        """The table; views are compared by identity, which costs nothing."""
        kept = self._newest
        if kept is None or kept.view is not view or (kept.sort, kept.width) != (sort, width):
            kept = self._newest = _table(view, sort, width, kept.lines if kept is not None else None)
        return kept


def _table(view: JobView, sort: str, width: int, before: RankLines | None) -> Table:
    fitted, cells = fitted_to(view, width), rank_cells(view, sort)
    lines = RankLines(cells, fitted, before)
    told = any(exit_or_why(rank) for rank in view.ranks)
    return Table(view, sort, width, fitted, lines, ranks_page(cells, lines), told)


def ranks_page(cells: Sequence[RankCell], lines: Sequence[Line]) -> Page:
    """All ranks; `e` goes from one guilty or bad one to the next."""
    keys = {place: rank_key(cell.rank) for place, cell in enumerate(cells)}
    marks = [place for place, cell in enumerate(cells) if cell.guilty or cell.rank.state in BAD_STATES]
    return Page(lines, keys, frozenset(marks))


# --- one rank in three lines -------------------------------------------------------------------------------------


def peek(cell: RankCell, width: int, most: int, why: bool) -> list[Line]:
    """The rank under the cursor: who, why (a line of its own where `why`), and its readings in at most `most` lines."""
    rank = cell.rank
    mark, role = rank_sign(rank, cell.guilty, cell.blamed)
    named = (("pid", rank.pid), ("GPU", safe(rank.gpu, limit=40)), ("attempt", rank.attempt))
    who = join((safe(rank.host, limit=60), *(f"{name} {value}" for name, value in named if value)))
    head = line(("  rank ", "dim"), (f"{rank.rank}  ", "title"), (f"{mark} {safe(rank.state, limit=40)}", role),
                ("  " + who, "dim"))  # fmt: skip
    reason = [line("  " + (safe(exit_or_why(rank)) or safe(rank.phase)))] if why else []
    rows = wrap(readings(rank), max(20, width - 3))
    if len(rows) > most:
        rows = [*rows[: most - 1], fit(" ".join(rows[most - 1 :]), max(20, width - 3)).rstrip()]
    return [head, *reason, *(line(("  " + row, "dim")) for row in rows)]


def guilty_key(view: JobView) -> str | None:
    """The key of the first guilty rank."""
    return next((rank_key(rank) for rank in view.ranks if rank.rank in view.verdict.ranks), None)


def readings(rank: RankView) -> str:
    """All that was read of a rank, in words; what was not read is left out."""
    memory = join((bytes_text(rank.memory_bytes), spread_text(rank.memory_spread)), " ")
    gpu = join((f"{rank.gpu_utilization_percent:.0f} %" if rank.gpu_utilization_percent is not None else "",
                f"{rank.gpu_power_w:.0f} W" if rank.gpu_power_w is not None else ""), " ")  # fmt: skip
    lag = join((f"lag {lag_text(rank.lag_s)}" if rank.lag_s is not None else "",
                f"last in {rank.last_share * 100:.0f} %" if rank.last_share is not None else ""), ", ")  # fmt: skip
    return join((
        f"step {rank.steps:,}" if rank.steps is not None else "",
        f"{rank.step_rate_hz:.2f} steps/s" if rank.step_rate_hz is not None else "",
        safe(rank.collective, limit=80),
        f"waits {long_text(rank.waiting_s)}" if rank.waiting_s is not None else "",
        f"quiet {long_text(rank.quiet_s)}" if rank.quiet_s is not None else "",
        lag,
        f"memory {memory}" if memory else "",
        f"GPU {gpu}" if gpu else "",
        f"CPU {rank.cpu_percent:.0f} %" if rank.cpu_percent is not None else "",
        f"RSS {bytes_text(rank.rss_bytes)}" if rank.rss_bytes is not None else "",
    ))  # fmt: skip
