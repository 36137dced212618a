"""A job as text for a person who has no screen for it: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from torchprobes.distributed import JOB_OVER, JobView, RankView
from torchprobes.jobs.wording import NO_RANK_YET, ranks_words, script_words
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain

from ._table import hanging

MOST_ROWS = 64
"""Ranks that are listed one by one; beyond, those that are in equal states share a line."""

MOST_LINES: Final = 12
"""Of the evidence; the rest is in the document."""


def verdict_line(view: JobView) -> str:
    """The verdict in one line; what is not sure says so, once."""
    verdict = view.verdict
    line = verdict.line or (
        "no fault found" if verdict.cause == "none" else f"{verdict.cause} on {ranks_words(verdict.ranks)}"
    )
    said = verdict.sure or "not sure" in line or line == NO_RANK_YET
    return plain(mask(line if said else f"not sure: {line}"))


def exit_code(view: JobView) -> int:
    """0 no cause, 1 a cause, 4 not sure."""
    if not view.verdict.sure:
        return exit_codes.INCOMPLETE
    return exit_codes.OK if view.verdict.cause == "none" else exit_codes.FAIL


def document_of(view: JobView) -> bytes:
    """The job document: known keys are never left out."""
    return msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n"


def job_lines(view: JobView, width: int) -> Iterator[str]:
    """The whole of it: verdict, ranks, evidence, stacks, notes, sources. Of a job that ended well the verdict alone."""
    yield from hanging("", verdict_line(view), width)
    yield plain(mask(_head(view)), width)
    if view.state == "ended" and view.verdict.cause == "none" and view.verdict.sure:
        return
    yield ""
    yield from rank_lines(view.ranks, width)
    yield from _evidence_lines(view, width)
    yield from _stack_lines(view, width)
    if view.notes:
        yield ""
    for note in view.notes:
        yield from hanging("note: ", plain(mask(note)), width)
    yield from source_lines(view, width)


def _head(view: JobView) -> str:
    """Who it is: key, state, how many of its ranks are seen, where, what it runs."""
    of = f" of {view.world_size}" if view.world_size is not None else ""
    where = ", ".join(view.nodes) or view.host
    parts = (f"{view.job}  {view.state}", f"{len(view.ranks)}{of} ranks", where, view.user, short(view.command))
    return "  ".join(part for part in parts if part)


def short(command: str) -> str:
    """What a job runs, without its launcher, its interpreter and the path of the script; secrets masked."""
    words = script_words(command).split(" ")
    return plain(mask(" ".join([words[0].rpartition("/")[2], *words[1:]])))


# --- ranks ---------------------------------------------------------------------------------------------------------


def rank_lines(ranks: Sequence[RankView], width: int) -> Iterator[str]:
    """A row a rank: place, process, state, and what it waits for or how it ended. A column that says nothing is left
    out, and the last one takes the rest of the line.
    """
    if not ranks:
        yield "ranks: none is seen"
        return
    shown = ranks if len(ranks) <= MOST_ROWS else [row for row in ranks if row.state not in ("running", "stepping")]
    rows = [HEADS, *(_cells(row) for row in shown[:MOST_ROWS])]
    wide = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    kept = [column for column in range(len(HEADS)) if any(row[column] for row in rows[1:])] or [0]
    for row in rows:
        cells = [row[c].rjust(wide[c]) if HEADS[c] in ("rank", "pid") else row[c].ljust(wide[c]) for c in kept]
        yield plain("  ".join(cells).rstrip(), width)
    if len(rows) - 1 < len(ranks):
        yield f"  and {len(ranks) - len(rows) + 1} more: --json has all"


HEADS: Final = ("rank", "host", "pid", "gpu", "state", "what")


def _cells(row: RankView) -> tuple[str, ...]:
    place = (str(row.rank), plain(row.host, 24), str(row.pid or ""), plain(row.gpu, 12), plain(row.state, 12))
    return (*place, plain(mask(_what(row))))


def _what(row: RankView) -> str:
    """What it does, in words: the end, the collective and how long, the step, why it is in its state."""
    waits = f"{row.waiting_s:.0f} s" if row.waiting_s is not None else ""
    steps = f"step {row.steps}" if row.steps is not None else ""
    steps_on = row.step_rate_hz is not None and row.state not in ("waiting", "hung", "stopped", "blocked")
    rate = f"{row.step_rate_hz:.2g}/s" if steps_on else ""
    late = f"{row.lag_s * 1e3:.3g} ms late" if row.lag_s is not None and row.lag_s >= 1e-3 else ""
    memory = f"{row.rss_bytes / 2**30:.1f} GiB" if row.rss_bytes is not None else ""
    collective = " ".join(filter(None, (row.collective, waits)))
    ended = row.why if row.exit and row.why.startswith(row.exit) else row.exit
    why = row.why if ended != row.why else ""
    why = why.removeprefix(f"in {row.collective}").strip() if row.collective else why
    return "  ".join(filter(None, (ended, collective, why, steps, rate, late, memory)))


# --- sources -------------------------------------------------------------------------------------------------------


def source_lines(view: JobView, width: int) -> Iterator[str]:
    """A row a source, and in it the ranks by what they answer: yes, or why not, and the command that would obtain it.

    Of a job that is over only what would have helped is told: a source that a command obtains.
    """
    answers: dict[str, dict[tuple[bool, str, str], list[int]]] = {}
    for row in view.ranks:
        for state in row.sources:
            answer = (state.available, "" if state.available else state.why or "unread", state.command)
            answers.setdefault(state.source, {}).setdefault(answer, []).append(row.rank)
    rows = [(name, ranks, answer) for name, by in answers.items() for answer, ranks in by.items()]
    if view.state in JOB_OVER:
        rows = [row for row in rows if row[2][2]]
    wide = max((len(name) for name, _, _ in rows), default=0)
    said = ""
    for name, ranks, (available, why, command) in rows:
        if not said:
            yield from ("", "sources:")
        head = f"  {('' if name == said else plain(name)).ljust(wide)}  {ranks_words(ranks)}: "
        text = "yes" if available else f"no: {why}" + (f" · {command}" if command else "")
        yield from hanging(head, plain(mask(text)), width, indent=wide + 6)
        said = name


# --- evidence ------------------------------------------------------------------------------------------------------


def _evidence_lines(view: JobView, width: int) -> Iterator[str]:
    """The weightiest pieces, as many as a person reads at once, without what stands elsewhere on the page."""
    told = [each for each in view.evidence if each.kind not in ("doubt", "source")]
    if told:
        yield ""
        yield "evidence:"
    left = MOST_LINES
    for place, each in enumerate(told):
        tail = f"  ({each.artifact})" if each.artifact else ""
        lines = list(hanging(f"  {plain(mask(each.kind))}: ", plain(mask(each.text + tail)), width, indent=4))
        if place and len(lines) > left:
            yield f"  and {len(told) - place} more: --json has all"
            return
        yield from lines
        left -= len(lines)


def _stack_lines(view: JobView, width: int) -> Iterator[str]:
    for group in (group for group in view.stacks if group.text):
        yield ""
        yield plain(f"stack of {ranks_words(group.ranks)}: {mask(group.what)}", width)
        for text in group.text[:40]:
            yield plain("    " + mask(text), width)
