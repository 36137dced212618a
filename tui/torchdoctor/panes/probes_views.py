"""The right half of the Probes pane: one probe in full, what several came to, and two runs side by side."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torchdoctor.paint import BLANK, Line, Page, fit, join, line
from torchdoctor.widgets.compare_rows import comparison_page, runs_page
from torchdoctor.widgets.probe_rows import ALL, Look, Row, counts, progress, said, sign, weight
from torchdoctor.widgets.repeat import ByHand, by_hand
from torchdoctor.widgets.result_rows import probe_page
from torchprobes.model import Result

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot
    from torchprobes.catalogue import Probe

_NAME = 35


def detail_page(row: Row, snapshot: Snapshot, look: Look, width: int) -> Page:
    """What the cursor of the list stands on."""
    if not row.single:
        return summary_page(row, snapshot, look, width)
    probe = row.probes[0]
    return probe_page(probe, snapshot.probes.get(probe.name), repeat(probe, snapshot), width)


def earlier_page(snapshot: Snapshot, chosen: str, width: int) -> Page:
    """The runs to choose from or, when one was chosen, it beside the results that are on screen."""
    report = next((report for path, report in snapshot.earlier or () if path == chosen), None)
    if report is None:
        return runs_page(snapshot.earlier, snapshot.earlier_note, width)
    results, where = results_now(snapshot)
    return comparison_page(report, results, where, width)


def results_now(snapshot: Snapshot) -> tuple[Mapping[str, Result], str]:
    """(the results that are on screen, where they are from): this session's, else the last report's."""
    mine = {name: view.result for name, view in snapshot.probes.items() if view.result is not None}
    target = snapshot.target
    if mine or snapshot.report is None:
        torch = f"torch {target.torch}" if target and target.torch else ""
        return mine, join((f"this session, {len(mine)} probes", torch, target.python if target else ""))
    report = snapshot.report
    told = join((f"{report.started[:16].replace('T', ' ')}Z", f"torch {report.target.torch or 'none'}"))
    return {result.name: result for result in report.results}, f"the last run here, {told}"


def summary_page(row: Row, snapshot: Snapshot, look: Look, width: int) -> Page:
    """What a group or the whole tier came to, worst first."""
    title = f"all of tier {look.tier.value}" if row.key == ALL else row.key
    views = [snapshot.probes[p.name] for p in row.probes if p.name in snapshot.probes]
    found = [view.result.verdict for view in views if view.result is not None]
    lines: list[Line] = [BLANK, line(("  " + title, "title"), (f"   {len(row.probes)} probes   ", "dim"),
                                     *counts(found)), BLANK]  # fmt: skip
    if not views:
        lines += [line("  not run yet: r runs them, R changes the tier"), BLANK]
        return Page([*lines, *(line("    ", fit(probe.name, _NAME), (probe.title, "dim")) for probe in row.probes)])
    for view in sorted(views, key=weight):
        (mark, role), word = sign(view)
        text = said(view) if view.result is not None else progress(view)
        lines.append(line("  ", (f"{mark} {fit(word, 9)}", role), fit(view.name, _NAME), (text, "dim")))
    if len(found) < len(views):
        lines.append(line((f"  {len(views) - len(found)} to go", "run")))
    return Page(lines)


def repeat(probe: Probe, snapshot: Snapshot) -> str:
    """The command that runs a probe again and judges it."""
    target = snapshot.target
    if target is None:
        return f"torchdoctor check {probe.name}"
    how = ["--target", shlex.join((*target.prefix, target.python))] if target.prefix else ["--python", target.python]
    return shlex.join(["torchdoctor", "check", probe.name, *how])


def copied(row: Row, snapshot: Snapshot) -> ByHand:
    """What `y` copies for a probe: the line that repeats it, as it was run if it was, else through torchdoctor."""
    view = snapshot.probes.get(row.key)
    command = view.result.command if view is not None and view.result is not None else ""
    return by_hand(command) if command else ByHand(repeat(row.probes[0], snapshot))
