"""Guards in words: what torch compares before it uses a compiled function again, and what failed in it.

The texts are those of torch/csrc/dynamo/guards.cpp and torch/_dynamo/guards.py, 2.1 to 2.15. Names are plain since 2.13
(`x`), `L['x']` and `G['x']` before. A table of rows, the first that matches holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .names import source_name

LONGEST: Final = 4096
"""Characters of a guard that are looked at; what torch writes is far shorter."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One failed guard, read."""

    kind: str
    source: str = ""
    """What it looks at, in the user's words: `x`, `self.n`; "" where that is no value of the program's."""
    at: str = ""
    """Which of it: the dimension of a size."""
    expected: str = ""
    actual: str = ""
    """"" where torch does not say it."""
    step: int = 1
    """When torch checks it, see `BEFORE_ALL`, `AFTER_ALL` and `TENSOR_STEPS`."""
    text: str = ""

    @property
    def signature(self) -> tuple[str, str, str, int]:
        """The same for two guards that look at the same thing in the same way, whatever they expect."""
        return self.kind, self.source, self.at, self.step


BEFORE_ALL: Final = 0
"""The root's own guards: global state, grad mode."""

AFTER_ALL: Final = 90
"""Guards on symbolic shapes run when all others have held."""

TENSOR_STEPS: Final = {
    "dispatch key set": 10,
    "dtype": 11,
    "device index": 12,
    "device": 12,
    "requires_grad": 13,
    "rank": 14,
    "dimension": 14,
    "size": 15,
    "stride": 16,
}
"""The order within one tensor's check: TensorCheck::check_verbose."""

_HINT: Final = "HINT: torch.compile considers integer attributes of the nn.Module to be static"
STATIC: Final = "attribute of a module"
"""`at` of a whole number that is an attribute of an nn.Module, where torch says so."""

_CLASS: Final = re.compile(r"<class '([^']{1,400})'>")
_COMMENT: Final = re.compile(r"\s{2,}#.*", re.DOTALL)
_INTEGER: Final = r"-?\d{1,30}"


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], Guard]


def _tensor(found: re.Match[str]) -> Guard:
    what = found["what"]
    kind = {"dispatch key set": "dispatch keys", "device index": "device", "dimension": "rank"}.get(what, what)
    expected, actual = found["expected"].strip(), (found["actual"] or "").strip().rstrip(".")
    if what == "requires_grad":
        expected = {"0": "False", "1": "True"}.get(expected.removeprefix("requires_grad="), expected)
        actual = actual or {"False": "True", "True": "False"}.get(expected, "")
    return Guard(kind, source_name(found["s"]), found["at"] or "", expected, actual, TENSOR_STEPS[what])


def _of(kind: str, step: int = 1, expected: str = "", actual: str = "") -> Callable[[re.Match[str]], Guard]:
    """A guard of this kind; the groups s, at, expected and actual of its pattern are its parts where they are there."""

    def read(found: re.Match[str]) -> Guard:
        has = found.groupdict("")
        source = source_name(has.get("s", ""))
        return Guard(kind, source, has.get("at", ""), has.get("expected", expected), has.get("actual", actual), step)

    return read


def _shape(found: re.Match[str]) -> Guard:
    """A guard on a symbolic size: `2 <= x.size()[0] <= 100`, `x.size()[0] == y.size()[1]`."""
    text = source_name(found[0])
    first = found["s"]
    return Guard(found["what"], source_name(first), found["at"], text, "", AFTER_ALL)


def _row(pattern: str, read: Callable[[re.Match[str]], Guard]) -> _Row:
    return _Row(re.compile(pattern, re.DOTALL), read)


_WHAT: Final = "dispatch key set|dtype|device index|device|requires_grad|rank|dimension"
_S: Final = r"(?P<s>[^\s'\"]{1,400}|[^\n]{1,400}?)"

_ROWS: Final = (
    _row(r"Cache line invalidated because (?P<s>.{1,400}?) got deallocated.*", _of("object", BEFORE_ALL)),
    _row(r"___guarded_code\.valid", _of("object", BEFORE_ALL)),
    _row(r"GLOBAL_STATE changed:\s?(?P<actual>.*)", _of("global state", BEFORE_ALL)),
    _row(r"___check_global_state\(\)", _of("global state", BEFORE_ALL)),
    _row(r"(?P<expected>not )?___is_grad_enabled\(\)", _of("grad mode", BEFORE_ALL)),
    _row(
        r"(?P<expected>not )?___(?:are_deterministic_algorithms|is_torch_function)_enabled\(\)", _of("global state", 0)
    ),
    _row(
        r".*(?:CURRENT_DEVICE|torch_function_mode_stack|torch function mode stack).*", _of("global state", BEFORE_ALL)
    ),
    _row(r".*(?:___current_backend|___skip_backend_check|BACKEND_MATCH|___check_current_backend).*", _of("backend", 0)),
    _row(
        rf"tensor '{_S}' (?P<what>size|stride) mismatch at index (?P<at>\d+)\. "
        r"expected (?P<expected>.{1,80}?), actual (?P<actual>.{1,80})",
        _tensor,
    ),
    _row(
        rf"tensor '{_S}' (?:Tensor )?(?P<at>)(?P<what>{_WHAT}) "
        r"mismatch\. [Ee]xpected (?:device index to be )?(?P<expected>.{1,600}?)"
        r"(?:, (?:actual|got) (?P<actual>.{1,600}?)(?: instead)?)?",
        _tensor,
    ),
    _row(
        rf"(?:tensor '[^\n]{{1,400}}?' )?expected type of '{_S}' to be a tensor type, '? ?but found (?P<actual>.*)",
        _of("type", 9, "a tensor"),
    ),
    _row(rf"___check_type_id\({_S}, \d+\)(?:, type=(?P<expected>.*))?", _of("type")),
    _row(rf"___check_obj_id\({_S}, \d+\)(?:, type=(?P<expected>.*))?", _of("object")),
    _row(rf"(?:len|___tuple_iterator_len)\({_S}\) (?P<at>==|!=|>=|<=) (?P<expected>\d+)", _of("length")),
    _row(rf"(?:list|set|tuple)\({_S}\.keys\(\)\) == (?P<expected>.*)", _of("keys")),
    _row(rf"list\(dict\.keys\({_S}\)\)\[(?P<at>\d+)\] == (?P<expected>.*)", _of("keys")),
    _row(rf"list\({_S}\.keys\(\)\)\[(?P<at>\d+)\] == (?P<expected>.*)", _of("keys")),
    _row(rf"(?P<at>not )?___dict_contains\((?P<expected>[^,]{{1,400}}), {_S}\)", _of("keys")),
    _row(rf"(?P<at>not )?(?P<expected>'[^']{{1,400}}'|\d+) in {_S}", _of("keys")),
    _row(rf"___dict_version\({_S}\).*", _of("keys")),
    _row(rf"(?P<at>not )?___?hasattr\({_S}, ?(?P<expected>[^)]*)\)(?: == (?:True|False))?", _of("attribute")),
    _row(rf"(?P<at>not )?hasattr\({_S}, ?(?P<expected>[^)]*)\)(?: == (?:True|False))?", _of("attribute")),
    _row(r"not (?P<s>[\w.\[\]'\"]{1,400})", _of("length", 1, "empty")),
    _row(rf"{_S} is (?P<expected>None|not None)", _of("value")),
    _row(rf"{_S} is (?:not )?(?P<expected>[A-Za-z_][^\s]{{0,400}})", _of("object")),
    _row(r".*?(?P<s>[A-Za-z_][^\s()]{0,400})\.(?P<what>size|stride)\(\)\[(?P<at>\d+)\].*", _shape),
    _row(rf"(?P<expected>{_INTEGER} <=? ){_S}", _of("value", AFTER_ALL)),
    _row(rf"{_S} (?P<expected>(?:<=?|>=?|!=) {_INTEGER})", _of("value", AFTER_ALL)),
    _row(rf"{_S} == (?P<expected>.*)", _of("value")),
    _row(r"(?:Duplicate|duplicate) tensor.*", _of("aliasing", 50)),
)


def read_guard(text: str) -> Guard:
    """A guard as torch wrote it, read. One of a form that is not known is of kind `other`, in torch's own words."""
    bare = _COMMENT.sub("", text[:LONGEST].strip().split("\n", 1)[0])
    said, hint, _ = bare.partition(_HINT)
    said = said.strip().rstrip(".") if hint else said.strip()
    for row in _ROWS:
        if found := row.pattern.fullmatch(said):
            read = row.read(found)
            expected, actual = _CLASS.sub(r"\1", read.expected.strip()), _CLASS.sub(r"\1", read.actual.strip())
            static = f"{read.at}{STATIC}" if hint and read.kind == "value" else read.at
            return Guard(read.kind, read.source, static, expected, actual, read.step, said)
    return Guard("other", "", "", said, "", 1, said)
