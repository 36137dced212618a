"""The Jobs pane: the ranks of the distributed probe that runs, or ran last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from torchdoctor.paint import BLANK, Line, Page, fit, heading, line
from torchdoctor.text import safe
from torchdoctor.widgets.lines import Lines
from torchdoctor.widgets.result_rows import said, seconds_text, sign

from .base import SnapshotPane, console

if TYPE_CHECKING:
    from torchdoctor.interfaces import RankLike
    from torchdoctor.sources import Snapshot

JOB = "ddp.allreduce"

_ROLES = {"failed": "fail", "killed": "fail", "running": "run", "ended": "ok", "done": "ok", "hung": "fail"}


class JobsPane(SnapshotPane):
    """A row a rank."""

    HELP = """\
A row a rank: its place, its process, what it said last. The distributed probe starts two ranks or more through
torchrun; their files stay in the run directory, where 4 shows them.
"""
    BINDING_GROUP_TITLE = "Jobs"

    def compose(self) -> ComposeResult:
        """One view."""
        yield Lines(id="job-lines")

    def on_show(self) -> None:
        """Read rank files from now on."""
        console(self).sources.watch_ranks(True)

    def on_hide(self) -> None:
        """Nobody looks."""
        console(self).sources.watch_ranks(False)

    def page(self, snapshot: Snapshot, width: int) -> Page:
        """The ranks of a snapshot."""
        return jobs_page(snapshot, width)


def jobs_page(snapshot: Snapshot, width: int) -> Page:
    """The ranks of the newest run that has some."""
    view = snapshot.probes.get(JOB)
    if view is None and not snapshot.ranks:
        return Page([
            BLANK, line("  no distributed job is under watch"),
            line((f"  {JOB} starts one: 2, then r on it", "dim")),
        ])  # fmt: skip
    rows: list[Line] = [BLANK]
    if view is not None:
        (mark, role), word = sign(view)
        rows.append(line(("  " + JOB, "title"), (f"   {mark} {word}", role), (f"   {seconds_text(view)}", "dim")))
        rows.append(line(("  " + said(view), "dim")))
    if snapshot.ranks_run:
        rows.append(line(("  " + safe(os.path.basename(snapshot.ranks_run)), "dim")))
    rows += [BLANK, heading("ranks", str(len(snapshot.ranks)) if snapshot.ranks else "none has said anything yet")]
    if snapshot.ranks:
        rows.append(line(("    rank       pid  host              GPU     state       last event", "dim")))
    return Page([*rows, *map(_rank_line, snapshot.ranks)])


def _rank_line(rank: RankLike) -> Line:
    state = safe(str(rank.state))
    return line(
        fit(str(rank.rank), 8, "right"), fit(str(rank.pid), 10, "right"), "  ", fit(safe(str(rank.host)), 16), "  ",
        fit(safe(str(rank.gpu)), 6), "  ", (fit(state, 10), _ROLES.get(state, "")), "  ", (safe(rank.last), "dim"),
    )  # fmt: skip
