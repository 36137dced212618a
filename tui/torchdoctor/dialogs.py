"""What lies over the panes: help, made from the bindings, and the question before something ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

from .paint import BLANK, Line, Page, fit, line, wrap
from .widgets.bars import Keys, Rows
from .widgets.lines import Lines

_OURS = __package__ or "torchdoctor"


def bindings_of(screen: Screen[object]) -> Iterator[tuple[DOMNode, str, Binding]]:
    """(node, group, binding) of every key of ours that the screen's focus can reach, nearest first."""
    start: DOMNode = screen.focused or screen
    for node in (*start.ancestors_with_self,):
        for kind in type(node).__mro__:
            if not kind.__module__.startswith(_OURS):
                continue
            group = str(getattr(node, "BINDING_GROUP_TITLE", None) or "Everywhere")
            for binding in kind.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding):
                    yield node, group, binding


_GENERAL = ("Everywhere", "List")
"""Groups of keys that come after those of the pane itself."""


def help_page(screen: Screen[object], title: str, text: str, width: int) -> Page:
    """The keys that reach this far with what they do, the pane's own first; then what the pane says about itself."""
    rows: list[Line] = []
    groups: dict[str, dict[str, Binding]] = {}
    for _, group, binding in bindings_of(screen):
        groups.setdefault(group, {}).setdefault(binding.id or binding.key, binding)
    for group in sorted(groups, key=lambda name: _GENERAL.index(name) if name in _GENERAL else -1):
        rows += [BLANK, line(("  " + group, "title"))]
        for binding in groups[group].values():
            said = wrap(binding.tooltip or binding.description, max(20, width - 22))
            rows.append(line("    ", (fit(keys_text(screen, binding), 16), "key"), said[0]))
            rows += [line(" " * 20, more) for more in said[1:]]
    about = [line("    ", part) for part in wrap(text, width - 6)]
    return Page([*rows, BLANK, line((f"  About {title}", "title")), *about, BLANK])


def keys_text(screen: Screen[object], binding: Binding) -> str:
    """The keys of a binding as they are now, also where the settings gave it others."""
    now = [b.binding for b in screen.active_bindings.values() if binding.id and b.binding.id == binding.id]
    declared = [Binding(key.strip(), "") for key in binding.key.split(",")]
    shown = [screen.app.get_key_display(b) for b in (now or declared)]
    return binding.key_display or " ".join(dict.fromkeys(shown))


class HelpScreen(ModalScreen[None]):
    """Help for the pane that is open."""

    CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > Container { width: 84; max-width: 100%; height: 100%; max-height: 36; background: $surface; }
    HelpScreen Lines { background: $surface; padding: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back", key_display="esc", id="app.quit", tooltip="Back"),
    ]

    def __init__(self, under: Screen[object], title: str, text: str) -> None:
        super().__init__()
        self.under = under
        self.title_text = title
        self.help_text = text

    def compose(self) -> ComposeResult:
        """One view and its keys."""
        with Container():
            yield Lines(id="help-lines")
            yield Keys(id="help-keys")

    def on_resize(self) -> None:
        """Lay out for this width."""
        lines = self.query_one(Lines)
        lines.show(help_page(self.under, self.title_text, self.help_text, min(84, self.size.width) - 2))
        lines.focus()


class Question(ModalScreen[bool]):
    """A yes or no in one line; enter and esc mean no."""

    CSS = """
    Question { align: center middle; background: $background 60%; }
    Question > Rows { width: auto; height: 5; padding: 1 3; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="question.yes", tooltip="Do it"),
        Binding("n,escape,enter,q", "answer(False)", "No", id="question.no", tooltip="Leave it"),
    ]

    def __init__(self, text: str, yes: str) -> None:
        super().__init__()
        self.text = text
        self.yes = yes

    def compose(self) -> ComposeResult:
        """The question."""
        rows = Rows(id="question")
        rows.styles.width = min(self.app.size.width, max(len(self.text), 30) + 6)
        rows.show(line(self.text), BLANK, line(("y", "key"), f" {self.yes}    ", ("n", "key"), " no"))
        yield rows

    def action_answer(self, answer: bool) -> None:
        """Give it."""
        self.dismiss(answer)
