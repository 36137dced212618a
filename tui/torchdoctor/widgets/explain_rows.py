"""The overview of the explanation: what torch.compile does now and did, worst first, each line with its evidence.

Plain functions from an `Explanation` to a page. One line an item, so that it stays calm; what an item has to say in
full, with what to do about it, stands below the page for the one under the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Line, join, line, wrap
from torchdoctor.text import safe
from torchprobes.compilelog import events

from . import explain_more
from .explain_head import head
from .explain_words import (
    BREAK,
    ERROR,
    LIMIT,
    RECOMPILE,
    UNKNOWN,
    Draft,
    Sheet,
    T,
    Target,
    column,
    listed,
    many,
    row,
    seconds_text,
    short_names,
    times,
    told_rows,
)

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import (
        Break,
        Compile,
        Explanation,
        Failure,
        Function,
        Limit,
        Recompile,
    )


def overview(explanation: Explanation, width: int, opened: frozenset[str] = frozenset(), now_s: float = 0.0) -> Sheet:
    """The page of an explanation. `opened` are the keys of folds that stand open, `now_s` is the wall clock."""
    draft = Draft(explanation, width, opened, short_names(_files(explanation)))
    draft.say(BLANK)
    head(draft, now_s)
    for section in _SECTIONS:
        section(draft)
    _clean(draft)
    explain_more.rest(draft)
    if explanation.left_out:
        draft.say(BLANK, line((f"  {explanation.left_out:,} further rows are not shown: there are too many", "warn")))
    draft.say(BLANK)
    return draft.done()


def compile_sheet(explanation: Explanation, one: Compile, width: int) -> Sheet:
    """The page of one compile."""
    return explain_more.compile_page(Draft(explanation, width, frozenset(), short_names(_files(explanation))), one)


def _files(explanation: Explanation) -> Iterable[str]:
    of = explanation
    for found in (of.breaks, of.recompiles, of.limits, of.suppressed, of.skips, of.functions, of.compiles):
        yield from (one.file for one in found or ())
    yield from (process.open_at.file for process in of.processes if process.open_at is not None)


# --- what went wrong ---------------------------------------------------------------------------------------------


def _fatal(draft: Draft) -> None:
    fatal = draft.explanation.fatal
    if fatal is not None:
        draft.section("fatal error", "torch.compile ended the program", "fail")
        _failure_row(draft, "fatal", fatal)


def _suppressed(draft: Draft) -> None:
    found = draft.explanation.suppressed
    if found:
        draft.section("suppressed errors", f"{many(len(found), 'function')} left to eager in silence", "fail")
        groups = grouped(found, lambda one: (one.file, one.line, one.user, one.type, one.compile_id))
        draft.some("failures", groups,
                   lambda ones: _failure_row(draft, f"failure:{ones[0].process}:{ones[0].compile_id}", ones[0],
                                             _ranks(ones)))  # fmt: skip


def _failure_row(draft: Draft, key: str, failure: Failure, ranks: str = "") -> None:
    user = failure.user or events.Line(failure.file, failure.line, failure.function)
    where = draft.at(user.file, user.line) if user.file else safe(failure.function, limit=60)
    name = failure.type.rpartition(".")[2]
    text = safe(f"{name}: {_first_line(failure.reason)}", limit=600)
    ids = join((f"[{safe(failure.compile_id, limit=20)}]" if failure.compile_id else "", ranks), " ")

    def told(width: int) -> list[Line]:
        reason, hint = _hint(failure.reason)
        return told_rows(width, ("line", user.code), ("to do", hint), ("reason", reason), ("type", failure.type),
                         ("function", failure.function))  # fmt: skip

    target = Target(failure.place, user if user.file else None, compile=_compile(failure.process, failure.compile_id))
    draft.item(key, row((ERROR, "fail"), where, column([where], draft.width), text, draft.width, ids), target, told,
               bad=True)  # fmt: skip


def _hint(reason: str) -> tuple[str, str]:
    """(why, what to do) of torch's words for an error, which may hold both."""
    lines = reason.splitlines()
    hints = [line.strip().removeprefix("Hint:").strip() for line in lines if line.strip().startswith("Hint:")]
    rest = [line for line in lines if not line.strip().startswith("Hint:")]
    return "\n".join(rest), " ".join(hints)


def _limits(draft: Draft) -> None:
    found = draft.explanation.limits
    if not found:
        return
    draft.section("recompile limits", "from now on these run eagerly", "fail")
    at = column((draft.at(limit.file, limit.line) for limit in found), draft.width)
    groups = grouped(found, lambda one: (one.file, one.line, one.limit_name))
    draft.some("limits", groups, lambda ones: _limit_row(draft, ones[-1], at, _ranks(ones)))


def _limit_row(draft: Draft, limit: Limit, at: int, ranks: str) -> None:
    count = f"{limit.limit}" if limit.limit is not None else "its limit"
    text = safe(f"{limit.function} reached {count}: {_first_line(limit.last_reason)}", limit=600)

    def told(width: int) -> list[Line]:
        stop = next((f.stop for f in draft.explanation.functions if (f.file, f.line) == (limit.file, limit.line)), "")
        return told_rows(width, ("last reason", limit.last_reason), ("limit", limit.limit_name), ("to do", stop))

    target = Target(limit.place, events.Line(limit.file, limit.line, limit.function))
    draft.item(f"limit:{limit.process}:{limit.file}:{limit.line}",
               row((LIMIT, "fail"), draft.at(limit.file, limit.line), at, text, draft.width, ranks), target, told,
               bad=True)  # fmt: skip


# --- graph breaks ------------------------------------------------------------------------------------------------


def _breaks(draft: Draft) -> None:
    found = draft.explanation.breaks
    if not found:
        return
    own = [one for one in found if not one.foreign]
    foreign = [one for one in found if one.foreign]
    every = sum(one.occurrences for one in found)
    draft.section("graph breaks", f"{len(found):,} distinct, {every:,} in all", "dim")
    at = column((draft.at(one.file, one.line) for one in own), draft.width)
    draft.some("breaks", own, lambda one: _break_row(draft, one, at))
    if foreign:
        count = sum(one.occurrences for one in foreign)
        words = f"{many(len(foreign), 'break')} inside installed packages, {count:,} in all"
        if draft.fold("foreign", [(words, "dim")]):
            at = column((draft.at(one.file, one.line) for one in foreign), draft.width)
            draft.some("foreign", foreign, lambda one: _break_row(draft, one, at), 100)


def _break_row(draft: Draft, one: Break, at: int) -> None:
    text = safe(one.kind or _first_line(one.reason), limit=300)
    code = safe(" ".join(one.code.split()), limit=200)

    def told(width: int) -> list[Line]:
        hint = " ".join(one.hints[:2])
        reason = "" if one.reason.strip() == one.kind else one.reason
        where = join((one.break_id, f"in {one.function}" if one.function else "",
                      "compiles " + listed(one.compile_ids) if one.compile_ids else ""))  # fmt: skip
        return told_rows(width, ("line", one.code.strip()), ("to do", hint), ("why", one.explanation or reason),
                         ("where", where))  # fmt: skip

    target = Target(one.places[0] if one.places else None, events.Line(one.file, one.line, one.function, one.code))
    sign = (BREAK, "dim" if one.foreign else "warn")
    draft.item(f"break:{one.file}:{one.line}:{one.kind}",
               row(sign, draft.at(one.file, one.line), at, text, draft.width, times(one.occurrences), code), target,
               told, bad=not one.foreign)  # fmt: skip


# --- recompiles --------------------------------------------------------------------------------------------------


def _recompiles(draft: Draft) -> None:
    found = draft.explanation.recompiles
    if not found:
        return
    groups = sorted(grouped(found, lambda one: (one.file, one.line)), key=len, reverse=True)
    draft.section("recompiles", f"{len(found):,}, of {many(len(groups), 'function')}", "dim")
    at = column((_function_name(draft, group[0]) for group in groups), draft.width)
    trends: dict[tuple[str, int], Function] = {}
    for one in sorted(draft.explanation.functions, key=lambda one: one.compiles):
        trends[one.file, one.line] = one
    draft.some("functions", groups,
               lambda group: _function_rows(draft, group, trends.get((group[0].file, group[0].line)), at))  # fmt: skip


def _function_name(draft: Draft, one: Recompile) -> str:
    return f"{safe(one.function, limit=60)} {draft.at(one.file, one.line)}"


def _function_rows(draft: Draft, group: list[Recompile], trend: Function | None, at: int) -> None:
    """A function with how often and why, and, opened, each of its recompiles."""
    last = group[-1]
    text = safe(last.reason or last.guard, limit=200)
    said = row((RECOMPILE, "warn"), _function_name(draft, last), at, text, draft.width - 2,
               join((times(len(group)) or "×1", _ranks(group)), " "), _pace(trend))  # fmt: skip
    words = [(said[0][0].lstrip(), said[0][1]), *said[1:]]

    def told(width: int) -> list[Line]:
        values = " › ".join(trend.values[-16:]) if trend is not None else ""
        lost = f"{seconds_text(trend.seconds)} spent on recompiles" if trend and trend.seconds is not None else ""
        return told_rows(width, ("why", last.reason), ("to do", trend.stop if trend is not None else ""),
                         ("values", values), ("pace", join((_meter(trend), lost))), ("guard", last.guard))  # fmt: skip

    source = last.at or events.Line(last.file, last.line, last.function)
    target = Target(last.place, source, compile=_compile(last.process, last.compile_id))
    mark = len(draft.lines)
    if draft.fold(f"function:{last.file}:{last.line}", words, target, told):
        for one in group[-100:]:
            _recompile_row(draft, one)
    draft.marks.add(mark)


def _pace(trend: Function | None) -> str:
    if trend is None:
        return ""
    rate = f"{trend.a_minute:.1f} a minute" if trend.a_minute is not None else ""
    return join((rate, trend.trend), ", ")


def _meter(trend: Function | None) -> str:
    if trend is None:
        return ""
    return join((f"{trend.compiles} of {trend.limit} compiles" if trend.limit else "", _pace(trend)))


def _recompile_row(draft: Draft, one: Recompile) -> None:
    def told(width: int) -> list[Line]:
        return told_rows(width, ("why", one.reason), ("guard", one.guard), ("others", listed(one.others, 4)))

    source = one.at or events.Line(one.file, one.line, one.function)
    said = row(("·", "dim"), f"[{safe(one.compile_id, limit=20)}]", 8, safe(one.reason or one.guard, limit=400),
               draft.width, safe(one.kind, limit=20))  # fmt: skip
    spans = (("    " + said[0][0], said[0][1]), *said[1:])
    target = Target(one.place, source, compile=_compile(one.process, one.compile_id))
    draft.item(f"recompile:{one.process}:{one.compile_id}", spans, target, told)


# --- what is well, and what nobody knows -------------------------------------------------------------------------


def _clean(draft: Draft) -> None:
    """One line for all that there is none of, one for all that the files do not tell: neither is left to be guessed."""
    of = draft.explanation
    asked: tuple[tuple[str, object], ...] = (
        ("fatal error of torch.compile", of.fatal if of.fatal is not None else () if of.fatal_known else None),
        ("suppressed errors", of.suppressed),
        ("recompile limits", of.limits),
        ("graph breaks", of.breaks),
        ("recompiles", of.recompiles),
        ("CUDA graph skips", of.skips),
        ("fallback kernels", of.fallbacks),
        ("cache lookups", of.caches),
        ("graphs", of.graphs),
        ("compile seconds", of.forward_s),
    )
    none = [name for name, found in asked if found == ()]
    unknown = [name for name, found in asked if found is None]
    if not of.first_source and not of.processes:
        none = []
    draft.say(BLANK)
    for sign, label, names in ((("✔", "ok"), "none", none), (("?", "info"), UNKNOWN, unknown)):
        if names:
            rows = wrap(f"{label}: {' · '.join(names)}", max(20, draft.width - 6))
            draft.say(line(("  " + sign[0] + " ", sign[1]), rows[0]), *(line("    " + more) for more in rows[1:]))


def grouped(found: Iterable[T], key: Callable[[T], object]) -> list[list[T]]:
    """What is the same on several ranks together, in the order of the first of each."""
    groups: dict[object, list[T]] = {}
    for one in found:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _ranks(ones: Sequence[Failure] | Sequence[Limit] | Sequence[Recompile]) -> str:
    """`on 8 ranks` where it is more than one."""
    count = len({one.process for one in ones})
    return f"on {count:,} ranks" if count > 1 else ""


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _compile(process: str, compile_id: str) -> tuple[str, str] | None:
    return (process, compile_id) if compile_id else None


_SECTIONS: Final[tuple[Callable[[Draft], None], ...]] = (
    _fatal,
    _suppressed,
    _limits,
    _breaks,
    _recompiles,
    explain_more.skips,
    explain_more.fallbacks,
)
