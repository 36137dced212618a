"""The export dialog: what to write, in which form, masked how, and where."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input

from .command_form import MOVES
from .paint import line, wrap
from .widgets.bars import Keys, Rows
from .widgets.choice import Choice
from .widgets.form import Field, Go, field_label

if TYPE_CHECKING:
    from .report_source import ReportSource

ENDINGS: Final = {"html": "html", "markdown": "md", "json": "json", "junit": "xml", "svg": "svg"}
FORMS: Final = {
    "html": ("HTML", "one file with plots, for a browser; it needs no network"),
    "markdown": ("Markdown", "for a ticket"),
    "json": ("JSON", "the whole of it, for programs and for compare"),
    "junit": ("JUnit", "for CI: a test case a probe"),
    "svg": ("SVG", "a picture of the screen as it is now"),
}
"""Form -> (what the dialog calls it, what it is for)."""

LEVELS: Final = {
    "public": "masks users, hosts, addresses, UUIDs, serials, secrets, paths below a home",
    "internal": "masks secrets; host, bus id, serial and UUID stay, for an RMA needs them",
    "none": "masks nothing: for your own eyes",
}
DEFAULTS: Final = {"html": "public", "markdown": "public", "svg": "public", "json": "internal", "junit": "internal"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What can be written: of a report its `path`, of a comparison its `key`; `name` begins the file's name."""

    words: str
    forms: tuple[str, ...]
    name: str
    path: str = ""
    key: str = ""


class ExportDialog(ModalScreen["dict[str, Any] | None"]):
    """Its answer is what to write, None for nothing."""

    CSS = """
    ExportDialog { align: center middle; background: $background 60%; }
    ExportDialog > Container { width: 76; max-width: 100%; height: 11; background: $background; padding: 1 0 0 0; }
    ExportDialog Horizontal { height: 1; }
    ExportDialog .label { width: 13; background: $background; }
    ExportDialog #export-title { height: 2; background: $background; }
    ExportDialog #export-hint { background: $background; height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "write", "Write", id="export.write", tooltip="Write the file"),
        *MOVES,
        Binding("escape", "leave", "Back", id="export.leave", tooltip="Write nothing"),
    ]

    def __init__(self, subject: Subject, form: str = "") -> None:
        super().__init__()
        self.subject = subject
        first = form if form in self.subject.forms else self.subject.forms[0]
        self.forms = Choice([(each, FORMS[each][0]) for each in self.subject.forms], first, id="export-form")
        self.levels = Choice([(level, level) for level in LEVELS], DEFAULTS[first], id="export-level")
        self.field = Field("to", self._called(first), "a name, or a path")
        self.hint = Rows(id="export-hint")
        self._given = self.field.value
        """The name that the dialog gave; while it stands it follows the form, and gives way to a file of that name."""

    def _called(self, form: str) -> str:
        return f"{file_name(self.subject.name)}.{ENDINGS[form]}"

    def compose(self) -> ComposeResult:
        """Form, masking, name."""
        title = Rows(id="export-title")
        title.show(line("  ", ("export ", "title"), self.subject.words))
        with Container():
            yield title
            for label, widget in (("form", self.forms), ("mask", self.levels), ("file", self.field)):
                with Horizontal():
                    yield field_label(label)
                    yield widget
            yield self.hint
            with Horizontal():
                yield field_label("")
                yield Go("Write it", "write", id="export-go")
            yield Keys(id="export-keys")

    def on_mount(self) -> None:
        """The form has the keys."""
        self.forms.focus()
        self._hint()

    def on_choice_changed(self) -> None:
        """Another form has its own default of masking, and its own ending."""
        if self.focused is self.forms:
            self.levels.value = DEFAULTS[self.forms.value]
            self.levels.offer(self.levels.options)
            if self.field.value == self._given:
                self.field.value = self._given = self._called(self.forms.value)
        self._hint()

    def on_descendant_focus(self) -> None:
        """What the field with the keys is for."""
        self._hint()

    def _hint(self) -> None:
        where = "a name goes into the folder of exports; a path goes where it says; nothing is written over"
        first = FORMS[self.forms.value][1] if self.focused is self.forms else LEVELS[self.levels.value]
        said = wrap(where if self.focused is self.field else first, max(20, min(76, self.app.size.width) - 15))
        self.hint.show(*(line(" " * 13, (text, "dim")) for text in said))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the last field writes."""
        event.stop()
        self.action_write()

    def action_write(self) -> None:
        """Write it."""
        to = self.field.value.strip()
        if os.sep in to or to.startswith("~"):
            to = os.path.abspath(os.path.expanduser(to))
        if to:
            self.dismiss({"form": self.forms.value, "level": self.levels.value, "to": to,
                          "given": to == self._given, "path": self.subject.path, "key": self.subject.key})  # fmt: skip

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)


def file_name(text: str) -> str:
    """A text as the beginning of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text[:80]).strip("-.") or "report"


def export(app: Any) -> None:
    """Ask what to write of what is on screen, then have it written; a notice says where it is."""
    from .picture import drawer, rows_of, texts_of

    rows, width = rows_of(app), app.size.width  # before the dialog stands on it
    source: ReportSource = app.sources.reports
    mine: Subject | None = getattr(app.pane, "exported", lambda: None)()

    def write(asked: dict[str, Any] | None) -> None:
        if asked is None:
            return
        if asked["form"] == "svg":
            source.picture(texts_of(rows), _names(app), asked, drawer(rows, "torchdoctor", width))
        else:
            source.export(asked)

    app.push_screen(ExportDialog(mine or _screen(app), "" if mine else "svg"), write)


def _names(app: Any) -> list[dict[str, str]]:
    """Who and where, as far as telemetry says: a picture of the screen may hold it anywhere."""
    sample = app.sources.snapshot().sample
    if sample is None:
        return []
    users = {process.user for process in sample.processes if isinstance(process.user, str)}
    return [{"host": sample.host.host}, *({"user": user} for user in sorted(users))]


def _screen(app: Any) -> Subject:
    """What can be written where the pane has nothing of its own: a picture, or the last report if there is one."""
    snapshot = app.sources.snapshot()
    name = f"{app.here}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    if snapshot.report is None:
        return Subject("this screen", ("svg",), name)
    return Subject("this screen, or the last report", tuple(FORMS), name, path=snapshot.report_run)
