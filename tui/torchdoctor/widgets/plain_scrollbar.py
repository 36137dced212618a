"""A scroll bar of whole cells: Textual's own draws the ends of its thumb with block characters, which are not ASCII."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBar, ScrollBarRender
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


def sync_scrollbar(bar: ScrollBar, rows: int, height: int, position: float) -> None:
    """Let a scroll bar stand for `rows`, of which `height` are seen from `position` on.

    It is drawn anew only where one can see the difference, an eighth of a cell: a column of the screen is some 2 kB.
    """
    bar.set_reactive(ScrollBar.window_size, height)
    seen = _thumb(bar.window_virtual_size, height, bar.position)
    if _thumb(rows, height, position) == seen:
        bar.set_reactive(ScrollBar.window_virtual_size, rows)
        bar.set_reactive(ScrollBar.position, position)
    else:
        bar.window_virtual_size, bar.position = rows, position


def _thumb(rows: int, height: int, position: float) -> tuple[int, int]:
    """Size and place of the thumb in eighths of a cell, as `ScrollBarRender` reckons them."""
    if rows <= height or height <= 0:
        return 0, 0
    size = max(1.0, height * height / rows)
    return int(8 * size), int(8 * (height - size) * min(1.0, position / (rows - height)))
