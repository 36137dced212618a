"""The merged logs of a job: a screenful of lines by time, with the rank before each; read by the desk, page by page."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

from textual.binding import Binding, BindingType

from torchdoctor import later
from torchdoctor.paint import Line, Page, fit, join, line
from torchdoctor.text import safe
from torchdoctor.widgets.job_words import ranks_text
from torchdoctor.widgets.lines import Lines

if TYPE_CHECKING:
    from torchdoctor.job_source import JobSource

LOOK_S: Final = 0.1
PAGE_S: Final = 3.0
AHEAD: Final = 2
"""Screenfuls that are read before and behind the one in view."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read: lines from `first` on (negative: from the end), of these ranks, held still or not."""

    first: int
    count: int
    ranks: tuple[int, ...] | None = None
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Got:
    """What was read."""

    first: int = 0
    total: int = 0
    lines: tuple[tuple[Any, ...], ...] = ()
    skipped: bool = False
    new: bool = False
    cause: str = ""
    asked: Wanted | None = None


class LogFeed:
    """Asks the desk for pages, in a thread, while it is open."""

    def __init__(self, source: JobSource, run: str) -> None:
        self._source, self._run = source, run
        self._wanted = Wanted(-100, 100)
        self._turned, self._stopped = threading.Event(), False
        self.got = Got()
        threading.Thread(target=self._work, name="torchdoctor-log", daemon=True).start()

    def want(self, wanted: Wanted) -> None:
        """Other lines."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._turned.set()

    def find(self, text: str, at: int, by: int, ranks: tuple[int, ...] | None) -> int:
        """The place of the next hit, -1 without one; waits for the desk, in a thread only.

        Raises:
            Exception: why nothing can be searched.
        """
        asked = {"run": self._run, "text": text, "at": at, "by": by, "ranks": ranks}
        return int(self._source.ask("find", asked, PAGE_S))

    def stop(self) -> None:
        """Nobody looks any more."""
        self._stopped = True
        self._turned.set()

    def _work(self) -> None:
        while not self._stopped:
            wanted = self._wanted
            try:
                self.got = got_of(self._source.ask("log", self._question(wanted), PAGE_S), wanted)
            except Exception as error:  # noqa: BLE001 - whatever a file system did: it is shown
                self.got = Got(cause=str(error) or type(error).__name__, asked=wanted)
            self._turned.wait(LOOK_S)
            self._turned.clear()
        try:
            self._source.ask("close log", {"run": self._run}, PAGE_S)
        except Exception:  # noqa: BLE001, S110 - the desk has gone with everything that it held
            pass

    def _question(self, wanted: Wanted) -> dict[str, Any]:
        return {"run": self._run, "first": wanted.first, "count": wanted.count, "ranks": wanted.ranks,
                "hold": wanted.hold}  # fmt: skip


def got_of(answer: Mapping[str, Any], wanted: Wanted) -> Got:
    """The desk's answer."""
    lines = tuple(tuple(row) for row in answer["lines"])
    flags = bool(answer["skipped"]), bool(answer["new"]), str(answer["cause"])
    return Got(int(answer["first"]), int(answer["total"]), lines, *flags, wanted)


# --- lines -----------------------------------------------------------------------------------------------------------


def merged_line(row: Sequence[Any], wide: int) -> Line:
    """One line of a log: its time as exactly as it is known, its rank (in colour on stderr), its text."""
    t_ns, rank, _, stream, text, precision = row
    said = str(text).removeprefix(f"[rank{rank}]: ").removeprefix(f"[rank{rank}]:")
    return line((f" {stamp(t_ns, precision)} ", "dim"), (f"{rank:>{wide}} ", "warn" if stream == "err" else "info"),
                safe(said))  # fmt: skip


def stamp(t_ns: int, precision: str) -> str:
    """`03:04:05.123` as it was printed, `~03:04:05.1` as a watcher saw it, blank where nobody knows."""
    if not t_ns or precision == "unknown":
        return " " * 12
    clock = time.strftime("%H:%M:%S", time.localtime(t_ns // 10**9))
    if precision == "printed":
        return f"{clock}.{t_ns // 10**6 % 1000:03}"
    return f"~{clock}.{t_ns // 10**8 % 10} "


class _Window(Sequence[Line]):
    """All lines, of which only those that were read are there."""

    def __init__(self, got: Got) -> None:
        self._got = got
        self._wide = max((len(str(row[1])) for row in got.lines), default=1)

    def __len__(self) -> int:
        return self._got.total

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Line]: ...
    def __getitem__(self, at: int | slice) -> Line | Sequence[Line]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at - self._got.first
        return merged_line(self._got.lines[place], self._wide) if 0 <= place < len(self._got.lines) else ()


class MergedLines(Lines):
    """Follows the end until one moves upwards; then the lines are held still until `f` or `G`."""

    BINDING_GROUP_TITLE = "Logs of the job"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow", id="joblog.follow", tooltip="Stay at the end as lines come"),
        Binding("F", "ranks", "Ranks", id="joblog.ranks", tooltip="Lines of some ranks only: 0-3,7"),
    ]

    def __init__(self, source: JobSource, run: str) -> None:
        super().__init__(id="jobs-log")
        self.feed = LogFeed(source, run)
        self.follows = True
        self.ranks: tuple[int, ...] | None = None
        self._told: object = None

    # --- for the pane ----------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        """Show what was read, and say what is to be read next."""
        got = self.feed.got
        if got is not self._told:
            self._told = got
            self.show(Page(_Window(got)))
            if self.follows:
                self.scroll_to(y=max(0, got.total - self.size.height), animate=False, immediate=True)
        self._want()

    def _want(self) -> None:
        height = max(1, self.size.height)
        if self.follows:
            self.feed.want(Wanted(-height, height, self.ranks))
        else:
            first = max(0, round(self.scroll_y) - AHEAD * height)
            self.feed.want(Wanted(first, (2 * AHEAD + 1) * height, self.ranks, hold=True))

    def status(self, width: int) -> Line:
        """What is shown of what there is."""
        got = self.feed.got
        if got.cause:
            return line(("  " + fit(safe(got.cause), max(10, width - 4)), "warn"))
        state = ("FOLLOW", "ok") if self.follows else ("HELD" + (", more has come" if got.new else ""), "warn")
        whose = f"ranks {ranks_text(self.ranks)}" if self.ranks is not None else "all ranks"
        more = "older ones are in the files" if got.skipped else ""
        told = join((f"{got.total:,} lines", more, whose, "~ time as seen, not printed"))
        return line("  ", state, (f"   {told}", "dim"))

    # --- moving ----------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self.follows = False

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self.follows = not self.follows
        self.refresh_data()

    def action_move(self, by: int) -> None:
        """A line up or down; upwards ends following."""
        if by < 0:
            self._hold()
        super().action_move(by)
        self._want()

    def action_page(self, by: int) -> None:
        """A screenful; upwards ends following."""
        if by < 0:
            self._hold()
        super().action_page(by)
        self._want()

    def action_edge(self, end: int) -> None:
        """The first line that is kept, or the last, and follow."""
        self.follows = end > 0
        super().action_edge(end)
        self._want()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There are no findings in logs; hits are wherever something was searched."""
        return bool(self.query_text) if action == "hit" else action != "finding"

    # --- searching -------------------------------------------------------------------------------------------------

    def search(self, text: str) -> int:
        """Go to the next line that holds `text`; the desk looks for it. 1 stands for "on its way"."""
        self.mark_hits(text)
        self.action_hit(1)
        return 1

    def action_hit(self, by: int) -> None:
        """The next hit; around the end."""
        text, at, feed, ranks = self.query_text, round(self.scroll_y) + 1, self.feed, self.ranks
        self._hold()
        if not text:
            return

        def look() -> None:
            try:
                place = feed.find(text, at, by, ranks)
            except Exception:  # noqa: BLE001 - the page says what is wrong
                return
            self.app.call_later(self._go, place, text)

        threading.Thread(target=look, name="torchdoctor-find", daemon=True).start()

    def _go(self, place: int, text: str) -> None:
        if place < 0:
            self.notify(f"not found: {safe(text)}", timeout=2, markup=False)
            return
        self.scroll_to(y=max(0, place - 1), animate=False, immediate=True)
        self._want()

    def action_ranks(self) -> None:
        """Ask for ranks."""
        shown = ranks_text(self.ranks).replace("–", "-") if self.ranks is not None else ""
        self.screen.mount(asked := later.rank_line(shown, self, self._choose))
        asked.focus()

    def _choose(self, text: str) -> None:
        self.ranks = ranks_of(text)
        self.refresh_data()


def ranks_of(text: str) -> tuple[int, ...] | None:
    """`0-3,7` as ranks; None where it names none."""
    found: set[int] = set()
    for part in text.replace("–", "-").split(","):
        low, dash, high = (word.strip() for word in part.partition("-"))
        if low.isdecimal() and len(low) < 7 and (not dash or (high.isdecimal() and len(high) < 7)):
            found.update(range(int(low), min(int(high or low), int(low) + 10_000) + 1))
    return tuple(sorted(found)) or None
