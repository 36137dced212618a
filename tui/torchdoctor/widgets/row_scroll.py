"""A scroll view whose rows come and go many times a second: it is sized and scrolled without laying the screen out."""

from __future__ import annotations

from textual.geometry import Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.widget import Widget

from torchdoctor.widgets.plain_scrollbar import sync_scrollbar, use_plain_scrollbar

_VIRTUAL_SIZE: Reactive[Size] = Widget.__dict__["virtual_size"]


class RowScroll(ScrollView, can_focus=True, inherit_bindings=False):
    """Tells its own moves from those of the mouse; whoever calls `size_to` and `scroll_rows` draws what changed."""

    _ours = False

    def on_mount(self) -> None:
        """Where signs are ASCII, so is the scroll bar."""
        use_plain_scrollbar(self)

    def size_to(self, width: int, rows: int) -> None:
        """Let there be so many cells and rows."""
        size, old = Size(width, rows), self.virtual_size
        if size == old:
            return
        self._ours = True
        if old.height <= rows and (rows > self.size.height) == self.show_vertical_scrollbar:
            self.set_reactive(_VIRTUAL_SIZE, size)  # the reactive would have all of the screen laid out anew
        else:
            self.virtual_size = size
        self._ours = False

    def scroll_rows(self, x: float | None, y: float | None) -> None:
        """Scroll, as far as there is something; the scroll bar follows."""
        self._ours = True
        self.scroll_to(x, y, animate=False, force=True, immediate=True)
        self._ours = False
        if self.show_vertical_scrollbar:
            sync_scrollbar(self.vertical_scrollbar, self.virtual_size.height, self.size.height, self.scroll_y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Only a move by mouse or scroll bar is news; where rows went away or the window grew, nobody moved."""
        if self._ours:
            return
        super().watch_scroll_y(old_value, new_value)
        if old_value != new_value and old_value <= self.max_scroll_y:
            self.scrolled_by_hand(round(new_value), upwards=new_value < old_value)

    def scrolled_by_hand(self, row: int, *, upwards: bool) -> None:
        """The mouse or the scroll bar moved the window to `row`."""
