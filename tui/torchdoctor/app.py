"""The console: what is on the screen, the key map, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize

from . import terminal, theme
from .paint import line
from .panes.base import SnapshotPane
from .panes.index import TITLES, make
from .settings import Settings
from .sources import Sources
from .widgets.bars import Keys, Rows, Tabs
from .widgets.lines import Lines
from .widgets.top_rows import top_rows

if TYPE_CHECKING:
    from textual.command import Provider

    from torchprobes.catalogue import Probe

    from .interfaces import Engines

SECOND_PRESS_S: Final = 2.0


def _engines() -> Engines:
    """The machine half; imported here, in a thread, because it costs more than the whole first frame."""
    made: Engines = import_module(".engines", __package__).real()
    return made


def _actions() -> type[Provider]:
    """The palette, imported when it is first opened."""
    found: type[Provider] = import_module(".palette", __package__).Actions
    return found


class TorchDoctor(App[None]):
    """Five panes under two lines that say who this is and whether anything is wrong."""

    TITLE = "torchdoctor"
    CSS = """
    Screen { background: $background; overflow: hidden; }
    #top { height: 2; }
    #tabs { background: $background; }
    #panes { height: 1fr; }
    #small { display: none; }
    Screen.-small > * { display: none; }
    Screen.-small > #small { display: block; }
    """
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_actions}
    COMMAND_PALETTE_BINDING = "colon"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(digit), f"pane('{name}')", TITLES[name], show=False, id=f"app.pane.{name}",
                  tooltip=f"The {TITLES[name]} pane") for digit, name in enumerate(TITLES, 1)),
        Binding("slash", "search", "Search", id="app.search", tooltip="Search this page; n and N go to the hits"),
        Binding("y", "copy", "Copy", id="app.copy", tooltip="Copy this page: into a file and the clipboard"),
        Binding("x", "export", "Export", id="app.export", tooltip="Write the last report as JSON and Markdown"),
        Binding("colon", "command_palette", "Actions", id="app.palette", tooltip="Every action and probe by name"),
        Binding("question_mark,f1", "help", "Help", key_display="?", id="app.help", tooltip="This help"),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Back, or quit"),
        Binding("ctrl+c", "interrupt", "Interrupt", show=False, priority=True, id="app.interrupt",
                tooltip="Cancel what runs; a second press quits"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, capabilities: terminal.Capabilities,
                 load: Callable[[], Engines] = _engines) -> None:  # fmt: skip
        super().__init__(ansi_color=capabilities.ansi or None)
        self.settings = settings
        self.capabilities = capabilities
        self.sources = Sources(settings, load)
        self.panes: dict[str, Any] = {}
        self.here = ""
        self._busy = False
        self._pressed = -SECOND_PRESS_S
        self.animation_level = "none"
        for known in theme.THEMES:
            self.register_theme(known)
        self.theme = theme.ANSI if capabilities.ansi else theme.NAMES.get(settings.theme, theme.DARK.name)

    # --- beginning -----------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The frame around the panes."""
        yield Rows(id="top")
        yield Tabs(TITLES.items(), id="tabs")
        yield Container(id="panes")
        yield Keys(id="keys")
        yield Rows(id="small")

    async def on_mount(self) -> None:
        """The first pane only; everything else comes after the first frame."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.leave, 128 + number)
        self.set_keymap(dict(self.settings.keys))
        await self.action_pane("logs" if self.settings.logs else "gpus")
        self.tick()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.sources.start()
        self.set_interval(1 / self.capabilities.screen_hz, self.tick)
        if self.settings.note:
            self.notify(self.settings.note, severity="warning", markup=False)

    def tick(self) -> None:
        """Hand what is new to what is visible."""
        snapshot = self.sources.snapshot()
        for text in self.sources.take_notices():
            self.notify(text, markup=False)
        if snapshot.busy != self._busy:
            self._busy = snapshot.busy
            self.refresh_bindings()
        top = self.screen_stack[0].query_one("#top", Rows)
        top.show(*top_rows(snapshot))
        self.pane.refresh_data()
        self._mark()

    def _mark(self) -> None:
        held = getattr(self.pane, "paused", None) is not None
        self.query_one(Tabs).mark(self.here, "PAUSED" if held else "")

    def on_resize(self, event: Resize) -> None:
        """On a terminal that is too small, one line says so."""
        text = terminal.too_small(*event.size)
        self.screen_stack[0].set_class(bool(text), "-small")
        self.screen_stack[0].query_one("#small", Rows).show(line(text))
        self.call_after_refresh(self.tick)
        self.call_after_refresh(self.query_one(Keys).update)

    # --- panes ---------------------------------------------------------------------------------------------------

    @property
    def pane(self) -> Any:
        """The pane that is open."""
        return self.panes[self.here]

    async def action_pane(self, name: str) -> None:
        """Open a pane, made now if it was never open."""
        before, self.here = self.here, name
        if name not in self.panes:
            self.panes[name] = make(name)
            await self.query_one("#panes", Container).mount(self.panes[name])
            if name == "logs":
                self._follow(self.settings.logs or self.sources.run_folder())
        if before and before != name:
            self.panes[before].display = False
        self.pane.display = True
        first = next((widget for widget in self.pane.query("*") if widget.focusable), None)
        if first is not None:
            first.focus()
        self.pane.refresh_data()
        self._mark()

    def _follow(self, folder: str) -> None:
        if folder:
            self.panes["logs"].follow_run(folder)

    async def on_probes_pane_follow_run(self, event: Any) -> None:
        """Show the output of a probe as it is written."""
        await self.action_pane("logs")
        self._follow(event.folder)

    def run_probes(self, probes: Sequence[Probe]) -> None:
        """Run these; why not is said in a line."""
        refused = self.sources.run(probes)
        if refused:
            self.notify(refused, severity="warning", markup=False)

    # --- keys ----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something here."""
        lines = isinstance(self.panes.get(self.here), SnapshotPane)
        return lines if action in ("search", "copy") else True

    def action_search(self) -> None:
        """Ask for a text."""
        line_kind = import_module(".widgets.search_line", __package__).SearchLine
        lines = self.focused if isinstance(self.focused, Lines) else self.pane.query_one(Lines)
        self.pane.mount(made := line_kind(lines))
        made.focus()

    def action_copy(self) -> None:
        """Copy the page."""
        self.copy_to_clipboard(self.pane.plain_text())

    def copy_to_clipboard(self, text: str) -> None:
        """To the terminal (OSC 52), to tmux, which drops that, and into a file, which always works."""
        super().copy_to_clipboard(text)
        self.sources.copy(text)

    def action_export(self) -> None:
        """Write the report; the line that says where comes with a later tick."""
        self.sources.export()

    def action_help(self) -> None:
        """Help for this pane."""
        dialogs = import_module(".dialogs", __package__)
        self.push_screen(dialogs.HelpScreen(self.screen, self.pane.HELP))

    async def action_quit(self) -> None:
        """Back from what is open in a pane, else quit; asked first while probes run."""
        if self.panes and getattr(self.pane, "go_back", lambda: False)():
            return
        if not self.sources.snapshot().busy:
            self.leave(0)
            return
        dialogs = import_module(".dialogs", __package__)
        question = dialogs.Question("Probes are running. Finished results stay, the rest ends.", "quit")
        self.push_screen(question, lambda yes: self.leave(0) if yes else None)

    def action_interrupt(self) -> None:
        """Cancel what runs; quit if nothing does, or on a second press."""
        again, self._pressed = time.monotonic() - self._pressed < SECOND_PRESS_S, time.monotonic()
        if again or not self.sources.snapshot().busy:
            self.leave(0)
            return
        self.sources.cancel()
        self.notify("cancelling; ctrl+c again quits", markup=False)

    # --- the end -------------------------------------------------------------------------------------------------

    def leave(self, code: int) -> None:
        """Let go of everything and end; waits for nobody."""
        self.sources.stop()
        for pane in self.panes.values():
            pane.stop()
        self.exit(return_code=code)

    def _print_error_renderables(self) -> None:
        """Textual would print a traceback here; `run` raises the error instead, and the command line says a line."""


def run(settings: Settings) -> int:
    """Open the console; its exit code.

    Raises:
        Exception: whatever ended the console unforeseen, after the terminal was restored.
    """
    capabilities = terminal.decide(settings)
    app = TorchDoctor(terminal.prepare(capabilities, settings), capabilities)
    try:
        app.run(mouse=capabilities.mouse)
    finally:
        app.sources.stop()
    if app._exception is not None:
        raise app._exception
    return app.return_code or 0
