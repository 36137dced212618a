"""Tables, lists of pairs and folded parts: the few shapes that pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .elements import Child, Markup, el, join

NUMBER = "num"
"""The class of a column of numbers."""


def table(head: Sequence[tuple[Child, str]], rows: Iterable[Sequence[Child]], class_: str | None = None) -> Markup:
    """A table of (words, class) a column; it scrolls by itself where the page is too narrow for it."""
    classes = [name or None for _, name in head]
    heads = (el("th", words, class_=name or None, scope="col") for words, name in head)
    body = (el("tr", (el("td", cell, class_=name) for cell, name in zip(row, classes, strict=True))) for row in rows)
    return el("div", el("table", el("thead", el("tr", heads)), el("tbody", body), class_=class_), class_="scroll")


def pairs(each: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they are."""
    return el("dl", (join(el("dt", name), el("dd", value)) for name, value in each))


def folded(words: Child, *inside: Child) -> Markup:
    """Something that is there for who asks; on paper it is open."""
    return el("details", el("summary", words), *inside, class_="more")


def section(title: str, *inside: Child, note: str = "") -> Markup:
    """A part of the page under its title."""
    small = join(" ", el("small", note)) if note else None
    return el("section", el("h2", title, small), *inside)


def mono(said: str) -> Markup:
    """A name or a value of a program."""
    return el("code", said)
