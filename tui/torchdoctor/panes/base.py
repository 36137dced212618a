"""What the app asks of every pane, and the base of the panes that show a snapshot as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widget import Widget

from torchdoctor import later
from torchdoctor.paint import Page
from torchdoctor.widgets.lines import Lines

if TYPE_CHECKING:
    from torchdoctor.settings import Settings
    from torchdoctor.sources import Snapshot, Sources
    from torchprobes.catalogue import Probe


@runtime_checkable
class Pane(Protocol):
    """A screenful: made without arguments, told by the app's timer while it is visible, and stopped at the end."""

    HELP: ClassVar[str]

    def refresh_data(self) -> None:
        """Show what is new; called at most 5 times a second, only while visible."""

    def stop(self) -> None:
        """Let go of threads and files without waiting for them."""


class Console(Protocol):
    """The part of the app that panes know."""

    settings: Settings
    sources: Sources

    def run_probes(self, probes: Sequence[Probe]) -> None:
        """Run these, or say why not."""

    async def run_graph(self, path: str) -> None:
        """Run one graph of torch.compile alone, and show what comes of it."""


def console(widget: Widget) -> Console:
    """The app of a widget, as panes know it."""
    return cast("Console", widget.app)


class SnapshotPane(Widget):
    """A pane that turns the newest snapshot into a page of lines, whenever one of them changed."""

    HELP: ClassVar[str | None] = ""
    DEFAULT_CSS = "SnapshotPane { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="pane.search", tooltip="Search this page; n and N go to the hits"),
        Binding("y", "copy", "Copy", id="pane.copy", tooltip="Copy this page: into a file and the clipboard"),
        Binding("space", "pause", "Pause", id="pane.pause", tooltip="Hold the screen still; nothing is lost"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()
        self.paused: Snapshot | None = None
        self._shown: object = None
        self._sizes = 0
        """How often the size has changed: asking a widget for its size costs more than a tick may."""

    def compose(self) -> ComposeResult:
        """One view."""
        yield self.lines

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot, or the one that was there when the pane was paused."""
        return self.paused or console(self).sources.snapshot()

    def refresh_data(self) -> None:
        """Show the newest snapshot; a hidden pane builds nothing."""
        snapshot = self.snapshot
        stamp = (self.stamp(snapshot), self._sizes, self.state())
        if stamp != self._shown and self.display and self.size.width:
            self._shown = stamp
            self.draw(snapshot)

    def stamp(self, snapshot: Snapshot) -> object:
        """What of the snapshot the page is made of: while it stays the same, nothing is made anew."""
        return snapshot.revision

    def state(self) -> object:
        """What else the page depends on: the pane's own choices."""
        return None

    def draw(self, snapshot: Snapshot) -> None:
        """Show this snapshot."""
        self.lines.show(self.page(snapshot, self.size.width - 1))

    def page(self, snapshot: Snapshot, width: int) -> Page:
        """The page of this snapshot, `width` cells wide."""
        raise NotImplementedError

    def action_pause(self) -> None:
        """Hold the newest snapshot on screen, or go on with what came since."""
        self.paused = None if self.paused is not None else self.snapshot
        self.refresh_data()

    def action_search(self) -> None:
        """Ask for a text, in the view that has the keys."""
        here = self.app.focused
        self.mount(asked := later.search_line(here if isinstance(here, Lines) else self.lines))
        asked.focus()

    def action_copy(self) -> None:
        """Copy the page."""
        self.app.copy_to_clipboard(self.plain_text())

    def plain_text(self) -> str:
        """What `y` copies: the page, whole."""
        return self.lines.plain_text()

    def go_back(self) -> bool:
        """Close what is open in this pane; False if nothing is."""
        return False

    def stop(self) -> None:
        """There is nothing to let go of."""

    def on_resize(self, _: Resize) -> None:
        """Lay out anew, after the parts of the pane have their new size."""
        self._sizes += 1
        self.call_after_refresh(self.refresh_data)
