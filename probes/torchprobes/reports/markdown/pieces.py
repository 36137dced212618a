"""Markdown of which nothing that a payload said can be markup: text, code, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..text import plain

_ANYWHERE: Final = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
_LEADING: Final = re.compile(r"^(\s*\d{1,9}|\s*)([.)](?=\s|$)|[#=]|[-+](?=[\s-]|$))")
"""What is markup in CommonMark and in GitHub's: some signs anywhere, `_` at the edge of a word, and lists, titles and
rules at the beginning of a line. All else stays as it is, so that the text can be read unrendered, too."""

_LONGEST: Final = 4_000
"""Characters of one text; the JSON has all of them."""

_RULES: Final = {"": "---", "num": "--:"}


def table(head: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; cells are Markdown already, of which `md` made one line without a bar."""
    columns = [(name, "") if isinstance(name, str) else name for name in head]
    yield f"| {' | '.join(name for name, _ in columns)} |"
    yield f"|{'|'.join(_RULES[kind] for _, kind in columns)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def redaction(masked: str) -> Iterator[str]:
    """What the redactor says that it did, as the end of a page."""
    if masked:
        yield from ("", f"Redaction: {md(masked)}")


def _cut(said: str) -> str:
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} … ({len(said) - _LONGEST:,} more characters)"


def md(text: object) -> str:
    """A text from outside as one line that stays text in Markdown, and in HTML made of it."""
    line = _ANYWHERE.sub(lambda match: "".join(f"\\{sign}" for sign in match.group()), plain(_cut(str(text))))
    return _LEADING.sub(r"\1\\\2", line)


def code(text: str) -> str:
    """One line as an inline code span that its content cannot close; not for tables, where a bar ends a cell."""
    line = plain(_cut(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"


def left(what: str, count: int) -> Iterator[str]:
    """What a ticket has no room for, if that is anything."""
    if count > 0:
        yield from ("", f"{count:,} more {what} are in the JSON.")
