"""A scroll bar of whole cells: Textual's own draws the ends of its thumb with block characters, which are not ASCII."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBarRender
from textual.widget import Widget

from torchdoctor.text import ascii_only


class PlainScrollBarRender(ScrollBarRender):
    """The same bar, its ends rounded to cells."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


def use_plain_scrollbar(widget: Widget) -> None:
    """Give a scrolling widget plain bars where the console shows ASCII only; to be called when it is mounted."""
    if ascii_only(widget.app):
        widget.vertical_scrollbar.renderer = PlainScrollBarRender  # type: ignore[misc]
