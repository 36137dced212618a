"""Two texts beside each other: which lines are the same, which differ and in which words; or what belongs together.

Plain functions; a pane calls them in a thread. Graphs of two compiles of a function differ in the shapes of nearly
every line, so lines are matched without shapes and numbers, and only then compared as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final, Literal

MOST_LINES: Final = 5_000
"""Lines of a text that are compared."""

MOST_WORDS: Final = 400
"""Words of a line that are compared with those of the line beside it."""

ALIKE: Final = 0.4
"""Lines of which so many words are the same stand beside each other."""

Change = Literal["same", "changed", "left", "right"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A row: the line numbers of the two sides, counted from 0, None where that side has nothing there."""

    left: int | None
    right: int | None
    change: Change


_SHAPE: Final = re.compile(r': "[^"]{0,400}"')
_FREED: Final = re.compile(r";  [\w =]+ = None$")
_NUMBER: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")


def _key(line: str) -> str:
    """A line without what two compiles of one graph differ in: shapes, numbers, what is freed when."""
    return _NUMBER.sub("0", _FREED.sub("", _SHAPE.sub("", line[:1000]))).strip()


def aligned(left: Sequence[str], right: Sequence[str]) -> tuple[Pair, ...]:
    """The rows of two texts of at most `MOST_LINES` lines each."""
    one, other = [_key(line) for line in left[:MOST_LINES]], [_key(line) for line in right[:MOST_LINES]]
    begin = _same_until(one, other)
    end = _same_until(one[begin:][::-1], other[begin:][::-1])
    pairs = [_pair(left, right, at, at) for at in range(begin)]
    # popular lines (braces, blanks) are left out of the matching of long texts: it would be quadratic in them
    matcher = SequenceMatcher(None, one[begin : len(one) - end], other[begin : len(other) - end])
    for word, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        here, there = range(begin + left_from, begin + left_to), range(begin + right_from, begin + right_to)
        if word == "equal":
            pairs += [_pair(left, right, at, to) for at, to in zip(here, there, strict=True)]
        else:
            pairs += _replaced(left, right, here, there)
    tail = range(end, 0, -1)
    return (*pairs, *(_pair(left, right, len(one) - back, len(other) - back) for back in tail))


def _same_until(one: Sequence[str], other: Sequence[str]) -> int:
    least = min(len(one), len(other))
    return next((at for at in range(least) if one[at] != other[at]), least)


def _pair(left: Sequence[str], right: Sequence[str], at: int, to: int) -> Pair:
    return Pair(at, to, "same" if left[at] == right[to] else "changed")


def _replaced(left: Sequence[str], right: Sequence[str], here: range, there: range) -> list[Pair]:
    """Lines in the place of others: beside each other as long as they are alike, else one below the other."""
    pairs: list[Pair] = []
    gone = list(here)
    come = list(there)
    while gone and come and _alike(left[gone[0]], right[come[0]]):
        pairs.append(Pair(gone.pop(0), come.pop(0), "changed"))
    pairs += [Pair(at, None, "left") for at in gone]
    pairs += [Pair(None, to, "right") for to in come]
    return pairs


def _alike(one: str, other: str) -> bool:
    words, others = set(_WORD.findall(one[:1000])), set(_WORD.findall(other[:1000]))
    words.discard(" ")
    return len(words & others) >= ALIKE * max(1, len(words), len(others))


Spans = tuple[tuple[int, int], ...]


def changed_words(left: str, right: str) -> tuple[Spans, Spans]:
    """The characters [start, end) of two lines that the other has not, word by word."""
    one, other = _words(left), _words(right)
    matcher = SequenceMatcher(None, [word for word, _ in one], [word for word, _ in other], autojunk=False)
    gone: list[tuple[int, int]] = []
    come: list[tuple[int, int]] = []
    for word, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        if word != "equal":
            gone += _reach(one[left_from:left_to])
            come += _reach(other[right_from:right_to])
    return tuple(gone), tuple(come)


def _words(line: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for match in _WORD.finditer(line):
        if len(found) == MOST_WORDS:
            break
        found.append((match[0], match.start()))
    return found


def _reach(words: list[tuple[str, int]]) -> list[tuple[int, int]]:
    return [(words[0][1], words[-1][1] + len(words[-1][0]))] if words else []


# --- parts that belong together ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Links:
    """Which lines of one text belong to which of the other."""

    right_of: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    left_of: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    source: str = ""
    """What says so: "provenance", or "" where nothing does."""


_NODE: Final = re.compile(r"^\s*(\w{1,200})\s*(?::[^=]{1,400})?=\s")
_HANDLE: Final = re.compile(r"# \[Provenance debug handles\] (\S{1,400})")
_FRAGMENT: Final = re.compile(r"^#\s+%(\w{1,200})\b[^=]{0,400}=")
_MADE: Final = re.compile(r"^(\w{1,200}) = async_compile\.\w{1,40}\(")


def linked(graph: Sequence[str], code: Sequence[str], mappings: Mapping[str, object]) -> Links:
    """The lines of `fx_graph_readable.py` and of `output_code.py` that belong together.

    `mappings` is `inductor_provenance_tracking_node_mappings.json`: `cppCodeToPost` names for every kernel (a name and
    the number of its call) the nodes that went into it, `postToPre` what those were before. Without it the comment
    "Graph fragment" over a Triton kernel says the same; where there is neither, nothing is linked.
    """
    nodes = {match[1]: at for at, line in enumerate(graph) if (match := _NODE.match(line))}
    made, calls = _kernels(code)
    right: dict[int, set[int]] = {}
    source = "provenance"
    handles = _names_of(mappings.get("cppCodeToPost"))
    for handle, names in handles.items():
        kernel = handle.rpartition(":")[0] or handle
        lines = {*calls.get(handle, ()), *made.get(kernel, ())}
        for name in names:
            if name in nodes:
                right.setdefault(nodes[name], set()).update(lines)
    if not right:
        right = _by_fragments(code, nodes, made)
        source = "the comments of the kernels" if right else ""
    return _both(right, source)


def _names_of(found: object) -> dict[str, list[str]]:
    """Names by name, of whatever a JSON file held there."""
    if not isinstance(found, dict):
        return {}
    return {str(key): [*map(str, value[:10_000])] for key, value in found.items() if isinstance(value, list)}


def _kernels(code: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """(lines of each kernel's text by its name, lines of each call by its handle)."""
    made: dict[str, list[int]] = {}
    calls: dict[str, list[int]] = {}
    name = ""
    for at, line in enumerate(code):
        if found := _MADE.match(line):
            name = found[1]
        if name:
            made.setdefault(name, []).append(at)
            if line.startswith("'''"):
                name = ""
        elif found := _HANDLE.search(line):
            calls[found[1]] = [at, at + 1] if at + 1 < len(code) else [at]
    return made, calls


def _by_fragments(code: Sequence[str], nodes: Mapping[str, int], made: Mapping[str, list[int]]) -> dict[int, set[int]]:
    """From the comment over each kernel that lists the nodes which it computes."""
    right: dict[int, set[int]] = {}
    waiting: list[int] = []
    for line in code:
        if found := _FRAGMENT.match(line):
            if found[1] in nodes:
                waiting.append(nodes[found[1]])
        elif (found := _MADE.match(line)) and waiting:
            for node in waiting:
                right.setdefault(node, set()).update(made.get(found[1], ()))
            waiting = []
    return right


def _both(right: Mapping[int, Iterable[int]], source: str) -> Links:
    left: dict[int, set[int]] = {}
    for at, lines in right.items():
        for line in lines:
            left.setdefault(line, set()).add(at)
    return Links(
        {at: tuple(sorted(lines)) for at, lines in right.items() if lines},
        {at: tuple(sorted(lines)) for at, lines in left.items()},
        source,
    )
