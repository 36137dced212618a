"""The Probes pane: does this PyTorch really work here? Every probe, what it came to, and everything about one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message

from torchdoctor.paint import BLANK, Line, Page, fit, join, line
from torchdoctor.signs import NOT_RUN, QUEUED, RUNNING, VERDICTS
from torchdoctor.widgets.lines import Lines
from torchdoctor.widgets.result_rows import probe_page, said, seconds_text, sign, state_of
from torchprobes.catalogue import PROBES, TIERS, Probe, select
from torchprobes.model import Tier, Verdict, worst

from .base import SnapshotPane, console

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot
    from torchprobes.runner.snapshot import ProbeView

ALL = "all"
"""The key of the first row: every probe of the tier."""

SIDE_BY_SIDE = 110
_LIST = 50
_BAD = (Verdict.FAIL, Verdict.ERROR, Verdict.UNSURE, Verdict.DEGRADED)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list: a probe, a group of several, or all of the tier."""

    key: str
    probes: tuple[Probe, ...]
    indent: int = 0

    @property
    def single(self) -> bool:
        """Whether it is one probe."""
        return len(self.probes) == 1 and self.key == self.probes[0].name


def rows_of(tier: Tier) -> list[Row]:
    """All probes of the catalogue in its order, a group of several under a row of its own."""
    rows = [Row(ALL, select((), tier))]
    for group in dict.fromkeys(probe.group for probe in PROBES):
        members = tuple(probe for probe in PROBES if probe.group == group)
        if len(members) > 1:
            rows.append(Row(group, select((group,), tier)))
        rows += [Row(probe.name, (probe,), 2 if len(members) > 1 else 0) for probe in members]
    return rows


class ProbesPane(SnapshotPane):
    """A list of probes, and one of them in full beside it or, on a narrow screen, instead of it."""

    HELP = """\
r runs what the cursor stands on: one probe, a group, or with the first row everything of the tier. Only idle GPUs
are taken; a probe that finds somebody else on the GPU is skipped and says who. enter opens a probe, and its output
from there; the results stay until the probe is run again. pass works and helps · degraded works, but a named cause
keeps it from helping · unsure carries no verdict · error is the probe's own trouble, never the machine's.
"""
    DEFAULT_CSS = """
    ProbesPane Horizontal { height: 1fr; }
    ProbesPane #probe-list { width: 1fr; }
    ProbesPane #probe-detail { width: 1fr; display: none; padding-left: 1; }
    ProbesPane.-wide #probe-list { width: 50; }
    ProbesPane.-wide #probe-detail { display: block; border-left: vkey $panel; }
    ProbesPane.-wide.-ascii #probe-detail { border-left: ascii $panel; }
    ProbesPane.-open #probe-list { display: none; }
    ProbesPane.-open #probe-detail { display: block; border-left: none; }
    """
    BINDING_GROUP_TITLE = "Probes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run", id="probes.run", tooltip="Run the selected probe, group or tier"),
        Binding("c", "cancel", "Cancel", id="probes.cancel", tooltip="Cancel the selected probe, or from the first "
                "row the whole check; finished results stay"),
        Binding("enter", "open", "Open", key_display="enter", id="probes.open",
                tooltip="Everything about this probe, then its output"),
        Binding("R", "tier", "Tier", id="probes.tier", tooltip="How much r runs: quick, standard or full"),
        Binding("z", "zoom", "Zoom", show=False, id="probes.zoom", tooltip="One probe on the whole screen"),
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
        self.tier: Tier | None = None
        self.opened = False

    def compose(self) -> ComposeResult:
        """List and detail."""
        with Horizontal():
            yield self.lines
            yield self.detail

    def on_mount(self) -> None:
        """The tier of the settings."""
        self.tier = console(self).settings.tier
        self.set_class(console(self).settings.ascii, "-ascii")

    # --- drawing -----------------------------------------------------------------------------------------------

    @property
    def _tier(self) -> Tier:
        return self.tier or Tier.STANDARD

    @property
    def row(self) -> Row:
        """The row under the cursor."""
        rows = rows_of(self._tier)
        return next((row for row in rows if row.key == self.lines.cursor), rows[0])

    def state(self) -> object:
        """Tier, cursor, and what is open."""
        return self.tier, self.lines.cursor, self.opened

    def draw(self, snapshot: Snapshot) -> None:
        """List and detail."""
        self.set_class(self.size.width >= SIDE_BY_SIDE and not self.opened, "-wide")
        self.set_class(self.opened, "-open")
        wide = self.has_class("-wide")
        width = _LIST if wide else self.size.width
        self.lines.show(list_page(snapshot.probes, self._tier, width, reasons=not wide))
        room = self.size.width - 2 - (_LIST + 2 if wide else 0)
        self.detail.show(self._detail_page(snapshot, room))
        self.refresh_bindings()

    def _detail_page(self, snapshot: Snapshot, width: int) -> Page:
        row = self.row
        if not row.single:
            return summary_page(row, snapshot, self._tier, width)
        probe = row.probes[0]
        return probe_page(probe, snapshot.probes.get(probe.name), _command(probe, snapshot), min(width, 110))

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Another probe beside the list."""
        event.stop()
        self.detail.scroll_to(y=0, animate=False)
        self.refresh_data()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """As enter."""
        event.stop()
        self.action_open()

    def plain_text(self) -> str:
        """The detail if that is open, else the list."""
        return (self.detail if self.opened else self.lines).plain_text()

    # --- actions -----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        if not self.is_attached:
            return True
        busy = console(self).sources.snapshot().busy
        allowed = {
            "run": not console(self).settings.read_only and not busy,
            "cancel": busy,
            "back": self.opened,
            "open": not self.opened or bool(self._folder()),
            "tier": not self.opened,
        }
        return allowed.get(action, True)

    def action_run(self) -> None:
        """Run what the cursor stands on."""
        self.paused = None
        console(self).run_probes(self.row.probes)
        self.refresh_data()

    def action_cancel(self) -> None:
        """Cancel the probe under the cursor if it is part of what runs, else all that runs."""
        row, snapshot = self.row, console(self).sources.snapshot()
        view = snapshot.probes.get(row.key)
        pending = view is not None and view.result is None
        console(self).sources.cancel(row.key if row.single and pending else None)
        self.refresh_data()

    def action_tier(self) -> None:
        """The next tier; the first row then says what it holds."""
        self.tier = TIERS[(TIERS.index(self._tier) + 1) % len(TIERS)]
        console(self).sources.settings = replace(console(self).sources.settings, tier=self.tier)
        self.lines.select(ALL)
        self.refresh_data()

    def _folder(self) -> str:
        row = self.row
        view = self.snapshot.probes.get(row.key) if row.single else None
        return view.folder if view is not None and state_of(view) != "queued" else ""

    def action_open(self) -> None:
        """Open the detail; from there, the output."""
        running = self._folder() and sign(self.snapshot.probes.get(self.row.key))[0] == RUNNING
        if self.opened or running:
            if self._folder():
                self.post_message(self.FollowRun(self._folder()))
            return
        self.action_zoom()

    def action_zoom(self) -> None:
        """The detail on the whole screen, or back."""
        self.opened = not self.opened
        self.draw(self.snapshot)
        self.call_after_refresh((self.detail if self.opened else self.lines).focus)
        self.call_after_refresh(self.refresh_data)

    def action_back(self) -> None:
        """Back to the list."""
        self.go_back()

    def go_back(self) -> bool:
        """Close the detail."""
        if self.opened:
            self.action_zoom()
            return True
        return False


# --- pages -------------------------------------------------------------------------------------------------------


def list_page(probes: Mapping[str, ProbeView], tier: Tier, width: int, *, reasons: bool) -> Page:
    """Every probe in a row: sign, word, name, seconds, and where there is room what it said."""
    lines: list[Line] = [BLANK]
    keys, marks = {}, set()
    for row in rows_of(tier):
        view = probes.get(row.key) if row.single else None
        if view is not None and view.result is not None and view.result.verdict in _BAD:
            marks.add(len(lines))
        keys[len(lines)] = row.key
        lines.append(_probe_line(row, view, width, reasons) if row.single else _group_line(row, probes, tier, reasons))
        if row.key == ALL:
            lines.append(BLANK)
    return Page(lines, keys, frozenset(marks))


def _probe_line(row: Row, view: ProbeView | None, width: int, reasons: bool) -> Line:
    (mark, role), word = sign(view)
    text = said(view) if reasons else ""
    if reasons and view is None:
        text = row.probes[0].title
    elif reasons and view is not None and view.result is None and view.done is not None:
        text = join((f"{view.done * 100:.0f} %", text), "  ")
    name = " " * row.indent + row.probes[0].name
    return line(
        "  ", (f"{mark} ", role), (fit(word, 9), role), fit(name, 27),
        (fit(seconds_text(view), 7, "right"), "dim"), "   ", (text, "dim" if view is None else ""),
    )  # fmt: skip


def _group_line(row: Row, probes: Mapping[str, ProbeView], tier: Tier, reasons: bool) -> Line:
    views = [probes[probe.name] for probe in row.probes if probe.name in probes]
    found = [view.result.verdict for view in views if view.result is not None]
    (mark, role), word = NOT_RUN, "not run"
    states = {state_of(view) for view in views if view.result is None}
    if states:
        (mark, role), word = (QUEUED, "queued") if states == {"queued"} and not found else (RUNNING, "running")
    elif found:
        verdict = worst(found)
        (mark, role), word = VERDICTS[verdict], verdict.value
    name = f"all of tier {tier.value}" if row.key == ALL else row.key
    text = f"{len(found)} of {len(row.probes)} done" if views else f"{len(row.probes)} probes"
    return line(
        "  ", (f"{mark} ", role), (fit(word, 9), role), (fit(name, 27), "title"), (fit("", 7), ""),
        "   " if reasons else "", (text if reasons else "", "dim"),
    )  # fmt: skip


def summary_page(row: Row, snapshot: Snapshot, tier: Tier, width: int) -> Page:
    """What a group or the whole tier came to, worst first."""
    title = f"all of tier {tier.value}" if row.key == ALL else row.key
    lines: list[Line] = [BLANK, line(("  " + title, "title"), (f"   {len(row.probes)} probes", "dim")), BLANK]
    views = [snapshot.probes[p.name] for p in row.probes if p.name in snapshot.probes]
    done = sorted((v for v in views if v.result is not None), key=_weight)
    for view in done:
        (mark, role), word = sign(view)
        lines.append(line("  ", (f"{mark} {fit(word, 9)}", role), fit(view.name, 27), (said(view), "dim")))
    if not views:
        lines += [line("  not run yet: r runs them, R changes the tier"), BLANK]
        lines += [line("    ", fit(probe.name, 27), (probe.title, "dim")) for probe in row.probes]
    elif len(done) < len(views):
        lines.append(line((f"  {len(views) - len(done)} to go", "run")))
    return Page(lines)


def _weight(view: ProbeView) -> int:
    order = (*_BAD, Verdict.PASS, Verdict.SKIP)
    return order.index(view.result.verdict) if view.result is not None else len(order)


def _command(probe: Probe, snapshot: Snapshot) -> str:
    python = f" --python {snapshot.target.python}" if snapshot.target and not snapshot.target.prefix else ""
    return f"torchdoctor check {probe.name}{python}"
