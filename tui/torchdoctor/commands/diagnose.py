"""`diagnose --at TIME`: what the flight recorder saw at a time when nobody was there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from torchdoctor.status import cell_text
from torchprobes.model import SCHEMA
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain
from torchprobes.telemetry.recording.account import Account, Change, give_account
from torchprobes.telemetry.recording.file import RecordingError

from ._flight import find_folder
from ._look import verdict_of
from ._options import settings_of, settings_options
from ._output import say, say_document
from ._readings import event_line, gpu_lines, past_of, process_lines
from ._table import finding_lines
from ._when import TIME_HELP, local, moment_ns, span, span_words
from .runs import terminal_width


@click.command("diagnose")
@click.argument("what", required=False, metavar="")
@click.option("--at", metavar="TIME", help=f"When: {TIME_HELP}")
@click.option("--ring", metavar="DIR|FILE", help="A recording; else this node's flight recorder.")
@click.option("--window", callback=span, default="10m", show_default=True, metavar="SPAN", help="Events within it.")
@click.option("--json/--text", "as_json", default=False, help="As JSON, or as text (the default).")
@settings_options("out", "read_only")
@click.pass_context
def diagnose_(
    ctx: click.Context, what: str | None, at: str | None, ring: str | None, window: float, as_json: bool
) -> int:
    r"""What was there at a time: GPUs, findings, XIDs, who was on which GPU, what got worse before.

    \b
    torchdoctor diagnose --at 03:10
    torchdoctor diagnose --at -15m --window 30m --ring /var/lib/torchdoctor/flight
    """
    if what is not None:
        raise click.UsageError("a run or a pid cannot be diagnosed yet: `diagnose --at TIME` reads the flight recorder")
    if at is None:
        raise click.UsageError(f"say when with --at: {TIME_HELP}")
    at_ns = moment_ns(at)
    try:
        settings = settings_of(ctx)
        path = Path(ring).absolute() if ring is not None else find_folder(settings, at_ns)
        account = give_account(path, at_ns, window, settings.thresholds)
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        say_document(document(account))
    else:
        say("\n".join(_lines(account, terminal_width())) + "\n")
    return _code(account)


def _code(account: Account) -> int:
    """By the findings; nothing is known of a gap."""
    found = exit_codes.of_findings(account.health.findings) if not account.gap else []
    return exit_codes.first([*found, *([exit_codes.INCOMPLETE] if account.gap else [])])


def document(account: Account) -> dict[str, Any]:
    """`--json`: known keys are never left out; `sample` is null where the recording begins later."""
    found: dict[str, Any] = msgspec.to_builtins(account)
    health = found.pop("health")
    verdict = verdict_of(account.sample, account.health.findings).value if account.sample is not None else "unsure"
    rest = {"findings": health["findings"], "verdict": "unsure" if account.gap else verdict, "line": health["line"]}
    return {"schema": SCHEMA, **found, **rest}


# --- for a person ------------------------------------------------------------------------------------------------


def _lines(account: Account, width: int) -> Iterator[str]:
    sample = account.sample
    yield plain(f"{account.host}  at {local(account.asked_ns)}  ({account.recording})", width)
    if account.gap:
        yield plain(f"NOT RECORDED: {account.gap}")
    if sample is not None:
        late = (account.asked_ns - sample.t_ns) / 1e9
        yield f"the sample of {local(sample.t_ns)}, {span_words(late)} before"
        yield from gpu_lines(sample, account.health.findings, past_of(account), width)
        yield from process_lines(sample, width)
        for finding in account.health.findings:
            yield from finding_lines(finding, width)
    yield from _happened(account, width)
    if account.health.line:
        yield plain(mask(account.health.line))


def _happened(account: Account, width: int) -> Iterator[str]:
    around = span_words(account.window_s)
    yield f"events within {around} of it: {len(account.events) or 'none'}"
    for event in account.events:
        yield "  " + event_line(event, account.sample, width - 2)
    yield f"worse than {around} before: {len(account.changes) or 'nothing'}"
    for change in account.changes:
        yield plain(f"  {change.where}: {_change(change)}", width)
    for note in account.notes:
        yield plain(mask(f"recorder  {local(note.t_ns)}  {note.text}"), width)
    if account.broken:
        yield f"{account.broken} lines of the recording are broken and were left out"


def _change(change: Change) -> str:
    return mask(f"{change.cell} {cell_text(change.before)} -> {cell_text(change.after)}")
