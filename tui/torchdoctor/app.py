"""The console: what is on the screen, what its keys do, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, ComposeResult

from . import later, terminal, theme
from .keymap import EVERYWHERE
from .sources import Snapshot, Sources
from .widgets.bars import Keys, Small, Tabs
from .widgets.top_rows import Top, tally

if TYPE_CHECKING:
    from torchprobes.catalogue import Probe

    from .interfaces import Engines
    from .settings import Settings

SECOND_PRESS_S: Final = 2.0


class TorchDoctor(App[None]):
    """Five panes under two lines that say who this is and whether anything is wrong."""

    TITLE = "torchdoctor"
    CSS = theme.FRAME
    COMMANDS: ClassVar[set[Any]] = {later.actions}
    COMMAND_PALETTE_BINDING = "colon"
    BINDINGS = EVERYWHERE
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = terminal.BREAKPOINTS

    def __init__(
        self,
        settings: Settings,
        capabilities: terminal.Capabilities,
        engines: Callable[[], Engines] = later.engines,
        behind: Callable[[], object] = bool,
    ) -> None:
        super().__init__(ansi_color=capabilities.ansi or None)
        self.settings = settings
        self.capabilities = capabilities
        self.sources = Sources(settings, engines)
        self.panes: dict[str, Any] = {}
        self.here = ""
        self._behind = behind
        self._top = Top(id="top")
        self._tabs = Tabs(later.TITLES.items(), id="tabs")
        self._busy = False
        self._told: object = None
        self._pressed = -SECOND_PRESS_S
        self.animation_level = "none"
        for known in (*theme.THEMES, theme.ANSI):
            self.register_theme(known)
        self.theme = theme.ANSI.name if capabilities.ansi else theme.NAMES.get(settings.theme, theme.DARK.name)

    # --- beginning ---------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The frame around the panes."""
        yield self._top
        yield self._tabs
        yield Keys(id="keys")
        yield Small(id="small")

    async def on_mount(self) -> None:
        """The first pane only; everything else comes after the first frame."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.leave, 128 + number)
        self.set_keymap(dict(self.settings.keys))
        await self.action_pane("logs" if self.settings.logs else "jobs" if self.settings.open_job else "gpus")
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        gc.freeze()
        gc.enable()
        self._behind()
        self.sources.start()
        self.set_interval(0.04, self.tick, repeat=5)  # the first sample may come any moment
        self._beat()

    def _beat(self) -> None:
        """Tick again and again on the loop's own clock: a Timer of Textual's costs more than most ticks."""
        if self.is_running:
            asyncio.get_running_loop().call_later(1 / self.capabilities.screen_hz, self._beat)
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - as from any handler: it ends the console, with a line
                self._handle_exception(error)

    def tick(self) -> None:
        """Hand what is new to what is visible."""
        if not self.pane.is_attached:
            return
        for text in self.sources.take_notices():
            self.notify(text, markup=False)
        self.pane.refresh_data()
        snapshot = self.sources.snapshot()
        told = (snapshot.revision, self.here, getattr(self.pane, "paused", None) is not None, self.size.width)
        if told != self._told:
            self._told = told
            self._frame(snapshot, held=told[2])

    def _frame(self, snapshot: Snapshot, held: bool) -> None:
        """What stands around the pane."""
        if snapshot.busy != self._busy:
            self._busy = snapshot.busy
            self.refresh_bindings()
        self._top.tell(snapshot)
        self._tabs.mark(self.here, [("PAUSED", "warn")] if held else tally(snapshot))

    # --- panes -------------------------------------------------------------------------------------------------

    @property
    def pane(self) -> Any:
        """The pane that is open."""
        return self.panes[self.here]

    async def action_pane(self, name: str) -> None:
        """Open a pane, made now if it was never open."""
        if name not in self.panes:
            self.panes[name] = await later.pane(name, beside=bool(self.panes))
            await self.screen.mount(self.panes[name], before="#keys")
            self.call_after_refresh(gc.freeze)  # what a pane is made of stays: walking over it takes 20 ms
            if name == "logs" and (folder := self.settings.logs or self.sources.run_folder()):
                self.panes[name].follow_run(folder)
        self.here = name
        for other, pane in self.panes.items():
            pane.set_class(other != name, "-away")  # a style of its own would show it on a screen that is too small
        if first := next((widget for widget in self.pane.query("*") if widget.focusable), None):
            self.screen.set_focus(first)  # now: a key that was typed ahead belongs to this pane
        self.tick()

    async def on_probes_pane_follow_run(self, event: Any) -> None:
        """Show the output of a probe as it is written."""
        await self.action_pane("logs")
        self.pane.follow_run(event.folder)

    def run_probes(self, probes: Sequence[Probe]) -> None:
        """Run these; why not is said in a line."""
        if refused := self.sources.run(probes):
            self.notify(refused, severity="warning", markup=False)

    async def run_graph(self, path: str) -> None:
        """Run one graph of torch.compile alone, and show what comes of it."""
        await self.action_pane(later.run_graph(self, path))

    # --- keys --------------------------------------------------------------------------------------------------

    def copy_to_clipboard(self, text: str) -> None:
        """To the terminal (OSC 52), to tmux, which drops that, and into a file, which always works."""
        super().copy_to_clipboard(text)
        self.sources.copy(text)

    def action_export(self) -> None:
        """Ask what to write of what is on screen; where it is comes as a notice."""
        later.export(self)

    def action_help(self) -> None:
        """Help for this pane."""
        self.push_screen(later.help_screen(self.screen, later.TITLES[self.here], self.pane.HELP))

    async def action_quit(self) -> None:
        """Back from what is open in a pane, else quit; asked first while something runs that ends with this console."""
        if getattr(self.pane, "go_back", lambda: False)():
            return
        if ends := later.what_ends(self.sources.snapshot().busy):
            self.push_screen(later.question(ends, "quit"), lambda yes: self.leave(0) if yes else None)
        else:
            self.leave(0)

    def action_interrupt(self) -> None:
        """Cancel what runs; quit if nothing does, or on a second press."""
        again, self._pressed = time.monotonic() - self._pressed < SECOND_PRESS_S, time.monotonic()
        if again or not later.what_ends(self.sources.snapshot().busy):
            self.leave(0)
        else:
            self.sources.cancel()
            later.cancel_captures()
            self.notify("cancelling; ctrl+c again quits", markup=False)

    # --- the end -----------------------------------------------------------------------------------------------

    def leave(self, code: int) -> None:
        """Let go of everything and end; waits for nobody."""
        self.sources.stop()
        for pane in self.panes.values():
            pane.stop()
        self.exit(return_code=code)

    def _print_error_renderables(self) -> None:
        """Textual would print a traceback here; `run` raises the error, and the command line says a line."""
