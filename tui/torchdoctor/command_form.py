"""A form that starts a command: fields, switches, and what they come to, as a planner answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input

from .form_planner import FormPlanner
from .widgets.bars import Keys, Rows
from .widgets.form import Field, Go, field_label
from .widgets.lines import Lines
from .widgets.toggles import Toggle, Toggles

if TYPE_CHECKING:
    from .panes.base import Console

POLL_S: Final = 0.1
ROOMY: Final = 24
"""From so many rows on there are blank lines."""

MOVES: Final = (
    Binding("tab", "app.focus_next", "Next field", priority=True, id="form.next", tooltip="The next field"),
    Binding("shift+tab", "app.focus_previous", "Field before", show=False, priority=True, id="form.previous",
            tooltip="The field before"),
)  # fmt: skip
"""Keys of every form; they stand behind the one that starts it."""

P = TypeVar("P", bound=FormPlanner)


class CommandForm(ModalScreen["str | None"], Generic[P]):
    """Its answer is the run directory of what was started, None if nothing was."""

    CSS = """
    CommandForm { background: $background; }
    CommandForm > Container { width: 100%; height: 100%; background: $background; }
    CommandForm Horizontal { height: 1; }
    CommandForm .label { width: 13; background: $background; }
    CommandForm #form-title { height: 2; background: $background; }
    CommandForm #form-hint { margin: 0; background: $background; }
    CommandForm #form-lines { height: 1fr; }
    CommandForm.-roomy #form-switches, CommandForm.-roomy #form-start { margin: 1 0 0 0; }
    """
    SCOPED_CSS = False  # else these rules would be looked for inside of the form that inherits them
    FIELDS: ClassVar[tuple[tuple[str, str, str], ...]]
    """Name, label, what is shown while it is empty."""
    FIELD_HELP: ClassVar[Mapping[str, str]]
    SWITCHES: ClassVar[tuple[Toggle, ...]]
    START: ClassVar[tuple[str, str]]
    """What the button says, and the action of it."""

    def __init__(self, console: Console, last: Mapping[str, Any], planner: P) -> None:
        super().__init__()
        self._home = console
        self._last = dict(last)
        self.planner = planner
        self.lines = Lines(id="form-lines")
        self.hint, self.title_rows = Rows(id="form-hint"), Rows(id="form-title")
        switches = [Toggle(t.name, t.text, t.does, bool(last.get(t.name, t.on))) for t in self.SWITCHES]
        self.toggles = Toggles(switches, 3, id="form-switches")
        self._asked: Mapping[str, Any] = {}
        self._shown: object = None

    # --- of each form ----------------------------------------------------------------------------------------------

    @abstractmethod
    def form(self) -> dict[str, Any]:
        """The form as the planner reads it."""

    @abstractmethod
    def last(self) -> dict[str, Any]:
        """What was filled in, for the next time."""

    @abstractmethod
    def names_something(self, form: Mapping[str, Any]) -> bool:
        """Whether there is a command to plan."""

    @abstractmethod
    def stamp(self) -> object:
        """What else is shown: while it stays the same, nothing is drawn anew."""

    @abstractmethod
    def draw(self) -> None:
        """Show title, hint and what was answered."""

    # --- parts -----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Fields, switches, what they come to, keys."""
        with Container():
            yield self.title_rows
            for name, label, hint in self.FIELDS:
                with Horizontal():
                    yield field_label(label)
                    yield Field(name, str(self._last.get(name, "")), hint)
            yield self.toggles
            with Horizontal(id="form-start"):
                text, action = self.START
                yield Go(text, action, id=f"form-{action}")
                yield self.hint
            yield self.lines
            yield Keys(id="form-keys")

    def on_mount(self) -> None:
        """Look for answers while it is open; nobody waits for them."""
        self.set_interval(POLL_S, self.refresh_data)
        self._ask()
        self.refresh_data()

    def on_unmount(self) -> None:
        """Nobody asks any more."""
        self.planner.stop()

    def on_resize(self) -> None:
        """Lay out anew."""
        self._shown = None
        self.set_class(self.size.height >= ROOMY, "-roomy")
        self.call_after_refresh(self.refresh_data)

    # --- what is asked ---------------------------------------------------------------------------------------------

    def fields(self) -> dict[str, str]:
        """What the fields hold."""
        return {field.name or "": field.value for field in self.query(Field)}

    def _ask(self) -> None:
        form = self.form()
        if form == self._asked:
            return
        self._asked = form
        if self.names_something(form):
            self.planner.ask(form)
        else:
            self.planner.forget()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another form."""
        event.stop()
        self._ask()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The next field."""
        event.stop()
        self.focus_next()

    def on_toggles_changed(self) -> None:
        """Another form, or another switch under the cursor."""
        self._ask()
        self.refresh_data()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        """What was answered, and what the field with the keys is for."""
        if self.planner.run:
            if self.is_current:  # a last tick may come when it is closed already
                self.dismiss(self.planner.run)
            return
        self._ask()  # the target may have been found meanwhile
        stamp = (self.stamp(), self.focused, self.toggles.at, self.planner.starting, self.size)
        if stamp == self._shown or not self.size.width:
            return
        self._shown = stamp
        self.draw()

    def field_help(self) -> str:
        """What the field or the switch with the keys is for."""
        focused = self.focused
        if isinstance(focused, Field):
            return self.FIELD_HELP.get(focused.name or "", "")
        return self.toggles.here.does if focused is self.toggles else ""

    def on_descendant_focus(self) -> None:
        """Another field has the keys."""
        self.call_after_refresh(self.refresh_data)

    def action_leave(self) -> None:
        """Start nothing."""
        self.dismiss(None)
