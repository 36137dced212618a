"""The right side of the Logs pane: one view at a time of what was chosen, and the line over it that says what it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from torchdoctor.log_source import LogSource, compare, link, read_code, read_source
from torchdoctor.text import ascii_only, safe
from torchdoctor.widgets.code_paint import CodeText
from torchdoctor.widgets.code_view import READING, CodeView
from torchdoctor.widgets.explain_view import ExplainView
from torchdoctor.widgets.explain_words import short_names
from torchdoctor.widgets.log_view import LogView
from torchdoctor.widgets.side_by_side import NOTHING, Compared, SideBySide
from torchprobes.compilelog.explanation import NOTHING as NOTHING_KNOWN

from . import logs_views as views
from .logs_views import OVERVIEW, Where

if TYPE_CHECKING:
    from torchprobes.compilelog.engine import LogsView
    from torchprobes.compilelog.explanation import Compile, Explanation


class LogsReader(Vertical):
    """Shows the place where one is: an explanation, a log, code, or two texts side by side."""

    DEFAULT_CSS = """
    LogsReader { width: 1fr; height: 1fr; }
    LogsReader > .title { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    LogsReader > .title { text-wrap: nowrap; text-overflow: clip; }
    """

    def __init__(self, source: LogSource) -> None:
        super().__init__()
        self.source = source
        self.explain = ExplainView()
        self.log_view = LogView()
        self.code = CodeView()
        self.side = SideBySide()
        self.where = OVERVIEW
        self.view: LogsView | None = None
        self._left: dict[str, Where] = {}
        """What each view shows."""
        self._cause = ""
        self._title = Static("", markup=False, classes="title")

    def compose(self) -> ComposeResult:
        """All views; one is displayed."""
        yield self._title
        yield self.explain
        yield self.log_view
        yield self.code
        yield self.side

    @property
    def explanation(self) -> Explanation:
        """What is known."""
        return self.view.explanation if self.view is not None else NOTHING_KNOWN

    def _compile(self) -> Compile | None:
        """The compile whose page is shown."""
        return views.compile_of(self.where.compile, self.view) if self.where.view == "compile" else None

    @property
    def widget(self) -> Widget:
        """What has the keys in this view."""
        widgets: Mapping[str, Widget] = {"log": self.log_view.lines, "code": self.code, "side": self.side}
        return widgets.get(self.where.view, self.explain.lines)

    def plain_text(self) -> str:
        """What is shown, as text."""
        if self.where.view == "log":
            return "\n".join(self.log_view.lines.screen_lines())
        if self.where.view == "code":
            return "\n".join(self.code.text.lines) + "\n"
        return self.side.as_text() + "\n" if self.where.view == "side" else self.explain.lines.plain_text()

    def tell(self, view: LogsView | None) -> None:
        """Show what is new; called by the app's timer."""
        if view is not self.view or self.source.cause != self._cause:
            self.view, self._cause = view, self.source.cause
            self.say_title()
        if self.where.view in ("overview", "compile"):
            self.explain.tell(self.explanation if self.source.root else None, self._compile())
        elif self.where.view == "log":
            self.log_view.refresh_data()

    def forget(self) -> None:
        """Another run is followed: nothing is known of it."""
        self.view = None
        self.log_view.open(None)

    def go(self, where: Where, again: bool = False) -> None:
        """Show this; `again` as it was left, if nothing else was shown in that view since."""
        self.where = where
        shown = {"compile": "overview"}.get(where.view, where.view)
        for name, widget in (("overview", self.explain), ("log", self.log_view), ("code", self.code),
                             ("side", self.side)):  # fmt: skip
            widget.display = name == shown
        if not again or self._left.get(where.view) != where:
            self._show[where.view](self, where)
        self._left[where.view] = where
        self.say_title()

    def close(self) -> None:
        """Let go of the log; does not wait."""
        self.log_view.close()

    # --- one view each ----------------------------------------------------------------------------------------

    def _show_page(self, where: Where) -> None:
        self.explain.turn(where.compile if where.view == "compile" else None)
        self.explain.tell(self.explanation if self.source.root else None, self._compile())

    def _show_log(self, where: Where) -> None:
        """At once, or as soon as it has its place on the screen: a view that grows would end following."""
        if self.log_view.lines.size.height:
            self._open_log(where)
        else:
            self.log_view.open(None)
            self.call_after_refresh(self._open_log, where)

    def _open_log(self, where: Where) -> None:
        if where is not self.where:
            return
        follow = where.follow and where.offset is None
        if where.paths:
            short = short_names(where.paths)
            merged = import_module("torchprobes.compilelog.merged").MergedDocument(where.paths)
            self.log_view.open_document(merged, "log", follow=follow, names=tuple(short[path] for path in where.paths))
        else:
            self.log_view.open(where.path, where.language, follow=follow)
        if self.source.query is not None and (document := self.log_view.lines.document) is not None:
            document.search(self.source.query)
        if where.offset is not None:
            self.log_view.go_to_offset(where.offset)

    def _show_code(self, where: Where) -> None:
        self.code.show(READING)
        plain, near = ascii_only(self.app), self._near()
        source = where.source
        if source is not None:
            self.source.work(lambda: read_source(source.file, near, source.code, ascii_only=plain),
                             lambda text: self._code_is(where, text))  # fmt: skip
        else:
            self.source.work(lambda: read_code(where.path, where.window, where.language, ascii_only=plain),
                             lambda text: self._code_is(where, text))  # fmt: skip

    def _near(self) -> tuple[str, ...]:
        """Folders in which a program may lie that is not where it was: that of the run, and those above it."""
        root = self.source.root.rstrip("/")
        return tuple(dict.fromkeys((root, os.path.dirname(root), os.path.dirname(os.path.dirname(root)))))

    def _code_is(self, where: Where, text: CodeText) -> None:
        if where is self.where:
            self.code.show(text, where.line)
            self.say_title()

    def _show_side(self, where: Where) -> None:
        self.side.show(NOTHING)
        plain, parts = ascii_only(self.app), where.parts
        work = (
            (lambda: link(parts[0], parts[1], parts[2] if len(parts) > 2 else None, where.title, ascii_only=plain))
            if where.linked
            else (lambda: compare(parts[0], parts[1], where.title, ascii_only=plain))
        )
        self.source.work(work, lambda made: self._side_is(where, made))

    def _side_is(self, where: Where, made: Compared) -> None:
        if where is self.where:
            self.side.show(made)
            self.say_title()

    _show: ClassVar[Mapping[str, Callable[[LogsReader, Where], None]]] = {
        "overview": lambda reader, where: reader._show_page(where),
        "compile": lambda reader, where: reader._show_page(where),
        "log": lambda reader, where: reader._show_log(where),
        "code": lambda reader, where: reader._show_code(where),
        "side": lambda reader, where: reader._show_side(where),
    }

    # --- the title --------------------------------------------------------------------------------------------

    def say_title(self) -> None:
        """Say what is shown."""
        words = views.title(self.where, self.side.compared, self.code.text, self.view, self.source)
        text = Text()
        for part, style in words:
            text.append(safe(part, ascii_only=ascii_only(self.app)), style)
        self._title.update(text, layout=False)
