"""The line in which a person types what to search or to filter a log by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from torchdoctor.text import ascii_only, safe
from torchdoctor.widgets.log_filter import HINT

SEARCH: Final = "search"
FILTER: Final = "filter"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed, and how it is meant."""

    kind: str
    text: str
    regex: bool = False
    everywhere: bool = False
    """A search of all files."""


class LogPrompt(Vertical):
    """Hidden until it is opened; stays open until what is typed is taken, or the person leaves."""

    DEFAULT_CSS = """
    LogPrompt { height: auto; display: none; }
    LogPrompt.-open { display: block; }
    LogPrompt > Input { height: 1; border: none; padding: 0 1; background: $panel; }
    LogPrompt > Static { height: 1; background: $panel; color: $text-error; text-wrap: nowrap; }
    LogPrompt > Static { text-overflow: ellipsis; display: none; }
    LogPrompt.-said > Static { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", id="log.prompt.leave", tooltip="Back to the lines; nothing changes"),
        Binding("ctrl+r", "regex", "Text or expression", id="log.prompt.regex",
                tooltip="Search for text, or for a regular expression"),
        Binding("ctrl+t", "everywhere", "This file or all", id="log.prompt.everywhere",
                tooltip="Search this file, or all files of the tree"),
    ]  # fmt: skip

    class Given(Message):
        """The person typed something and pressed enter. `LogPrompt.close` takes it, `LogPrompt.say` does not."""

        def __init__(self, asked: Asked) -> None:
            super().__init__()
            self.asked = asked

    class Left(Message):
        """The prompt is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = SEARCH
        self.regex = self.everywhere = False
        self.typed: dict[str, str] = {}
        """What was typed last, by kind."""
        self._input = Input(compact=True, select_on_focus=True)
        self._said = Static("", markup=False)

    def compose(self) -> ComposeResult:
        """What was wrong, if anything, and the line itself."""
        yield self._said
        yield self._input

    @property
    def is_open(self) -> bool:
        """Whether it is on screen."""
        return self.has_class("-open")

    def open(self, kind: str, *, everywhere: bool = False) -> None:
        """Ask."""
        self.kind, self.everywhere = kind, everywhere
        self.say("")
        self._hint()
        self._input.value = self.typed.get(kind, "")
        self.add_class("-open")
        self._input.focus()

    def say(self, words: str) -> None:
        """Say in one line what is wrong with what was typed; it stays there to be mended."""
        self._said.update(safe(words, ascii_only=ascii_only(self.app)), layout=False)
        self.set_class(bool(words), "-said")

    def close(self) -> None:
        """Go away; what was typed is kept for the next time."""
        self.typed[self.kind] = self._input.value
        self.remove_class("-open")
        self.post_message(self.Left())

    def _hint(self) -> None:
        if self.kind == FILTER:
            self._input.placeholder = f"show only: {HINT}"
            return
        what = "an expression" if self.regex else "text"
        where = "all files" if self.everywhere else "this file"
        self._input.placeholder = f"search {where} for {what} (ctrl+r: text, expression; ctrl+t: this file, all)"

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was wrong is being mended."""
        event.stop()
        self.say("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand it over."""
        event.stop()
        self.post_message(self.Given(Asked(self.kind, event.value, self.regex, self.everywhere)))

    def action_leave(self) -> None:
        """Back to the lines."""
        self.close()

    def action_regex(self) -> None:
        """Text, or a regular expression."""
        self.regex = not self.regex
        self._hint()
        self._tell()

    def action_everywhere(self) -> None:
        """This file, or all."""
        self.everywhere = not self.everywhere
        self._hint()
        self._tell()

    def _tell(self) -> None:
        """Say how it is meant, where the placeholder is hidden by what is typed."""
        if self._input.value and self.kind == SEARCH:
            what = "a regular expression" if self.regex else "text"
            self.notify(f"search {'all files' if self.everywhere else 'this file'} for {what}", timeout=2)
