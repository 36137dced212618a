"""The head of the overview: how the run stands, what is told of it and by what, and what compiles now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import Line, Span, join, line, wrap
from torchdoctor.text import safe, size_text

from .explain_words import NOTE, UNKNOWN, Draft, Target, column, many, row, seconds_text, told_rows

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import Explanation, Process

SILENT_S: Final = 60.0
"""So long without a word within a compile is said: the longest silence of a compile that went well was 15 s."""


def head(draft: Draft, now_s: float) -> None:
    """The first lines. `now_s` is the wall clock."""
    _title(draft, now_s)
    _notes(draft)
    _now(draft, now_s)


def _title(draft: Draft, now_s: float) -> None:
    of = draft.explanation
    counts = join((
        many(of.graphs, "graph") if of.graphs is not None else "",
        many(of.frames_compiled, "frame") + " compiled" if of.frames_compiled is not None else "",
        f"{seconds_text(of.forward_s)} forward" if of.forward_s is not None else "",
        f"{seconds_text(of.backward_s)} backward" if of.backward_s else "",
    ))  # fmt: skip
    state = _state(of, now_s)
    rows = wrap(counts, max(10, draft.width - len(state[0]) - 5))
    draft.say(line("  ", state, "  " + rows[0]), *(line("    " + more) for more in rows[1:]))
    source = {"trace": "from the structured trace", "text": "from the text logs alone: there is no trace"}
    read = of.bytes_there and of.bytes_read < of.bytes_there
    words = join((
        f"torch {safe(of.torch, limit=60)}" if of.torch else "",
        many(len(of.processes), "process", "processes") if of.processes else "",
        many(of.ranks, "rank") if of.ranks is not None and of.ranks > 1 else "",
        source.get(of.first_source, ""),
        f"{size_text(of.bytes_read)} of {size_text(of.bytes_there)} read" if read else "",
    ))  # fmt: skip
    draft.say(line(("  " + words, "dim")))


def _silent_s(processes: Iterable[Process], now_s: float) -> float:
    """How long none of these has said anything."""
    return now_s - max((process.last_s for process in processes if process.last_s is not None), default=now_s)


def _state(of: Explanation, now_s: float) -> Span:
    """How the run stands, as a sign and a word."""
    if of.killed_by:
        return f"✘ killed by {safe(of.killed_by, limit=20)}", "fail"
    if of.exit_code is not None:
        return (f"✘ exit {of.exit_code}", "fail") if of.exit_code else ("✔ exit 0", "ok")
    compiling = [process for process in of.processes if process.open_phases]
    if compiling and _silent_s(compiling, now_s) > SILENT_S:
        return "? silent within a compile", "warn"
    if compiling:
        return "● compiling", "run"
    if not of.first_source:
        return "· no output of torch.compile yet", "dim"
    return "● nothing compiles now", "dim"


def _notes(draft: Draft) -> None:
    for note in draft.explanation.notes:
        rows = wrap(safe(note), max(20, draft.width - 6))
        draft.say(line((f"  {NOTE} ", "info"), rows[0]), *(line("    " + more) for more in rows[1:3]))


def _now(draft: Draft, now_s: float) -> None:
    """The phases that are open: what compiles now, or did when the run ended."""
    of = draft.explanation
    over = bool(of.killed_by) or of.exit_code is not None
    groups: dict[tuple[object, ...], list[Process]] = {}
    for process in of.processes:
        if process.open_phases:
            groups.setdefault((process.open_phases, process.open_id, process.open_at), []).append(process)
    if groups:
        silent = _silent_s((one for group in groups.values() for one in group), now_s)
        note = f"nothing was said for {seconds_text(silent)}: killed, or hung" if silent > SILENT_S and not over else ""
        title = "when it ended, this was compiling" if over else "compiling" if note else "compiling now"
        draft.section(title, note, "warn")
    for processes in groups.values():
        _open_rows(draft, processes, None if over else now_s)
    if of.last_user_line and (groups or of.killed_by or of.exit_code):
        draft.say(line(("    the program's last line  ", "dim"), safe(of.last_user_line, limit=400)))


def _open_rows(draft: Draft, processes: list[Process], now_s: float | None) -> None:
    first = processes[0]
    at = first.open_at
    began = min((process.open_since_s for process in processes if process.open_since_s is not None), default=None)
    who = f"on {many(len(processes), 'process', 'processes')}" if len(processes) > 1 else _who(first)
    since = seconds_text(now_s - began) if now_s and began is not None and now_s >= began else ""
    where = draft.at(at.file, at.line) if at is not None else f"its line: {UNKNOWN}"
    target = Target(source=at, compile=(first.key, first.open_id) if first.open_id else None)
    words = join((f"[{safe(first.open_id, limit=30)}]" if first.open_id else "", who, since))

    def told(width: int) -> list[Line]:
        return told_rows(width, ("line", at.code if at is not None else ""), ("phases", " › ".join(first.open_phases)))

    draft.item(f"now:{first.key}", row(("●", "run"), where, column([where], draft.width), words, draft.width),
               target, told, bad=True)  # fmt: skip
    if at is not None and at.code:
        draft.say(line("      ", (safe(at.code.strip(), limit=400), "accent")))
    for text in wrap(_innermost(first.open_phases, 2 * (draft.width - 8)), max(20, draft.width - 8)):
        draft.say(line(("      " + text, "dim")))


def _innermost(phases: Sequence[str], most: int) -> str:
    """A stack of phases, outermost first; of a long one what lies innermost."""
    shown = [safe(phase, limit=200) for phase in phases]
    while len(shown) > 1 and len(" › ".join(shown)) > most:
        shown = ["…", *shown[2 if shown[0] == "…" else 1 :]]
    return " › ".join(shown)


def _who(process: Process) -> str:
    rank = f"rank {process.rank}" if process.rank is not None else ""
    return join((rank, f"pid {process.pid}" if process.pid is not None else ""), ", ")
