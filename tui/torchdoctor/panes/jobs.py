"""The Jobs pane: the ranks of the distributed probe that runs, or ran last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchdoctor.paint import BLANK, Line, Page, Span, fit, heading, join, line
from torchdoctor.sources import JOB, Snapshot
from torchdoctor.text import safe
from torchdoctor.widgets.probe_rows import said, seconds_text, sign

from .base import SnapshotPane, console

if TYPE_CHECKING:
    from torchprobes.jobs.ranks import RankRow

_ROLES = {"failed": "fail", "ended": "ok", "reducing": "run", "stepping": "run", "initialising": "run"}
QUIET_S = 10.0
"""A rank that said nothing for this long gets its age in colour."""


class JobsPane(SnapshotPane):
    """A row a rank."""

    HELP = """\
A row a rank: its place, its process, what it said last. The distributed probe starts two ranks or more through
torchrun; their files stay in the run directory, where 4 shows them.
"""
    BINDING_GROUP_TITLE = "Jobs"

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
    rows += [BLANK, heading("ranks", str(len(snapshot.ranks)) if snapshot.ranks else "none has said anything yet")]
    if snapshot.ranks:
        rows.append(_columns("rank", "pid", "host", "device", ("state", "dim"), "quiet", "last event", "dim"))
    return Page([*rows, *map(_rank_line, snapshot.ranks)])


def _rank_line(rank: RankRow) -> Line:
    state, age = safe(rank.state), rank.last_event_age_s
    silent = not rank.why and state not in ("ended", "failed") and age is not None and age > QUIET_S
    shown = state, "warn" if silent else _ROLES.get(state, "")
    ago = f"{age:.0f} s" if age is not None and state not in ("ended", "failed") else ""
    return _columns(str(rank.rank), str(rank.pid), rank.host, rank.device, shown, ago, _last(rank))


def _last(rank: RankRow) -> str:
    """What it said last, in words."""
    if rank.why:
        return safe(rank.why)
    took = f"{rank.collective_us:,.0f} µs" if rank.collective_us is not None else ""
    steps = f"step {rank.steps}" if rank.steps else ""
    return join((safe(rank.phase), steps, join((safe(rank.collective), took), " ")))


def _columns(rank: str, pid: str, host: str, device: str, state: Span, ago: str, last: str, role: str = "") -> Line:
    who = (fit(rank, 8, "right"), fit(pid, 10, "right"), "  ", fit(safe(host), 14), "  ", fit(safe(device), 7), "  ")
    return line(("".join(who), role), (fit(state[0], 13), state[1]), (fit(ago, 6, "right") + "  ", "dim"), (last, role))
