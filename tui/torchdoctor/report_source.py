"""Reports for the screen: the runs that are kept, the one that is open, comparisons. Threads ask, the screen looks.

Everything is answered by the report desk (`torchprobes.reports.desk`), a process of its own: reading a thousand reports
takes seconds of a core, and a home may give no answer at all.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from torchprobes.model import Report
from torchprobes.reports.seen import CauseValues, History, RowCells, RunRow, Seen, TimelineSeen

if TYPE_CHECKING:
    from .interfaces import DeskLike

_log = logging.getLogger("torchdoctor.reports")
_log.addHandler(logging.NullHandler())

LIST_DEADLINE_S: Final = 30.0
READ_DEADLINE_S: Final = 30.0
COMPARE_DEADLINE_S: Final = 300.0
CHANGE_DEADLINE_S: Final = 120.0
"""Deleting gibibytes takes as long as the disk needs."""

DEFAULT_LEVEL: Final = "internal"
"""What is masked on a person's own screen: secrets. Hosts keep their names, for somebody must find the node."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reports:
    """All that the screen knows of reports at one instant. Notes say why something is not there (yet).

    `runs` are the rows of `history` and `files` by path. `opened` is the path of the report that is open or on its
    way, `comparing` those of a comparison or a time line.
    """

    revision: int = 0
    history: History | None = None
    history_note: str = ""
    files: History | None = None
    runs: Mapping[str, RunRow] = field(default_factory=dict)
    opened: str = ""
    report: Report | None = None
    masked: str = ""
    report_note: str = ""
    comparing: tuple[str, ...] = ()
    compared: Seen | None = None
    compared_note: str = ""
    timed: TimelineSeen | None = None
    timed_note: str = ""
    cells: RowCells | None = None
    values: CauseValues | None = None
    detail_note: str = ""


class ReportSource:
    """Owns the list, the open report and the comparison. All methods return at once; `tell` says what came of one."""

    def __init__(self, desk: Callable[[], DeskLike], tell: Callable[[str], None]) -> None:
        self._load, self._tell = desk, tell
        self._desk: DeskLike | None = None
        self._lock = threading.Lock()
        self._state = Reports()
        self._turns: dict[str, int] = {}
        """How often each kind of question was asked: only the last answer counts."""

    def snapshot(self) -> Reports:
        """The newest of everything."""
        return self._state

    def stop(self) -> None:
        """Let go: the desk ends with its pipe."""
        if self._desk is not None:
            self._desk.stop()

    # --- history -----------------------------------------------------------------------------------------------

    def read_history(self) -> None:
        """List the runs, then again with what each holds."""
        if self._state.history is None:
            self._set(history_note="reading the runs that are kept")

        def work(due: Callable[[], bool]) -> None:
            for sizes in (False, True):
                found = msgspec.convert(self._ask("history", {"sizes": sizes}, LIST_DEADLINE_S), History)
                if due():
                    note = "" if found.rows else f"no run is kept in {found.place}"
                    self._set(history=found, history_note=note)

        self._later("history", work, lambda why: self._set(history_note=why))

    def add_files(self, path: str) -> None:
        """List the reports that a path names beside the runs: of other nodes, of a fleet."""
        asked = os.path.abspath(os.path.expanduser(path))  # the desk has a working directory of its own

        def work(due: Callable[[], bool]) -> None:
            found = msgspec.convert(self._ask("files", {"path": asked}, READ_DEADLINE_S), History)
            if due():
                self._set(files=found)

        self._later("files", work, self._tell)

    def rename(self, path: str, title: str) -> None:
        """Give a run a title."""
        self._change("rename", {"path": path, "title": title}, lambda _: "renamed" if title else "its title is gone")

    def delete(self, paths: Sequence[str]) -> None:
        """Delete runs, one by one; the first that cannot be deleted ends it, and says why."""

        def work(_: Callable[[], bool]) -> None:
            gone = 0
            try:
                for path in paths:
                    self._ask("delete", {"path": path}, CHANGE_DEADLINE_S)
                    gone += 1
            finally:
                self._tell(f"{gone} {'run' if gone == 1 else 'runs'} deleted")
                self.read_history()

        self._later("change", work, self._tell)

    def prune(self, days: float | None, most_bytes: int | None) -> None:
        """Delete runs by age and size."""
        asked = {"days": days, "bytes": most_bytes}
        self._change("prune", asked, lambda gone: f"{len(gone)} {'run' if len(gone) == 1 else 'runs'} deleted")

    def _change(self, question: str, arguments: Mapping[str, Any], words: Callable[[Any], str]) -> None:
        def work(_: Callable[[], bool]) -> None:
            self._tell(words(self._ask(question, arguments, CHANGE_DEADLINE_S)))
            self.read_history()

        self._later("change", work, self._tell)

    # --- reports and comparisons ---------------------------------------------------------------------------------

    def open(self, path: str, level: str) -> None:
        """Read a report; the one before stays until it is there."""
        self._set(opened=path, report_note="reading it")

        def work(due: Callable[[], bool]) -> None:
            answer = self._ask("report", {"path": path, "level": level}, READ_DEADLINE_S)
            report = msgspec.convert(answer["report"], Report)
            if due():
                self._set(report=report, masked=str(answer["masked"]), report_note="")

        self._later("report", work, lambda why: self._set(report=None, report_note=why))

    def close(self) -> None:
        """No report is open but the newest of this node."""
        with self._lock:
            self._turns["report"] = self._turns.get("report", 0) + 1  # one on its way is not waited for
        self._set(opened="", report=None, masked="", report_note="")

    def compare(self, paths: Sequence[str], level: str) -> None:
        """Compare these, in this order."""
        count = len(paths)
        self._set(comparing=tuple(paths), compared=None, cells=None, values=None,
                  compared_note=f"reading and comparing {count:,} {'report' if count == 1 else 'reports'}")  # fmt: skip

        def work(due: Callable[[], bool]) -> None:
            arguments = {"paths": list(paths), "level": level}
            seen = msgspec.convert(self._ask("compare", arguments, COMPARE_DEADLINE_S), Seen)
            if due():
                self._set(compared=seen, compared_note="")

        self._later("compare", work, lambda why: self._set(compared_note=why))

    def time_line(self, paths: Sequence[str], level: str) -> None:
        """Put these on a time line, each node on its own."""
        count = len(paths)
        note = f"reading {count:,} {'report' if count == 1 else 'reports'}"
        self._set(comparing=tuple(paths), timed=None, timed_note=note)

        def work(due: Callable[[], bool]) -> None:
            answer = self._ask("timeline", {"paths": list(paths), "level": level}, COMPARE_DEADLINE_S)
            made = msgspec.convert(answer, TimelineSeen)
            if due():
                self._set(timed=made, timed_note="")

        self._later("compare", work, lambda why: self._set(timed_note=why))

    def open_row(self, key: str, row: str, first: int, count: int) -> None:
        """Ask for the cells of one row of a comparison."""
        asked = {"key": key, "row": row, "first": first, "count": count}
        self._detail("cells", asked, lambda answer: self._set(cells=msgspec.convert(answer, RowCells), detail_note=""))

    def open_cause(self, key: str, place: int) -> None:
        """Ask which platform has what of one cause."""
        asked = {"key": key, "place": place}
        self._detail(
            "cause", asked, lambda answer: self._set(values=msgspec.convert(answer, CauseValues), detail_note="")
        )

    def _detail(self, question: str, arguments: Mapping[str, Any], take: Callable[[Any], None]) -> None:
        self._set(detail_note="on its way")

        def work(due: Callable[[], bool]) -> None:
            answer = self._ask(question, arguments, READ_DEADLINE_S)
            if due():
                take(answer)

        self._later("detail", work, lambda why: self._set(detail_note=why))

    # --- files -------------------------------------------------------------------------------------------------

    def export(self, arguments: Mapping[str, Any]) -> None:
        """Write a report or a comparison as a file; where it is, and what was masked, is told."""
        self._later("export", lambda _: self._tell("exported " + self._exported(arguments)),
                    lambda why: self._tell(f"not exported: {why}"))  # fmt: skip

    def picture(
        self,
        texts: Sequence[str],
        names: Sequence[Mapping[str, str]],
        arguments: Mapping[str, Any],
        draw: Callable[[Sequence[str]], str],
    ) -> None:
        """Write a picture: its texts are masked by the desk, then `draw`, in a thread, makes the SVG of them.

        `names` are those that the texts may hold, as {"host": …} or {"user": …}; the hosts of the runs are added.
        """
        state = self._state
        platforms = state.compared.platforms if state.compared is not None else ()
        hosts = {row.host for row in state.runs.values()} | {platform.host for platform in platforms}
        known = [*names, *({"host": host} for host in sorted(hosts) if host)]

        def work(_: Callable[[], bool]) -> None:
            asked = {"texts": list(texts), "names": known, "level": arguments["level"]}
            answer = self._ask("mask", asked, READ_DEADLINE_S)
            drawn = draw([str(text) for text in answer["texts"]])
            masked = {**arguments, "key": "", "text": drawn, "masked": str(answer["masked"])}
            self._tell("exported " + self._exported(masked))

        self._later("export", work, lambda why: self._tell(f"not exported: {why}"))

    def _exported(self, arguments: Mapping[str, Any]) -> str:
        return str(self._ask("export", arguments, COMPARE_DEADLINE_S))

    # --- inside ----------------------------------------------------------------------------------------------------

    def _ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        if self._desk is None:
            desk = self._load()
            with self._lock:
                self._desk = self._desk or desk
        return self._desk.ask(question, arguments, deadline_s)

    def _set(self, **changes: Any) -> None:
        with self._lock:
            made = replace(self._state, revision=self._state.revision + 1, **changes)
            if "history" in changes or "files" in changes:
                lists = (made.history, made.files)
                made = replace(made, runs={row.path: row for each in lists if each is not None for row in each.rows})
            self._state = made

    def _later(self, turn: str, work: Callable[[Callable[[], bool]], object], failed: Callable[[str], object]) -> None:
        """Do it in a thread; `work` is told a test of whether nobody has asked for another of that kind since."""
        with self._lock:
            mine = self._turns[turn] = self._turns.get(turn, 0) + 1

        def due() -> bool:
            return self._turns[turn] == mine

        def run() -> None:
            try:
                work(due)
            except Exception as error:  # noqa: BLE001 - one line for the person, the rest for the own log
                _log.exception("a question to the report desk")
                if due():
                    failed(str(error) or type(error).__name__)

        threading.Thread(target=run, name=f"torchdoctor-{turn}", daemon=True).start()
