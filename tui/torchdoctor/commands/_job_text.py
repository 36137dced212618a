"""A job as text for a person who has no screen for it: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from torchprobes.distributed import JobView, RankView, SourceState
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain

from ._table import hanging

MOST_ROWS = 64
"""Ranks that are listed one by one; beyond, those that are in equal states share a line."""


def verdict_line(view: JobView) -> str:
    """The verdict in one line; what is not sure begins so."""
    verdict = view.verdict
    line = verdict.line or (
        "no fault found" if verdict.cause == "none" else f"{verdict.cause} on {ranks_words(verdict.ranks)}"
    )
    return plain(mask(line if verdict.sure or line.startswith("not sure") else f"not sure: {line}"))


def exit_code(view: JobView) -> int:
    """0 no cause, 1 a cause, 4 not sure."""
    if not view.verdict.sure:
        return exit_codes.INCOMPLETE
    return exit_codes.OK if view.verdict.cause == "none" else exit_codes.FAIL


def document_of(view: JobView) -> bytes:
    """The job document: known keys are never left out."""
    return msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n"


def job_lines(view: JobView, width: int) -> Iterator[str]:
    """The whole of it: verdict, sources, ranks, evidence, stacks, notes. Of a job that ended well the first two do."""
    yield from hanging("", verdict_line(view), width)
    yield plain(mask(_head(view)), width)
    if view.state == "ended" and view.verdict.cause == "none" and view.verdict.sure:
        return
    yield ""
    yield from source_lines(view.ranks, width)
    yield from rank_lines(view.ranks, width)
    yield from _evidence_lines(view, width)
    yield from _stack_lines(view, width)
    for note in view.notes:
        yield from hanging("note: ", plain(mask(note)), width)


def _head(view: JobView) -> str:
    """Who it is: key, state, how many of its ranks are seen, where, what it runs."""
    of = f" of {view.world_size}" if view.world_size is not None else ""
    where = ", ".join(view.nodes) or view.host
    parts = (f"{view.job}  {view.state}", f"{len(view.ranks)}{of} ranks", where, view.user, short(view.command))
    return "  ".join(part for part in parts if part)


def short(command: str) -> str:
    """A command line without the path of its interpreter and that one's switches, secrets masked."""
    words = command.split(" ")
    for place, word in enumerate(words):
        if word.endswith("/rank_shim.py"):  # ours: its first argument is the run id, the second the rank's program
            words = words[place + 2 :] or words
            break
    first = words[0].rpartition("/")[2]
    rest = words[1:] if first.startswith(("python", "pypy")) else [first, *words[1:]]
    while rest and rest[0] in ("-u", "-B", "-I", "-S", "-m"):
        rest = rest[1:]
    if rest:
        rest[0] = rest[0].rpartition("/")[2]
    return plain(mask(" ".join(rest or [first])))


# --- ranks ---------------------------------------------------------------------------------------------------------


def rank_lines(ranks: Sequence[RankView], width: int) -> Iterator[str]:
    """A row a rank: place, process, state, and what it waits for or how it ended."""
    if not ranks:
        yield "ranks: none is seen"
        return
    yield f"{'rank':>5}  {'host':14}  {'pid':>8}  {'gpu':8}  {'state':12}  what"
    shown = ranks if len(ranks) <= MOST_ROWS else [row for row in ranks if row.state not in ("running", "stepping")]
    for row in shown[:MOST_ROWS]:
        place = f"{row.rank:>5}  {plain(row.host, 14):14}  {row.pid or '':>8}  {plain(row.gpu, 8):8}"
        yield plain(f"{place}  {plain(row.state, 12):12}  {mask(_what(row))}", width)
    if len(shown[:MOST_ROWS]) < len(ranks):
        yield f"  and {len(ranks) - len(shown[:MOST_ROWS])} more: --json has all"


def _what(row: RankView) -> str:
    """What it does, in words: the end, the collective and how long, the step, why it is in its state."""
    waits = f"{row.waiting_s:.0f} s" if row.waiting_s is not None else ""
    steps = f"step {row.steps}" if row.steps is not None else ""
    rate = f"{row.step_rate_hz:.2g}/s" if row.step_rate_hz is not None else ""
    late = f"{row.lag_s * 1e3:.3g} ms late" if row.lag_s is not None and row.lag_s >= 1e-3 else ""
    memory = f"{row.rss_bytes / 2**30:.1f} GiB" if row.rss_bytes is not None else ""
    collective = " ".join(filter(None, (row.collective, waits)))
    ended = row.why if row.exit and row.why.startswith(row.exit) else row.exit
    why = row.why if ended != row.why else ""
    return "  ".join(filter(None, (ended, steps, rate, collective, late, memory, why)))


# --- sources -------------------------------------------------------------------------------------------------------


def source_lines(ranks: Sequence[RankView], width: int) -> Iterator[str]:
    """What can be read of each rank; ranks with equal sources share a row, each denied one has its cause and remedy."""
    groups: dict[tuple[SourceState, ...], list[int]] = {}
    for row in ranks:
        if row.sources:
            groups.setdefault(row.sources, []).append(row.rank)
    for states, numbers in groups.items():
        readable = [state.source for state in states if state.available]
        yield from hanging(f"sources of {ranks_words(numbers)}: ", " ".join(readable) or "none", width, indent=4)
        for state in (state for state in states if not state.available):
            yield from hanging(f"  no {plain(state.source)}: ", plain(mask(state.why or "unread")), width, indent=6)
            if state.command:
                yield f"      obtain it: {plain(mask(state.command))}"


# --- evidence ------------------------------------------------------------------------------------------------------


def _evidence_lines(view: JobView, width: int) -> Iterator[str]:
    if view.evidence:
        yield ""
        yield "evidence:"
    for each in view.evidence:
        tail = f"  ({each.artifact})" if each.artifact else ""
        yield from hanging(f"  {plain(mask(each.kind))}: ", plain(mask(each.text + tail)), width, indent=4)


def _stack_lines(view: JobView, width: int) -> Iterator[str]:
    for group in view.stacks:
        yield ""
        yield plain(f"stack of {ranks_words(group.ranks)}: {mask(group.what)}", width)
        for text in group.text[:40]:
            yield plain("    " + mask(text), width)


def ranks_words(ranks: Iterable[int]) -> str:
    """`rank 2`, `ranks 0-3, 7`."""
    numbers = sorted(set(ranks))
    if not numbers:
        return "no rank"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"rank{'s' if len(numbers) > 1 else ''} {words}"
