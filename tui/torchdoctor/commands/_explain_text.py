"""An explanation of torch.compile's output as text: one page, worst first, each item with its line and its cure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from torchprobes.compilelog.explanation import (
    Break,
    Explanation,
    Failure,
    FallbackKernel,
    Function,
    Limit,
    Process,
    Skip,
)
from torchprobes.compilelog.ledger.names import is_foreign
from torchprobes.reports.text import mask, plain

from ._table import hanging

MOST_LINES: Final = 40
"""Of the page; sections are cut until it fits, and say what they left out."""

_MOST_ITEMS: Final = 6
"""Of one section."""

_NAME: Final = 48
"""A longer path is told by its last two parts."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One finding: what kind of, what, and what to do about it."""

    head: str
    text: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Signs:
    bad: str
    warn: str
    note: str
    times: str


_UNICODE: Final = _Signs("✘", "▲", "•", "×")
_ASCII: Final = _Signs("x", "!", "-", "x")


def explanation_text(explanation: Explanation, *, ascii_only: bool, width: int, cwd: str) -> str:
    """The page. `cwd` is what paths are told relative to."""
    writer = _Writer(explanation, _ASCII if ascii_only else _UNICODE, max(60, width), cwd)
    lines = writer.page(_MOST_ITEMS)
    for most in range(_MOST_ITEMS - 1, 0, -1):
        if len(lines) <= MOST_LINES:
            break
        lines = writer.page(most)
    text = "\n".join(lines) + "\n"
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


class _Writer:
    """Writes pages of one explanation."""

    def __init__(self, explanation: Explanation, signs: _Signs, width: int, cwd: str) -> None:
        self._e, self._signs, self._width, self._cwd = explanation, signs, width, cwd

    def page(self, most: int) -> list[str]:
        """All of it, with at most so many items of a section."""
        if not self._e.first_source and self._e.fatal is None:
            return self._nothing()
        lines = [*self._head(), ""]
        sections = [list(section) for section in self._sections()]
        for section in sections:
            for item in section[:most]:
                lines += self._item(item)
            if len(section) > most:
                lines.append(f"  ... and {len(section) - most} more of these: --json has all")
        if not any(sections):
            lines += hanging("", self._all_well(), self._width)
        unknown = self._unknown()
        tail = [*([f"not told by these files: {unknown}"] if unknown else []), *self._e.notes[:4]]
        for line in tail:
            lines += hanging(f"{self._signs.note} ", plain(mask(line)), self._width, indent=2)
        return lines

    def _nothing(self) -> list[str]:
        lines = hanging("", f"nothing of torch.compile's is told in {plain(self._e.root)}", self._width)
        lines += hanging(
            "", "run it with `torchdoctor capture -- CMD`, or with TORCH_TRACE=DIR (torch 2.3 and later)", self._width
        )
        for note in self._e.notes[:4]:
            lines += hanging(f"{self._signs.note} ", plain(mask(note)), self._width, indent=2)
        return lines

    def _head(self) -> Iterator[str]:
        e = self._e
        torch = f"torch {plain(e.torch)}" if e.torch else "torch version not told"
        who = [_count(len(e.processes), "process", "processes")]
        who += [_count(e.ranks, "rank", "ranks")] if e.ranks else []
        yield plain(f"{torch}, {', '.join(who)}, from the {'structured trace' if e.first_source == 'trace' else 'log'}")
        graphs = "graphs not told" if e.graphs is None else _count(e.graphs, "graph", "graphs")
        frames = (
            "" if e.frames_compiled is None else f" in {_count(e.frames_compiled, 'compiled frame', 'compiled frames')}"
        )
        seconds = [f"{s:.1f} s {name}" for s, name in ((e.forward_s, "forward"), (e.backward_s, "backward")) if s]
        yield plain(f"{graphs}{frames}" + (f"; compiling took {', '.join(seconds)}" if seconds else ""))

    def _sections(self) -> Iterator[Iterable[_Item]]:
        e = self._e
        user = [one for one in e.breaks or () if not one.foreign]
        yield self._ended()
        yield [self._failure(e.fatal, "the program's end" if e.fatal_known else "compile failed")] if e.fatal else []
        yield [self._failure(one, "suppressed error") for one in e.suppressed or ()]
        yield [self._limit(one) for one in e.limits or ()]
        yield [self._break(one) for one in user]
        yield [self._function(same) for same in self._functions(foreign=False)]
        yield [self._skip(one) for one in e.skips or ()]
        yield [self._fallback(one) for one in e.fallbacks or () if not one.harmless]
        yield [_Item(f"{self._signs.warn} torch warns", words) for words in e.warnings]
        yield self._foreign("breaks", [(b.file, b.line, b.occurrences) for b in e.breaks or () if b.foreign])
        again = [(f[0].file, f[0].line, sum(one.compiles - 1 for one in f)) for f in self._functions(foreign=True)]
        yield self._foreign("recompiles", again)
        yield self._caches()

    def _ended(self) -> Iterator[_Item]:
        e = self._e
        if e.killed_by:
            yield _Item(f"{self._signs.bad} killed", f"by {e.killed_by}" + self._last_line())
        elif e.exit_code:
            yield _Item(f"{self._signs.bad} ended", f"with exit code {e.exit_code}" + self._last_line())
        yield from (self._open(process) for process in e.processes if process.open_phases)

    def _last_line(self) -> str:
        return f"; its last line: {self._e.last_user_line[:200]}" if self._e.last_user_line else ""

    def _open(self, process: Process) -> _Item:
        over = self._e.killed_by or self._e.exit_code is not None
        phases = " > ".join(process.open_phases[-4:])
        at = f", entered at {self._place(process.open_at.file, process.open_at.line)}" if process.open_at else ""
        who = f"process {process.key}" + (f", compile {process.open_id}" if process.open_id else "")
        return _Item(f"{self._signs.warn} {'was compiling' if over else 'open'}", f"{who}{at}: {phases}")

    def _failure(self, failure: Failure, what: str) -> _Item:
        line = failure.user
        place = self._place(line.file, line.line) if line else self._place(failure.file, failure.line)
        named = f" in {failure.function}" if failure.function else ""
        return _Item(f"{self._signs.bad} {what}", f"{place}{named}: {failure.type}: {_first_line(failure.reason)}")

    def _limit(self, limit: Limit) -> _Item:
        function = next((f for f in self._e.functions if (f.function, f.line) == (limit.function, limit.line)), None)
        most = f"{limit.limit} compiles" if limit.limit is not None else "its compiles"
        text = f"{self._place(limit.file, limit.line)} {limit.function} runs in eager after {most}: {limit.last_reason}"
        return _Item(f"{self._signs.bad} recompile limit", text, function.stop if function else "")

    def _break(self, one: Break) -> _Item:
        times = f" ({one.occurrences} {self._signs.times})" if one.occurrences > 1 else ""
        named = f" in {one.function}" if one.function else ""
        text = f"{self._place(one.file, one.line)}{named}: {one.kind or _first_line(one.reason)}{times}"
        return _Item(f"{self._signs.warn} graph break", text, one.hints[0] if one.hints else "")

    def _functions(self, foreign: bool) -> list[list[Function]]:
        """Functions that are compiled again and are not at the limit, those of all processes together."""
        found: dict[tuple[str, int, str], list[Function]] = {}
        for one in self._e.functions:
            if one.trend != "ended" and one.compiles > 1 and (is_foreign(one.file) and not _is_module(one)) == foreign:
                found.setdefault((one.file, one.line, one.function), []).append(one)
        return list(found.values())

    def _function(self, same: list[Function]) -> _Item:
        one, keys = same[0], {function.process for function in same}
        again = [r for r in self._e.recompiles or () if (r.file, r.line) == (one.file, one.line) and r.process in keys]
        seconds = sum(function.seconds or 0.0 for function in same)
        cost = f", {seconds:.1f} s" if seconds else ""
        most = f", {one.compiles} of {one.limit} compiles" if one.limit else ""
        times = f"{sum(function.compiles - 1 for function in same)} {self._signs.times}{most}{cost}"
        who = f", in {len(keys)} processes" if len(keys) > 1 else ""
        why = again[-1].reason if again else "the files do not say which guard failed"
        module = one.entered if _is_module(one) else None
        what = (module.file, module.line, "the module called here") if module else (one.file, one.line, one.function)
        text = f"{self._place(*what[:2])} {what[2]} ({times}{who}): {why}"
        return _Item(f"{self._signs.warn} recompiled", text, one.stop)

    def _skip(self, one: Skip) -> _Item:
        where = f"{self._place(one.file, one.line)}: " if one.file else ""
        times = f" ({one.occurrences} {self._signs.times})" if one.occurrences > 1 else ""
        part = "in part" if one.partitioned else "not used"
        return _Item(f"{self._signs.warn} CUDA graphs {part}", f"{where}{_first_line(one.reason)}{times}")

    def _fallback(self, one: FallbackKernel) -> _Item:
        return _Item(
            f"{self._signs.note} fallback", f"{one.op} in {one.compile_id or '?'}: Inductor has no kernel for it"
        )

    def _foreign(self, what: str, rows: list[tuple[str, int, int]]) -> list[_Item]:
        """What happens inside of packages, in one line: not the user's to mend first."""
        if not rows:
            return []
        told = ", ".join(f"{self._place(file, line)} ({n} {self._signs.times})" for file, line, n in rows[:3])
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        return [_Item(f"{self._signs.note} {what} in packages", f"{told}{more}")]

    def _caches(self) -> list[_Item]:
        uses = self._e.caches or ()
        hits = sum(use.state == "hit" for use in uses)
        told = (
            [_Item(f"{self._signs.note} cache", f"{_count(hits, 'hit', 'hits')} of {len(uses)} lookups")]
            if hits
            else []
        )
        refused = next((use for use in uses if use.state == "bypass"), None)
        if refused is None:
            return told
        why = f"{refused.what} in {refused.compile_id}: {refused.reason or 'torch does not say why'}"
        return [*told, _Item(f"{self._signs.note} cache not used", why)]

    def _item(self, item: _Item) -> list[str]:
        lines = hanging(f"{item.head}: ", plain(mask(item.text), 400), self._width, indent=4)
        return lines + (hanging("    do: ", plain(mask(item.cure), 240), self._width, indent=8) if item.cure else [])

    def _all_well(self) -> str:
        known = [name for name, rows in self._lists() if rows is not None]
        return f"nothing to mend: no {', no '.join(known)}" if known else "nothing to mend was told"

    def _lists(self) -> list[tuple[str, object]]:
        e = self._e
        return [
            ("graph breaks", e.breaks),
            ("recompiles", e.recompiles),
            ("recompile limits", e.limits),
            ("suppressed errors", e.suppressed),
            ("CUDA graph skips", e.skips),
            ("fallback kernels", e.fallbacks),
        ]

    def _unknown(self) -> str:
        names = [name for name, rows in self._lists() if rows is None]
        names += ["graphs"] if self._e.graphs is None else []
        names += [] if self._e.fatal_known or self._e.fatal else ["whether torch.compile ended the program"]
        return ", ".join(names)

    def _place(self, file: str, line: int) -> str:
        if not file:
            return "?"
        inside = file.startswith(self._cwd.rstrip("/") + "/")
        name = os.path.relpath(file, self._cwd) if inside else file
        if len(name) > _NAME:
            name = ".../" + "/".join(name.split("/")[-2:])
        return f"{name}:{line}" if line else name


def _is_module(one: Function) -> bool:
    """Whether it is Dynamo's own frame around a module that was compiled as a whole."""
    return one.function == "inner" and one.file.endswith("/torch/_dynamo/external_utils.py")


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
