"""What an opened job rests on: one rank in full, evidence, stacks in groups, and which sources say anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Line, Page, fit, heading, labelled, line, wrap
from torchdoctor.text import safe

from .job_words import rank_sign, ranks_text
from .rank_rows import RankCell, exit_or_why, readings

if TYPE_CHECKING:
    from torchprobes.distributed import JobView, RankView, SourceState, StackGroup

_AT: Final = 15


@dataclass(frozen=True, slots=True)
class Tail:
    """The last lines of a rank's log, or why there are none; `path` names the file."""

    path: str = ""
    lines: tuple[str, ...] = ()
    why: str = ""


# --- one rank ------------------------------------------------------------------------------------------------------


def rank_page(view: JobView, rank: RankView, tail: Tail | None, width: int) -> Page:
    """Everything about one rank."""
    cell = RankCell(rank, rank.rank in view.verdict.ranks, bool(view.verdict.ranks))
    mark, role = rank_sign(rank, cell.guilty, cell.blamed)
    rows: list[Line] = [
        BLANK,
        line((f"  rank {rank.rank}", "title"), (f"   {mark} {safe(rank.state, limit=40)}", role),
             ("   named by the verdict" if cell.guilty else "", "fail")),
        *(line("  " + text) for text in wrap(safe(exit_or_why(rank)), width - 4) if text),
    ]  # fmt: skip
    for group in view.stacks:
        if rank.rank in group.ranks:
            rows += [BLANK, heading("stack", safe(group.what)), *_stack_text(group, width)]
    rows += [BLANK, *_tail_rows(tail, width), BLANK, heading("who it is")]
    for name, text in _identity(view, rank):
        rows += labelled(name, safe(text), width, at=_AT + 2, indent=4) if text else []
    rows += labelled("readings", readings(rank), width, at=_AT + 2, indent=4)
    if rank.sources:
        rows += [BLANK, heading("sources", "what says anything about this rank"), *source_rows([rank], width)]
    return Page(rows)


def _identity(view: JobView, rank: RankView) -> Iterable[tuple[str, str]]:
    return (
        ("host", rank.host or view.host),
        ("process", f"pid {rank.pid}" + (f", started {rank.start_ticks} ticks after boot" if rank.start_ticks else "")),
        ("GPU", rank.gpu),
        ("local rank", "" if rank.local_rank is None else str(rank.local_rank)),
        ("attempt", str(rank.attempt) if rank.attempt else ""),
        ("phase", rank.phase),
        ("exit", rank.exit),
        ("stdout", rank.stdout),
        ("stderr", rank.stderr),
    )


def _tail_rows(tail: Tail | None, width: int) -> list[Line]:
    if tail is None:
        return [heading("last lines", "reading")]
    if tail.why:
        return [heading("last lines"), *labelled("", safe(tail.why), width, at=4, role="dim")]
    return [heading("last lines", safe(tail.path)), *(line("    " + safe(text)) for text in tail.lines)]


# --- evidence ------------------------------------------------------------------------------------------------------


def evidence_page(view: JobView, width: int) -> Page:
    """The verdict whole, what it rests on, and what could not be seen."""
    rows: list[Line] = [BLANK]
    if not view.evidence:
        rows.append(line(("  nothing was collected yet: d collects evidence now", "dim")))
    for item in view.evidence:
        artifact = f"  [{safe(item.artifact)}]" if item.artifact else ""
        rows += labelled(safe(item.kind, limit=24), safe(item.text) + artifact, width, at=_AT)
    if view.notes:
        rows += [BLANK, heading("what could not be seen, or is to be known")]
        rows += [row for note in view.notes for row in labelled("", safe(note), width, at=4)]
    return Page(rows)


# --- stacks ----------------------------------------------------------------------------------------------------------


def stacks_page(view: JobView, width: int) -> Page:
    """Ranks whose main threads stand in equal frames, the odd ones first."""
    if not view.stacks:
        return Page([BLANK, line(("  no stacks were taken yet: d takes them now", "dim"))])
    rows: list[Line] = []
    keys: dict[int, str] = {}
    odd = len(view.stacks) > 1
    for place, group in enumerate(view.stacks):
        count = len(set(group.ranks))
        role = "fail" if set(group.ranks) & set(view.verdict.ranks) else "title"
        rows.append(BLANK)
        keys[len(rows)] = f"stack:{place}"
        who = f"rank{'s' * (count != 1)} {ranks_text(group.ranks)}"
        note = f"{count} of {len(view.ranks)}" + (", the odd group" if odd and not place else "")
        rows.append(line(("  " + who, role), (f"   {note}", "dim")))
        rows += labelled("", safe(group.what), width, at=4) if group.what else []
        rows += _stack_text(group, width)
    return Page(rows, keys)


def _stack_text(group: StackGroup, width: int) -> list[Line]:
    """The frames; those of the user's own code stand out from the library's."""
    return [line((f"      {fit(safe(text), width - 8).rstrip()}", _frame_role(text))) for text in group.text]


def _frame_role(text: str) -> str:
    return "dim" if any(part in text for part in ("/torch/", "site-packages", "dist-packages", "<frozen")) else ""


# --- sources ---------------------------------------------------------------------------------------------------------


def sources_page(view: JobView, width: int) -> Page:
    """Which sources say anything about which ranks, and what would obtain the others."""
    if not any(rank.sources for rank in view.ranks):
        return Page([BLANK, line(("  not looked at yet: d looks at every source now", "dim"))])
    return Page([BLANK, *source_rows(view.ranks, width)])


def source_rows(ranks: Sequence[RankView], width: int) -> list[Line]:
    """A row a source and answer: the ranks that share it, available or why not, and the command that would help."""
    groups: dict[SourceState, list[int]] = {}
    for rank in ranks:
        for source in rank.sources:
            groups.setdefault(source, []).append(rank.rank)
    rows: list[Line] = []
    for source, who in groups.items():
        word, role = ("available", "ok") if source.available else ("denied", "warn")
        mark = "✔" if source.available else "–"
        whose = "all ranks" if len(who) == len(ranks) else f"rank{'s' * (len(who) != 1)} {ranks_text(who)}"
        head = line("  ", (f"{mark} ", role), fit(source.source, _AT - 4), (fit(word, 10), role),
                    (fit("" if len(ranks) == 1 else whose, 0 if len(ranks) == 1 else 16), "dim"))  # fmt: skip
        at = _AT + (10 if len(ranks) == 1 else 26)
        texts = wrap(safe(source.why), max(20, width - at - 2))
        rows.append((*head, (texts[0], "" if not source.available else "dim")))
        rows += [line(" " * at + text) for text in texts[1:]]
        rows += labelled("", safe(source.command), width, at=at, role="key") if source.command else []
    return rows
