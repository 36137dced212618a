"""HTML as values: every text in it is escaped, and what is not made here cannot be markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from ..text import plain

LONGEST: Final = 4_000
"""Characters of one text; the JSON has all of them."""

_VOID: Final = frozenset({"meta", "br"})


class Markup(str):
    """HTML that was made here, of nothing but escaped text. All else is text."""

    __slots__ = ()


Child = str | Iterable[Markup] | None
Value = str | float | bool | None


def text(said: object) -> Markup:
    """A text from outside as one line of HTML: markup is escaped, a control or bidirectional character is visible."""
    whole = str(said)
    more = f" … ({len(whole) - LONGEST:,} more characters)" if len(whole) > LONGEST else ""
    return Markup(escape(plain(whole[:LONGEST]) + more))


def el(tag: str, *children: Child, **attributes: Value) -> Markup:
    """An element. Of its children, a `Markup` stays as it is and any other string is text; None is nothing.

    Names of attributes are written with `_` for `-`, and `class_`; None and False leave one out, True has no value.
    """
    opened = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    return Markup(opened) if tag in _VOID else Markup(f"{opened}{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Several children, one after the other."""
    return Markup("".join(map(_child, children)))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    return text(child) if isinstance(child, str) else "".join(child)


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    said = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{text(said)}"'
