"""The lower half of the overview: CUDA graphs, fallbacks, time, caches, autotune, kernels, graphs; and one compile."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Line, bar, fit, heading, join, labelled, line
from torchdoctor.text import safe
from torchprobes.compilelog import events

from .explain_words import (
    COMPILE_STATES,
    FALLBACK,
    NOTE,
    SKIP,
    UNKNOWN,
    Draft,
    Sheet,
    Target,
    column,
    listed,
    many,
    row,
    seconds_text,
    times,
    told_rows,
)
from .piece_words import about, reading_order, title_of

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import (
        CacheUse,
        Compile,
        Explanation,
        FallbackKernel,
        Kernel,
        Piece,
        Skip,
        Tuned,
    )

PHASES: Final = 8
"""Bars at once; the rest opens."""

# --- what does not run as fast as was asked for ------------------------------------------------------------------


def skips(draft: Draft) -> None:
    """CUDA graphs that are not used."""
    found = draft.explanation.skips
    if not found:
        return
    draft.section("CUDA graphs skipped")
    at = column((_skip_where(draft, one) for one in found), draft.width)
    draft.some("skips", found, lambda one: _skip_row(draft, one, at))


def _skip_where(draft: Draft, one: Skip) -> str:
    return draft.at(one.file, one.line) if one.file else f"[{safe(one.compile_id)}]" if one.compile_id else "at run"


def _skip_row(draft: Draft, one: Skip, at: int) -> None:
    part = "a part of the graph only" if one.partitioned else ""

    def told(width: int) -> list[Line]:
        return told_rows(width, ("why", one.reason), ("how far", part), ("compile", one.compile_id))

    text = join((safe(one.reason or one.kind, limit=400), part))
    target = Target(one.place, events.Line(one.file, one.line) if one.file else None,
                    compile=(one.process, one.compile_id) if one.compile_id else None)  # fmt: skip
    said = row((SKIP, "info" if one.partitioned else "warn"), _skip_where(draft, one), at, text, draft.width,
               times(one.occurrences))  # fmt: skip
    draft.item(f"skip:{one.process}:{one.compile_id}:{one.kind}:{one.file}:{one.line}", said, target, told,
               bad=not one.partitioned)  # fmt: skip


def fallbacks(draft: Draft) -> None:
    """Ops without a kernel of Inductor's; those that a library is meant to run are one line that opens."""
    found = draft.explanation.fallbacks
    if not found:
        return
    real = _by_op([one for one in found if not one.harmless])
    meant = _by_op([one for one in found if one.harmless])
    draft.section("fallback kernels", "" if real else "none that costs: a library's kernel is meant")
    at = column((safe(op, limit=60) for op in real), draft.width)
    draft.some("fallbacks", list(real.values()), lambda ones: _fallback_row(draft, ones, at))
    if meant and draft.fold("meant", [(f"{many(len(meant), 'op')} by a library, as meant: {listed(meant, 3)}", "dim")]):
        at = column((safe(op, limit=60) for op in meant), draft.width)
        for ones in meant.values():
            _fallback_row(draft, ones, at)


def _by_op(found: list[FallbackKernel]) -> dict[str, list[FallbackKernel]]:
    ops: dict[str, list[FallbackKernel]] = {}
    for one in found:
        ops.setdefault(one.op, []).append(one)
    return ops


def _fallback_row(draft: Draft, ones: list[FallbackKernel], at: int) -> None:
    first = ones[0]
    ids = listed(dict.fromkeys(safe(one.compile_id, limit=20) for one in ones if one.compile_id), 6)
    text = join((f"eager's kernel in [{ids}]" if ids else "eager's kernel",))
    target = Target(first.place, compile=(first.process, first.compile_id) if first.compile_id else None)
    sign = (FALLBACK, "dim" if first.harmless else "warn")
    draft.item(f"fallback:{first.op}", row(sign, safe(first.op, limit=60), at, text, draft.width, times(len(ones))),
               target, bad=not first.harmless)  # fmt: skip


# --- where the time went -----------------------------------------------------------------------------------------


def rest(draft: Draft) -> None:
    """What is good to know: time, caches, autotune, kernels, graphs, torch's own words."""
    _time(draft)
    of = draft.explanation
    if not (of.caches or of.tuned or of.kernels or of.compiles or of.warnings):
        return
    draft.section("more")
    _caches(draft)
    _tuned(draft)
    _kernels(draft)
    _graphs(draft)
    if of.warnings and draft.fold("warnings", [(f"{many(len(of.warnings), 'warning')} of torch on speed", "")]):
        for words in of.warnings:
            draft.say(*labelled("", safe(words), draft.width, at=6))


def _time(draft: Draft) -> None:
    of = draft.explanation
    if of.forward_s is None and of.backward_s is None:
        return
    total = (of.forward_s or 0.0) + (of.backward_s or 0.0)
    both = (("forward", of.forward_s), ("backward", of.backward_s))
    parts = join(f"{way} {seconds_text(seconds)}" for way, seconds in both if seconds is not None)
    phases = _phases(of)
    draft.section("compile time", f"{parts}; phases lie within each other" if phases and draft.width >= 78 else parts)
    is_open = "more:phases" in draft.opened
    for name, seconds in phases[: None if is_open else PHASES]:
        wide = max(8, min(40, draft.width - 48))
        share = bar(min(1.0, seconds / total) if total else None, wide)
        draft.say(line("    ", (fit(safe(name, limit=60), 28), ""), (fit(seconds_text(seconds), 9, "right"), ""),
                       "  ", *share))  # fmt: skip
    if len(phases) > PHASES:
        draft.fold("more:phases", [(many(len(phases) - PHASES, "more phase"), "dim")])


def _phases(of: Explanation) -> list[tuple[str, float]]:
    """Wall seconds by phase over all compiles, the longest first."""
    seconds: Counter[str] = Counter()
    for one in of.compiles:
        for name, wall, _ in one.phases:
            seconds[name] += wall  # type: ignore[assignment]  # a Counter adds floats as well
    return sorted(((name, float(value)) for name, value in seconds.items()), key=lambda one: -one[1])


def _caches(draft: Draft) -> None:
    found = draft.explanation.caches
    if not found:
        return
    states = Counter((one.what, one.state) for one in found)
    words = " · ".join(f"{safe(what, limit=30)} {count:,} {state}" for (what, state), count in sorted(states.items()))
    if draft.fold("caches", [("caches  ", "title"), (words, "dim")]):
        for one in found[-100:]:
            _cache_row(draft, one)


def _cache_row(draft: Draft, one: CacheUse) -> None:
    roles = {"hit": ("✔", "ok"), "miss": ("·", "dim"), "bypass": ("▲", "warn")}
    saved = f"{seconds_text(one.saved_s)} saved" if one.saved_s else ""
    text = join((f"{safe(one.what, limit=40)} {one.state}", safe(one.reason, limit=300), saved))
    said = row(roles[one.state], f"[{safe(one.compile_id, limit=20)}]", 8, text, draft.width - 2)
    draft.item(f"cache:{one.process}:{one.compile_id}:{one.what}", (("  ", ""), *said), Target(one.place),
               lambda width: told_rows(width, ("cache", text), ("why", one.reason)))  # fmt: skip


def _tuned(draft: Draft) -> None:
    found = draft.explanation.tuned
    if found and draft.fold("tuned", [("autotune  ", "title"), (many(len(found), "op") + " timed", "dim")]):
        for place, one in enumerate(found[:100]):
            _tuned_row(draft, one, place)


def _tuned_row(draft: Draft, one: Tuned, place: int) -> None:
    def told(width: int) -> list[Line]:
        choices = ", ".join(f"{name} {_ms(ms)}" for name, ms in one.choices[:8])
        return told_rows(width, ("op", f"{one.op}({one.arguments})"), ("choices", choices))

    text = f"{safe(one.winner, limit=80)} in {_ms(one.winner_ms)}, of {many(len(one.choices), 'choice')}"
    said = row(("·", "dim"), f"{safe(one.op, limit=40)}({safe(one.arguments, limit=60)})", 28, text, draft.width - 2)
    draft.item(f"tuned:{place}", (("  ", ""), *said), Target(one.place), told)


def _ms(value: float) -> str:
    return f"{value:.4g} ms" if value != float("inf") else "failed"


def _kernels(draft: Draft) -> None:
    found = draft.explanation.kernels
    if not found:
        return
    ops = sum(len(one.ops) for one in found)
    words = f"{len(found):,}, of {many(ops, 'op')}" if ops else f"{len(found):,}"
    if draft.fold("kernels", [("kernels  ", "title"), (words, "dim")]):
        draft.some("kernels", found, lambda one: _kernel_row(draft, one), 40)


def _kernel_row(draft: Draft, one: Kernel) -> None:
    ops = safe(" ".join(one.ops), limit=400) or f"its ops: {UNKNOWN}"
    places = listed((draft.at(at.file, at.line) for at in one.lines), 3)
    wide = 44 if draft.width >= 120 else 28

    def told(width: int) -> list[Line]:
        return told_rows(width, ("kernel", one.name), ("ops", " ".join(one.ops)), ("lines", places),
                         ("compile", one.compile_id))  # fmt: skip

    said = row(("·", "dim"), safe(one.name, limit=120), wide, ops, draft.width - 2)
    target = Target(one.place, one.lines[0] if one.lines else None,
                    compile=(one.process, one.compile_id) if one.compile_id else None)  # fmt: skip
    draft.item(f"kernel:{one.process}:{one.compile_id}:{one.name}", (("  ", ""), *said), target, told)


def _graphs(draft: Draft) -> None:
    found = draft.explanation.compiles
    if not found:
        return
    states = Counter(one.state for one in found)
    words = " · ".join(f"{count:,} {state}" for state, count in states.most_common())
    if draft.fold("compiles", [("compiles  ", "title"), (words, "dim")]):
        draft.some("compiles", found, lambda one: _compile_row(draft, one), 40)


def _compile_row(draft: Draft, one: Compile) -> None:
    text = join((many(one.ops, "op") if one.ops is not None else "", one.state if one.state != "compiled" else "",
                 one.cache))  # fmt: skip
    where = f"[{safe(one.compile_id, limit=12)}] {draft.at(one.file, one.line)}"
    said = row(COMPILE_STATES.get(one.state, ("?", "dim")), where, 28, text, draft.width - 2,
               seconds_text(one.forward_s) if one.forward_s is not None else "")  # fmt: skip
    target = Target(source=_line_of(one), compile=(one.process, one.compile_id))
    draft.item(f"compile:{one.process}:{one.compile_id}", (("  ", ""), *said), target,
               lambda width: told_rows(width, ("function", one.function), ("cache", one.cache)))  # fmt: skip


def _line_of(one: Compile) -> events.Line | None:
    return events.Line(one.file, one.line, one.function) if one.file else None


# --- one compile -------------------------------------------------------------------------------------------------


def compile_page(draft: Draft, one: Compile) -> Sheet:
    """All about one compile: what became of it, seconds by phase, cache, and everything that can be read of it."""
    sign, role = COMPILE_STATES.get(one.state, ("?", "dim"))
    where = draft.at(one.file, one.line) if one.file else ""
    draft.say(BLANK, line(f"  [{safe(one.compile_id, limit=20)}] ", (f"{safe(one.function, limit=80)}  ", "title"),
                          (f"{sign} {one.state}  ", role), (where, "dim")))  # fmt: skip
    for label, text in _facts(one):
        draft.say(*(labelled(label, safe(text), draft.width, at=18) if text else ()))
    _phase_rows(draft, one)
    draft.say(BLANK, heading("to read", "" if one.pieces else _no_pieces(one)))
    for piece in sorted(one.pieces, key=reading_order):
        piece_row(draft, piece, one)
    draft.say(BLANK)
    return draft.done()


def _phase_rows(draft: Draft, one: Compile) -> None:
    """A bar a phase; CPU seconds beside the wall's where the files tell them."""
    if not one.phases:
        return
    told = any(cpu is not None for _, _, cpu in one.phases)
    draft.say(BLANK, heading("seconds by phase", "wall, and CPU" if told else "wall; the files do not tell the CPU's"))
    top = max(wall for _, wall, _ in one.phases) or 1.0
    used_cells, name_cells = 14 if told else 0, 28 if draft.width >= 70 else 20
    for name, wall, cpu in one.phases:
        used = fit(f"{seconds_text(cpu)} cpu" if cpu is not None else "", used_cells, "right")
        share = bar(wall / top, max(6, min(60, draft.width - 19 - name_cells - used_cells)))
        draft.say(line("    ", fit(safe(name, limit=60), name_cells), fit(seconds_text(wall), 9, "right"),
                       (used, "dim"), "  ", *share))  # fmt: skip


def _facts(one: Compile) -> list[tuple[str, str]]:
    began = time.strftime("%H:%M:%S", time.localtime(one.started_s)) if one.started_s is not None else UNKNOWN
    return [
        ("process", one.process),
        ("began at", began),
        ("attempts", str(one.attempts)),
        ("ops", str(one.ops) if one.ops is not None else UNKNOWN),
        ("graphs", str(one.graphs)),
        ("forward", seconds_text(one.forward_s) if one.forward_s is not None else UNKNOWN),
        ("backward", seconds_text(one.backward_s) if one.backward_s is not None else ""),
        ("cache", one.cache or UNKNOWN),
    ]


def _no_pieces(one: Compile) -> str:
    """Why there is nothing: a cache hit leaves no artefacts, which is no fault."""
    return "nothing: a cache hit leaves no artefacts" if one.state == "cached" or "hit" in one.cache else "nothing yet"


def piece_row(draft: Draft, piece: Piece, one: Compile) -> None:
    """A line for something to read."""
    wide = 38 if draft.width >= 80 else 28
    where = "" if piece.size is None else "trace"
    text = join((about(piece).what, safe(piece.graph, limit=60)))
    draft.item(f"piece:{piece.path}:{piece.offset}",
               row((NOTE, "info"), safe(title_of(piece), limit=60), wide, text, draft.width, where),
               Target(piece=piece, source=_line_of(one)))  # fmt: skip
