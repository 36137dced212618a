"""The lines over an opened job: what it is and how it stands, the verdict, and which of its views is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from torchdoctor.paint import Line, Span, fit, join, line, wrap
from torchdoctor.text import safe

from .job_words import JOB_SIGNS, UNKNOWN, command_text, job_over, long_text, ranks_text, verdict_sign, verdict_text

if TYPE_CHECKING:
    from torchprobes.distributed import JobView

VIEWS: Final = {"ranks": "", "evidence": "v", "stacks": "t", "sources": "u", "logs": "l"}
"""The views of a job, in the order in which [ and ] go through them, and their keys."""

MOST_VERDICT: Final = 3
"""The verdict takes at most so many lines of the screen; evidence has all of it."""


def title_line(view: JobView, seconds: float, width: int) -> Line:
    """Its command, and at the right its state, launcher and age."""
    mark, role = JOB_SIGNS.get(view.state, UNKNOWN)
    state = f"{mark} {safe(view.state, limit=20)}"
    rest = "   " + join((safe(view.launcher, limit=20), long_text(seconds)))
    room = width - cell_len(state) - cell_len(rest) - 5
    return line((fit("  " + (command_text(view.command) or safe(view.job, limit=200)), max(10, room)), "title"),
                "   ", (state, role), (rest, "dim"))  # fmt: skip


def verdict_lines(view: JobView, width: int, most: int = MOST_VERDICT) -> list[Line]:
    """The verdict with its sign, in as few lines as it needs."""
    mark, role = verdict_sign(view.verdict, view.state)
    rows = wrap(verdict_text(view), max(20, width - 6))
    if len(rows) > most:
        rows = [*rows[: most - 1], fit(" ".join(rows[most - 1 :]), max(20, width - 6))]
    strong = role if view.verdict.cause != "none" else ""
    return [line((f"  {mark} " if not at else "    ", role), (row, strong)) for at, row in enumerate(rows)]


def place_text(view: JobView) -> str:
    """How many ranks are seen of how many, where, and of whom."""
    here, world = len(view.ranks), view.world_size
    hosts = sorted({rank.host for rank in view.ranks if rank.host} or ({view.host} if view.host else set()))
    where = safe(hosts[0], limit=60) if len(hosts) == 1 else f"{len(hosts)} nodes" if hosts else ""
    ranks = f"{here} rank{'s' * (here != 1)}" if world in (None, here) else f"{here} of {world} ranks seen"
    return join((ranks, where, safe(view.user, limit=40), "" if view.ours else "watched, never touched"))


def tabs_line(view: JobView, opened: str, sort: str, width: int) -> Line:
    """The views with what is in them; the open one stands out. At the right whose ranks these are."""
    denied = sum(not source.available for rank in view.ranks for source in rank.sources)
    counts = {
        "ranks": "" if sort == "rank" else f"by {sort}",
        "evidence": str(len(view.evidence) or ""),
        "stacks": str(len(view.stacks) or ""),
        "sources": f"{denied} denied" if denied else "",
    }
    spans: list[Span] = [("  ", "")]
    for name, key in VIEWS.items():
        count = counts.get(name, "")
        spans += [(f"{key} " if key else "", "key"), (name, "here" if name == opened else ""),
                  (f" {count}" if count else "", "dim"), ("   ", "")]  # fmt: skip
    place, used = place_text(view), sum(cell_len(text) for text, _ in spans)
    room = width - used - 2
    return tuple([*spans, (fit(place, room, "right"), "dim")] if room >= 16 else spans)


def guilty_text(view: JobView) -> str:
    """The guilty ranks, for a notice."""
    return f"rank {ranks_text(view.verdict.ranks)}" if view.verdict.ranks else ""


def elapsed_s(view: JobView, now_ns: int) -> float:
    """How long the job has run: until now while it runs, until its last word when it is over."""
    if job_over(view.state) or not view.started_ns:
        return view.seconds
    return max(view.seconds, (now_ns - view.started_ns) / 1e9)
