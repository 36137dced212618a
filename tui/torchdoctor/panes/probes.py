"""The Probes pane: does this PyTorch really work here? Every probe, what it came to, and everything about one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message

from torchdoctor import later
from torchdoctor.paint import Page
from torchdoctor.signs import RUNNING
from torchdoctor.widgets.lines import Lines
from torchdoctor.widgets.probe_rows import ALL, Look, Order, Row, list_page, rows_of, sign, state_of
from torchprobes.catalogue import TIERS
from torchprobes.model import Tier

from .base import SnapshotPane, console

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot

SIDE_BY_SIDE, VERY_WIDE = 110, 180
_LIST, _LONG_LIST = 53, 92
"""How wide the list is beside a detail, without and with what each probe said."""

PROBE, EARLIER = "probe", "earlier"
"""What is open: one probe or a group; the earlier runs, or one of them beside what is on screen."""


class ProbesPane(SnapshotPane):
    """A list of probes, and one of them in full beside it or, on a narrow screen, instead of it."""

    HELP = """\
r runs what the cursor stands on: one probe, a group, or with the first row everything of the tier. Only idle GPUs
are taken; a probe that finds somebody else on the GPU is skipped and says who. enter opens a probe, and its output
from there, and folds a group; the results stay until the probe is run again. d holds them against an earlier run.
pass works and helps · degraded works, but a named cause keeps it from helping · unsure carries no verdict · error is
the probe's own trouble, never the machine's.
"""
    DEFAULT_CSS = """
    ProbesPane Horizontal { height: 1fr; }
    ProbesPane #probe-list { width: 1fr; }
    ProbesPane #probe-detail { width: 1fr; display: none; padding-left: 1; }
    ProbesPane.-wide #probe-list { width: 53; }
    ProbesPane.-wide.-long #probe-list { width: 92; }
    ProbesPane.-wide #probe-detail { display: block; border-left: vkey $panel; }
    ProbesPane.-wide.-ascii #probe-detail { border-left: ascii $panel; }
    ProbesPane.-open #probe-list { display: none; }
    ProbesPane.-open #probe-detail { display: block; border-left: none; }
    """
    BINDING_GROUP_TITLE = "Probes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run", id="probes.run", tooltip="Run the selected probe, group or tier"),
        Binding("c", "cancel", "Cancel", id="probes.cancel", tooltip="Cancel the selected probe or group, or from "
                "the first row the whole check; finished results stay"),
        Binding("enter", "open", "Open", key_display="enter", id="probes.open",
                tooltip="Fold or unfold a group; everything about a probe, then its output"),
        Binding("R", "tier", "Tier", id="probes.tier", tooltip="How much r runs: quick, standard or full"),
        Binding("s", "sort", "Sort", id="probes.sort", tooltip="Sort by group, or worst first"),
        Binding("d", "earlier", "Compare", id="probes.compare", tooltip="Hold the results against an earlier run"),
        Binding("y", "copy", "Copy", id="pane.copy", tooltip="Copy the line that repeats the selected probe by hand; "
                "on other rows the page. Into a file and the clipboard"),
        Binding("Y", "copy_page", "Copy page", show=False, id="probes.copy-page", tooltip="Copy the whole page"),
        Binding("right", "fold(True)", "Unfold", show=False, id="probes.unfold", tooltip="Show a group's probes"),
        Binding("left", "fold(False)", "Fold", show=False, id="probes.fold", tooltip="Hide a group's probes"),
        Binding("z", "zoom", "Zoom", show=False, id="probes.zoom", tooltip="One probe or group on the whole screen"),
        Binding("escape", "back", "Back", id="probes.back", tooltip="Back to the list"),
    ]  # fmt: skip

    class FollowRun(Message):
        """Somebody wants to read the output of a probe."""

        def __init__(self, folder: str) -> None:
            super().__init__()
            self.folder = folder

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines(id="probe-list")
        self.detail = Lines(id="probe-detail")
        self.look = Look()
        self.open = ""
        """PROBE or EARLIER where that has the whole screen, "" while the list is there."""
        self.chosen = ""
        """The folder of the earlier run that is compared."""

    def compose(self) -> ComposeResult:
        """List and detail."""
        with Horizontal():
            yield self.lines
            yield self.detail

    def on_mount(self) -> None:
        """The tier of the settings."""
        self.look = replace(self.look, tier=console(self).settings.tier or Tier.STANDARD)
        self.set_class(console(self).settings.ascii, "-ascii")

    @property
    def opened(self) -> bool:
        """Whether something has the whole screen."""
        return bool(self.open)

    # --- drawing -----------------------------------------------------------------------------------------------

    @property
    def row(self) -> Row:
        """The row under the cursor."""
        rows = rows_of(self._looked(), self.snapshot.probes)
        return next((row for row in rows if row.key == self.lines.cursor), rows[0])

    def _looked(self) -> Look:
        return replace(self.look, cursor=self.lines.cursor, height=self.size.height)

    def stamp(self, snapshot: Snapshot) -> object:
        """What the page is made of: telemetry, which is new at every tick, is no part of it."""
        return (snapshot.probes, snapshot.busy, snapshot.run, snapshot.target, snapshot.report_run, snapshot.earlier,
                snapshot.earlier_note)  # fmt: skip

    def state(self) -> object:
        """How the list is looked at, where the cursor stands, and what is open."""
        return self.look, self.lines.cursor, self.open, self.chosen

    def draw(self, snapshot: Snapshot) -> None:
        """The list, the detail, or both: what cannot be seen is not made."""
        wide, long = self.size.width >= SIDE_BY_SIDE and not self.open, self.size.width >= VERY_WIDE
        self.set_class(wide, "-wide")
        self.set_class(wide and long, "-long")
        self.set_class(self.opened, "-open")
        beside = (_LONG_LIST if long else _LIST) if wide else 0
        if not self.open:
            shown = list_page(snapshot.probes, self._looked(), beside or self.size.width, reasons=not wide or long)
            self.lines.show_anchored(shown)
        if wide or self.open:
            self.detail.show(self._detail_page(snapshot, self.size.width - (beside + 2 if wide else 0) - 2))
        self.refresh_bindings()

    def _detail_page(self, snapshot: Snapshot, width: int) -> Page:
        views = later.probe_views()
        if self.open == EARLIER:
            page: Page = views.earlier_page(snapshot, self.chosen, width)
        else:
            page = views.detail_page(self.row, snapshot, self.look, width)
        return page

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Another probe: its detail from the top."""
        if event.lines is self.lines:
            self.detail.scroll_home(animate=False, immediate=True)
            self.refresh_data()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """A second click opens."""
        event.stop()
        self.action_open()

    # --- actions -----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        if not self.is_attached:
            return True
        busy = console(self).sources.snapshot().busy
        listed = not self.open
        allowed = {
            "run": not console(self).settings.read_only and not busy and self.open != EARLIER,
            "cancel": busy,
            "back": self.opened,
            "open": listed or self._choosing or (self.open == PROBE and bool(self._folder())),
            "tier": listed,
            "sort": listed,
            "fold": listed,
            "earlier": self.open != EARLIER,
            "zoom": self.open != EARLIER,
        }
        return allowed.get(action, True)

    @property
    def _choosing(self) -> bool:
        """Whether an earlier run is to be chosen."""
        return self.open == EARLIER and not self.chosen and self.detail.cursor is not None

    def action_run(self) -> None:
        """Run what the cursor stands on."""
        self.paused = None
        console(self).run_probes(self.row.probes)
        self.refresh_data()

    def action_cancel(self) -> None:
        """Cancel what runs of the row under the cursor; all that runs where nothing of it does."""
        probes, sources = self.snapshot.probes, console(self).sources
        pending = [probe.name for probe in self.row.probes if _pending(probes.get(probe.name))]
        for name in pending if self.row.key != ALL and pending else [None]:
            sources.cancel(name)
        self.refresh_data()

    def action_tier(self) -> None:
        """The next tier; the first row then says what it holds."""
        tier = TIERS[(TIERS.index(self.look.tier) + 1) % len(TIERS)]
        self.look = replace(self.look, tier=tier)
        console(self).sources.settings = replace(console(self).sources.settings, tier=tier)
        self.lines.select(ALL)
        self.refresh_data()

    def action_sort(self) -> None:
        """The other order; the cursor stays on its probe."""
        order = Order.GROUPS if self.look.order is Order.WORST else Order.WORST
        self.look = replace(self.look, order=order)
        self.refresh_data()

    def action_fold(self, opened: bool) -> None:
        """Show or hide the probes of the group that the cursor stands on or in."""
        row = self.row
        group = row.probes[0].group if row.single else row.key
        if self.look.order is Order.WORST or row.key == ALL or (row.single and (opened or not row.indent)):
            return
        self.look = replace(self.look, folds={**self.look.folds, group: opened})
        if row.single:
            self.lines.select(group)
        self.refresh_data()

    def _folder(self) -> str:
        row = self.row
        view = self.snapshot.probes.get(row.key) if row.single else None
        return view.folder if view is not None and state_of(view) != "queued" else ""

    def action_open(self) -> None:
        """Fold a group, choose a run, open the detail; from there, the output."""
        row = self.row
        if self.open == EARLIER:
            self.chosen = self.detail.cursor or ""
            self.detail.scroll_home(animate=False, immediate=True)
            self.refresh_data()
        elif not self.open and row.open is not None:
            self.action_fold(not row.open)
        elif self.open or (self._folder() and sign(self.snapshot.probes.get(row.key))[0] == RUNNING):
            if self._folder():
                self.post_message(self.FollowRun(self._folder()))
        else:
            self._show(PROBE)

    def action_zoom(self) -> None:
        """The detail on the whole screen, or back."""
        self._show("" if self.open else PROBE)

    def action_earlier(self) -> None:
        """Choose an earlier run to hold the results against."""
        console(self).sources.read_earlier()
        self._show(EARLIER)

    def _show(self, what: str) -> None:
        """Give the whole screen to a probe or to earlier runs, or to the list again."""
        self.open, self.chosen = what, ""
        self.detail.scroll_home(animate=False, immediate=True)
        self.draw(self.snapshot)
        self.call_after_refresh((self.detail if self.open else self.lines).focus)
        self.call_after_refresh(self.refresh_data)

    def action_copy(self) -> None:
        """Copy the line that repeats the probe; the page where no probe is selected."""
        if self.open == EARLIER or not self.row.single:
            self.action_copy_page()
            return
        exact = later.probe_views().copied(self.row, self.snapshot)
        self.app.copy_to_clipboard(exact.line + "\n")
        for note in exact.notes:
            self.notify(note, severity="warning", markup=False)

    def action_copy_page(self) -> None:
        """Copy the page."""
        self.app.copy_to_clipboard(self.plain_text())

    def plain_text(self) -> str:
        """The page that has the screen, whole; beside each other, the list's."""
        return (self.detail if self.open else self.lines).plain_text()

    def action_back(self) -> None:
        """Back to the list."""
        self.go_back()

    def go_back(self) -> bool:
        """Close what is open: from a comparison to the choice of a run, from there to the list."""
        if self.chosen:
            self._show(EARLIER)
        elif self.open:
            self._show("")
        else:
            return False
        return True


def _pending(view: object) -> bool:
    return view is not None and getattr(view, "result", None) is None
