"""What a person types to filter a log, `level>=W rank:0,2 id:3/1 -codecache guard.*fail`, as a `Filter`.

Everything that is said must hold: words apart are wanted both, `a|b` is either. A word that begins with `-` or `!` is
not wanted; one with blanks stands in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from torchprobes.compilelog.filter import LEVELS, Filter

HINT: Final = 'level>=W  rank:0,2  id:3/1  -unwanted  wanted.*expression  "two words"'

BARE: Final = "-"
"""The level of lines that torch's logging did not write."""

RANKS: Final = 4096
"""Ranks that one filter may name."""

_WORDS: Final = {"debug": "V", "verbose": "V", "info": "I", "warning": "W", "warn": "W", "error": "E", "critical": "C"}

_TOKEN = re.compile(r'(?P<no>[-!]?)(?:(?P<key>level|rank|id)(?P<sign>>=|<=|[:=<>])(?P<value>\S*)'
                    r'|"(?P<quoted>[^"]*)"(?=\s|$)|(?P<word>\S+))')  # fmt: skip
_SPAN = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?")
_ID = re.compile(r"\[?(!?-?\d{1,7}(?:/(?:-|\d{1,7})){1,4}(?:_\d{1,7})?)\]?")


class Wrong(ValueError):
    """What was typed is no filter; the words say why, in one line."""


class Token(NamedTuple):
    """One thing that was typed: a word or an expression (no key), or a key with its sign and value."""

    wanted: bool
    key: str
    sign: str
    value: str


@dataclass(frozen=True, slots=True)
class _Terms:
    """What was understood so far."""

    levels: frozenset[str] | None = None
    ranks: frozenset[int] | None = None
    compile_ids: frozenset[str] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def parse(text: str) -> Filter | None:
    """The filter that `text` asks for; None if it asks for nothing.

    Raises:
        Wrong: it cannot be understood.
    """
    terms = _Terms()
    for token in _tokens(text):
        terms = _KEYS[token.key](terms, token)
    if terms == _Terms():
        return None
    include = terms.include[0] if len(terms.include) == 1 else "".join(f"(?=.*(?:{one}))" for one in terms.include)
    include = f"^{include}" if len(terms.include) > 1 else include
    exclude = "|".join(terms.exclude if len(terms.exclude) == 1 else (f"(?:{one})" for one in terms.exclude))
    return Filter(terms.levels, terms.ranks, terms.compile_ids, include, exclude)


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        wanted = not match["no"]
        if match["key"]:
            yield Token(wanted, match["key"], match["sign"], match["value"])
        elif match["quoted"] is not None:
            if match["quoted"]:
                yield Token(wanted, "", "", match["quoted"])
        elif match["word"].startswith('"'):
            raise Wrong('a " that is not closed: put the words between two of them')
        else:
            yield Token(wanted, "", "", match["word"])


def _word(terms: _Terms, token: Token) -> _Terms:
    try:
        re.compile(token.value)
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong(f"{token.value}: not a regular expression: {error}") from None
    if token.wanted:
        return replace(terms, include=(*terms.include, token.value))
    return replace(terms, exclude=(*terms.exclude, token.value))


def _level(terms: _Terms, token: Token) -> _Terms:
    named = frozenset(_one_level(word) for word in _values(token, "W or W,E; levels are V I W E C and - (none)"))
    levels = _ranged(token, named) if token.sign in (">=", "<=", ">", "<") else named
    levels = levels if token.wanted else frozenset(LEVELS + BARE) - levels
    return replace(terms, levels=levels if terms.levels is None else terms.levels & levels)


def _one_level(word: str) -> str:
    letter = _WORDS.get(word.lower(), word.upper())
    if letter not in (*LEVELS, BARE):
        raise Wrong(f"level {word}: levels are V I W E C and - (lines without one)")
    return letter


def _ranged(token: Token, named: frozenset[str]) -> frozenset[str]:
    """Levels above or below the one that is named; `-` beside it stays in."""
    at = [LEVELS.index(letter) for letter in named - {BARE}]
    if len(at) != 1:
        raise Wrong(f"level{token.sign}{token.value}: one level of V I W E C is needed there")
    first = {">=": at[0], ">": at[0] + 1}.get(token.sign, 0)
    last = {"<=": at[0] + 1, "<": at[0]}.get(token.sign, len(LEVELS))
    return frozenset(LEVELS[first:last]) | (named & {BARE})


def _rank(terms: _Terms, token: Token) -> _Terms:
    ranks: set[int] = set()
    for word in _values(token, "0 or 0,2 or 0-3"):
        span = _SPAN.fullmatch(word)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, -1)
        if first > last or last - first >= RANKS:
            raise Wrong(f"rank {word}: ranks are numbers, 0 or 0,2 or 0-3")
        ranks.update(range(first, last + 1))
    if not token.wanted:
        numbers = "|".join(map(str, sorted(ranks)))
        return replace(terms, exclude=(*terms.exclude, rf"^(?:\[default\d+\]:)?\[(?:rank|default)(?:{numbers})\]:"))
    return replace(terms, ranks=frozenset(ranks if terms.ranks is None else terms.ranks & ranks))


def _compile_id(terms: _Terms, token: Token) -> _Terms:
    ids: set[str] = set()
    for word in _values(token, "3/1 or 3/1,4/0"):
        found = _ID.fullmatch(word)
        if not found:
            raise Wrong(f"id {word}: compile ids are frame/compile, as 3/1")
        ids.add(found[1])
    if not token.wanted:
        named = "|".join(map(re.escape, sorted(ids)))
        return replace(terms, exclude=(*terms.exclude, rf" \[(?:{named})(?:_\d+)?\](?: |$)"))
    return replace(terms, compile_ids=frozenset(ids if terms.compile_ids is None else terms.compile_ids & ids))


def _values(token: Token, such_as: str) -> list[str]:
    """What stands behind the key."""
    words = [word for word in token.value.split(",") if word]
    if not words:
        raise Wrong(f"{token.key}{token.sign} needs {such_as}")
    if token.sign not in (":", "=") and token.key != "level":
        raise Wrong(f"{token.key}{token.sign}{token.value}: write {token.key}:{token.value}")
    return words


_KEYS: Final[dict[str, Callable[[_Terms, Token], _Terms]]] = {
    "": _word,
    "level": _level,
    "rank": _rank,
    "id": _compile_id,
}
