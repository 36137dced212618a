"""`replay`: a recording in the console; in a pipe what is in it, or one sample of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from torchdoctor.early import has_screen
from torchprobes.model import SCHEMA
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain
from torchprobes.telemetry.recording.account import Account, account_of
from torchprobes.telemetry.recording.file import RecordingError
from torchprobes.telemetry.recording.timeline import Timeline, open_timeline
from torchprobes.telemetry.verdict import verdict_of

from ._flight import find_folder
from ._options import json_flag, settings_of, settings_options
from ._output import say, say_document
from ._readings import event_lines, gpu_lines, past_of, process_lines
from ._table import finding_lines
from ._when import local, moment_ns, span_words
from .console import open_console
from .runs import terminal_width

DEMO: Final = Path(__file__).parents[1] / "data" / "demo.jsonl.gz"
"""Two real H100s under load: training over both, a rank asleep in a collective, copies, bursts."""

WINDOW_S: Final = 600.0


@click.command("replay")
@click.argument("path", required=False, metavar="[FILE|DIR]")
@click.option("--demo", is_flag=True, help="The recording of two real GPUs under load that comes with torchdoctor.")
@click.option("--at", metavar="TIME", help="One sample: HH:MM, ISO, +90s from the beginning, -15m from the end.")
@json_flag("In a pipe: the summary, or the sample of --at,")
@settings_options("out", "theme", "colour", "ascii", "slow", "read_only")
@click.pass_context
def replay_(ctx: click.Context, path: str | None, demo: bool, at: str | None, as_json: bool) -> int:
    """Play a recording in the console: a file, a flight recorder's folder, or this node's flight recorder."""
    if demo and path is not None:
        raise click.UsageError("--demo is a recording of its own: name no other")
    try:
        chosen = DEMO if demo else Path(path).absolute() if path is not None else find_folder(settings_of(ctx))
        if at is None and not as_json and has_screen():
            return open_console(ctx, replay=str(chosen))
        timeline = open_timeline(chosen)
        if at is None:
            return _summary(timeline, chosen, as_json)
        at_ns = moment_ns(at, timeline.began_ns, timeline.ended_ns)
        account = account_of(timeline, str(chosen), at_ns, WINDOW_S, settings_of(ctx).thresholds)
        return _sample(account, as_json)
    except RecordingError as error:
        raise click.UsageError(str(error)) from None


# --- one sample --------------------------------------------------------------------------------------------------


def _sample(account: Account, as_json: bool) -> int:
    if account.sample is None:
        raise click.UsageError(f"{account.gap}: it is from {local(account.began_ns)} to {local(account.ended_ns)}")
    if as_json:
        say_document(_document(account))
    else:
        say("\n".join(_lines(account, terminal_width())) + "\n")
    return exit_codes.first(exit_codes.of_findings(account.health.findings))


def _document(account: Account) -> dict[str, Any]:
    """As `gpus --json`."""
    sample: dict[str, Any] = msgspec.to_builtins(account.sample)
    health: dict[str, Any] = msgspec.to_builtins(account.health)
    verdict = verdict_of(account.sample, account.health.findings) if account.sample is not None else None
    return {
        "schema": SCHEMA,
        **sample,
        "findings": health["findings"],
        "verdict": verdict.value if verdict is not None else "unsure",
        "line": health["line"],
        "gap": account.gap,
    }


def _lines(account: Account, width: int) -> Iterator[str]:
    if account.sample is None:
        return
    past = past_of(account)
    yield plain(f"{account.host}  {local(account.sample.t_ns)}  {account.gap}", width)
    yield from gpu_lines(account.sample, account.health.findings, past, width)
    yield from process_lines(account.sample, width)
    for finding in account.health.findings:
        yield from finding_lines(finding, width)
    yield plain(mask(account.health.line))


# --- the whole ---------------------------------------------------------------------------------------------------


def _summary(timeline: Timeline, path: Path, as_json: bool) -> int:
    first = next((sample for _, sample in timeline.samples(0, 1)), None)
    gpus = first.gpus if first is not None else ()
    events = [event for _, event in timeline.events()]
    if as_json:
        say_document(_summary_document(timeline, path))
        return exit_codes.OK
    width = terminal_width()
    lasted = span_words((timeline.ended_ns - timeline.began_ns) / 1e9)
    rows = [
        f"recording  {path}",
        f"host       {timeline.header.host}, torchdoctor {timeline.header.torchdoctor}",
        f"from       {local(timeline.began_ns)}",
        f"to         {local(timeline.ended_ns)}, {lasted}",
        f"samples    {timeline.count} at {timeline.header.rate_hz:g} Hz, {timeline.broken} broken lines",
        f"gpus       {len(gpus)}{': ' if gpus else ''}{', '.join(sorted({str(gpu.name) for gpu in gpus}))}",
        *(f"gap        {local(a)} to {local(b)}, {span_words((b - a) / 1e9)}" for a, b in timeline.gaps()),
        *(f"recorder   {local(note.t_ns)}  {note.text}" for note in timeline.notes),
        *(f"unreadable {line}" for line in timeline.broken_files),
        f"events     {len(events) or 'none'}",
    ]
    for row in rows:
        say(plain(mask(row), width) + "\n")
    for row in event_lines(events, first, width - 2):
        say(f"  {row}\n")
    return exit_codes.OK


def _summary_document(timeline: Timeline, path: Path) -> dict[str, Any]:
    first = next((sample for _, sample in timeline.samples(0, 1)), None)
    return {
        "schema": SCHEMA,
        "recording": str(path),
        "header": msgspec.to_builtins(timeline.header),
        "began_ns": timeline.began_ns,
        "ended_ns": timeline.ended_ns,
        "samples": timeline.count,
        "broken": timeline.broken,
        "broken_files": list(timeline.broken_files),
        "gpus": [{"uuid": g.uuid, "bus_id": g.bus_id, "index": g.index} for g in (first.gpus if first else ())],
        "gaps": [{"from_ns": a, "to_ns": b} for a, b in timeline.gaps()],
        "notes": msgspec.to_builtins(timeline.notes),
        "events": msgspec.to_builtins([event for _, event in timeline.events()]),
    }
