"""The explanation on screen: lines that lead to their evidence, and below them the one under the cursor in full."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.message import Message

from torchdoctor.paint import BLANK, Line, Page, line

from .bars import Rows
from .explain_rows import compile_sheet, overview
from .explain_words import Sheet, Target
from .lines import Lines

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import Compile, Explanation

FEET: Final = ((34, 7), (22, 5), (15, 3))
"""From so many rows on, so many of them are the foot."""

_NO_RUN: Final = Page([
    BLANK,
    line("  What probes write shows up here as they run: start some in Probes."),
    BLANK,
    line("  To read and explain other logs, also while they grow:"),
    line(("    torchdoctor logs DIR|FILE", "key")),
])  # fmt: skip
"""What is said while there is no run."""

_NO_TARGET: Final = Target()


class ExplainLines(Lines):
    """Lines of the explanation."""

    BINDING_GROUP_TITLE = "Explanation"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Evidence", id="explain.open", tooltip="Open a line, or go to what it rests on"),
        Binding("right", "fold(True)", "Open", show=False, id="explain.unfold", tooltip="Show what is below this line"),
        Binding("left", "fold(False)", "Close", show=False, id="explain.fold", tooltip="Hide it"),
        Binding("j", "move(1)", "Down", show=False, id="explain.down", tooltip="The next line"),
        Binding("k", "move(-1)", "Up", show=False, id="explain.up", tooltip="The line before"),
    ]

    class Asked(Message):
        """`enter` on a line; a fold is to be opened or closed as `wanted`, None for the other way."""

        def __init__(self, wanted: bool | None = None, only_fold: bool = False) -> None:
            super().__init__()
            self.wanted = wanted
            self.only_fold = only_fold

    def action_open(self) -> None:
        """Evidence."""
        self.post_message(self.Asked())

    def action_fold(self, wanted: bool) -> None:
        """Open or close."""
        self.post_message(self.Asked(wanted, only_fold=True))


class ExplainView(Vertical):
    """Shows an explanation, or one compile of it."""

    DEFAULT_CSS = """
    ExplainView { height: 1fr; width: 1fr; }
    ExplainView > Rows { height: 0; background: $panel; padding: 0; }
    """

    class Wanted(Message):
        """The evidence of a line is asked for."""

        def __init__(self, target: Target) -> None:
            super().__init__()
            self.target = target

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.lines = ExplainLines()
        self.foot = Rows()
        self.compile: tuple[str, str] | None = None
        """The compile that is shown; None for the overview."""
        self._told: tuple[Explanation | None, Compile | None] = None, None
        self._opened: frozenset[str] = frozenset()
        self._sheet: Sheet | None = None
        self._stamp: object = None
        self._cursors: dict[tuple[str, str] | None, str | None] = {}
        self._moved = False
        """Whether somebody moved the cursor; until then it stays on the first line, which is the worst."""

    def compose(self) -> ComposeResult:
        """The page and its foot."""
        yield self.lines
        yield self.foot

    @property
    def target(self) -> Target:
        """Where the line under the cursor leads."""
        found = self._sheet.targets.get(self.lines.cursor or "") if self._sheet is not None else None
        return found or _NO_TARGET

    def turn(self, compile_key: tuple[str, str] | None) -> None:
        """Show another page: of one compile, or the overview (None); each has its own cursor."""
        if compile_key != self.compile:
            self._cursors[self.compile] = self.lines.cursor
            self.compile, self._stamp, self._moved = compile_key, None, compile_key in self._cursors
            self.lines.cursor = self._cursors.get(compile_key)
            self.lines.scroll_to(y=0, animate=False, immediate=True)

    def tell(self, explanation: Explanation | None, one: Compile | None = None) -> None:
        """Show this explanation, or of it `one` compile; the same again costs only the seconds of what compiles now."""
        self._told = explanation, one
        if explanation is None:
            self.lines.show(_NO_RUN)
            return
        now = time.time() if any(process.open_phases for process in explanation.processes) else 0.0
        width = self.lines.size.width
        stamp = (explanation.revision, explanation.root, width, self._opened, one, int(now))
        if stamp == self._stamp or not width:
            return
        self._stamp = stamp
        if one is not None:
            self._sheet = compile_sheet(explanation, one, width - 1)
        else:
            self._sheet = overview(explanation, width - 1, self._opened, now)
        if not self._moved:
            self.lines.cursor = None
        self.lines.show_anchored(self._sheet.page)
        self._say_foot()

    def _again(self) -> None:
        """What was told last; asked when it is drawn, as more may have been told since."""
        self.tell(*self._told)

    def _say_foot(self) -> None:
        """The line under the cursor in full."""
        rows = next((rows for least, rows in FEET if self.size.height >= least), 0)
        if self.foot.styles.height is None or self.foot.styles.height.value != rows:
            self.foot.styles.height = rows
        if not rows or self._sheet is None:
            return
        told: list[Line] = self._sheet.tell(self.lines.cursor, self.size.width - 1)
        blank = [BLANK] if rows > 3 else []
        self.foot.show(*[*blank, *told][:rows])

    def on_resize(self, _: Resize) -> None:
        """Lay out anew."""
        self._stamp = None
        self.call_after_refresh(self._again)

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Another line is told in full."""
        event.stop()
        self._moved = True
        self._say_foot()
        self.screen.refresh_bindings()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """As enter."""
        event.stop()
        self.lines.action_open()

    def on_explain_lines_asked(self, event: ExplainLines.Asked) -> None:
        """Open or close a fold; else go to the evidence."""
        event.stop()
        key, sheet = self.lines.cursor or "", self._sheet
        if sheet is None:
            return
        folds = key in sheet.folds
        if folds and (event.only_fold or self.target == _NO_TARGET):
            wanted = event.wanted if event.wanted is not None else key not in self._opened
            self._opened = self._opened | {key} if wanted else self._opened - {key}
            self._again()
        elif event.wanted is not False and self.target != _NO_TARGET:
            self.post_message(self.Wanted(self.target))
