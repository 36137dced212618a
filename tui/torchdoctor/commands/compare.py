"""`compare`: two to many reports held against each other, without a screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import click
import msgspec

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchprobes.model import Report
from torchprobes.reports import exit_codes, html, markdown
from torchprobes.reports.comparison import compared, platforms, timeline
from torchprobes.reports.comparison.document import document
from torchprobes.reports.comparison.model import Comparison, Timeline
from torchprobes.reports.gather import Gathered, gather, uncollected
from torchprobes.reports.text import plain

from ._compare_text import comparison_text, timeline_text
from ._options import settings_of, settings_options
from ._output import Destination, note, only_one_to_stdout, say
from ._redacting import redact_option, redactor_for
from .runs import place_of, terminal_width

FORMS: Final = ("json", "markdown", "html")
FEWEST: Final = 2


@click.command("compare")
@settings_options("out", "read_only", "ascii")
@click.argument("names", metavar="REPORT...", nargs=-1, required=True)
@click.option("--markdown", "markdown_to", metavar="FILE|-", help="As Markdown, for a ticket.")
@click.option("--html", "html_to", metavar="FILE|-", help="As one HTML file with plots, which needs no network.")
@click.option("--json", "json_to", metavar="FILE|-", help="As JSON; - puts it alone on stdout.")
@redact_option
@click.option("--all", "everything", is_flag=True, help="Rows that are the same, too; every cause and outlier.")
@click.option("--timeline", "over_time", is_flag=True, help="Each node over time: what changed when.")
@click.pass_context
def compare_(
    ctx: click.Context,
    names: tuple[str, ...],
    markdown_to: str | None,
    html_to: str | None,
    json_to: str | None,
    redact: str | None,
    everything: bool,
    over_time: bool,
) -> int:
    """Hold reports against each other: what differs, and what explains it.

    REPORT is a report.json, what `snapshot --json` wrote, a run (its name, or its folder), or a folder of any of them;
    the first one is what the others are held against. What cannot be read is a line, the others are compared, and the
    exit code is 2.
    """
    paths = dict(zip(FORMS, (json_to, markdown_to, html_to), strict=True))
    targets = {form: Destination.checked(f"--{form}", path) for form, path in paths.items()}
    only_one_to_stdout(targets)
    wanted = {form: target for form, target in targets.items() if target}
    with uncollected():
        return _compare(names, wanted, settings_of(ctx), redact, everything=everything, over_time=over_time)


def _compare(
    names: Sequence[str],
    wanted: Mapping[str, Destination],
    settings: Settings,
    redact: str | None,
    *,
    everything: bool,
    over_time: bool,
) -> int:
    """Read, compare, hand over; a form a destination, or text for the terminal."""
    found = gather(names, lambda: place_of(settings))
    code = _told(found)
    if len(found.reports) < FEWEST:
        raise click.UsageError(f"{_count(found)}, a comparison needs {FEWEST}")
    told = Told(found.reports, redact, notes=found.refused)
    for form, target in wanted.items():
        target.deliver(told.form(form, over_time=over_time))
    if not wanted:
        say(told.text(settings, everything=everything, over_time=over_time))
    return code


def _told(found: Gathered) -> int:
    """Say a line for each that could not be read; 2 if there is one."""
    for line in found.refused:
        note(f"torchdoctor: {plain(line)}")
    return exit_codes.USAGE if found.refused else exit_codes.OK


def _count(found: Gathered) -> str:
    return f"{len(found.reports) or 'no'} report{'' if len(found.reports) == 1 else 's'} could be read"


class Told:
    """One comparison in every form that is wanted. What is masked is masked before it is compared, once a level.

    `notes` are what limits it, beside what the reports themselves lack: what could not be read, nodes without a report;
    `hosts` are names of machines in them, which no report has.
    """

    def __init__(
        self,
        reports: Sequence[tuple[str, Report]],
        redact: str | None = None,
        notes: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> None:
        self._reports, self._redact, self._notes, self._hosts = reports, redact, notes, hosts
        self._made: dict[str, tuple[Comparison, str]] = {}

    def at(self, form: str) -> tuple[Comparison, str]:
        """The comparison as that form may tell it, and what was masked for it."""
        redactor = redactor_for(form, self._redact)
        level = redactor.level.value
        if level not in self._made:
            redactor.learn([{"host": host} for host in self._hosts])
            reports = redactor.reports(report for _, report in self._reports)
            where = [redactor.text(where) for where, _ in self._reports]
            found = compared(platforms(list(zip(where, reports, strict=True))))
            notes = (*map(redactor.text, self._notes), *found.notes)
            self._made[level] = (dataclasses.replace(found, notes=notes), redactor.masked)
        return self._made[level]

    def form(self, form: str, *, over_time: bool = False) -> bytes:
        """One of `FORMS`."""
        comparison, masked = self.at(form)
        return _OVER_TIME[form](comparison, masked) if over_time else _FORMS[form](comparison, masked)

    def text(self, settings: Settings, *, everything: bool = False, over_time: bool = False) -> str:
        """For a terminal."""
        comparison, masked = self.at("text")
        signs, width = not decide(settings).ascii, terminal_width()
        if over_time:
            lines = timeline(comparison.platforms)
            return timeline_text(lines, masked, signs=signs, width=width, everything=everything)
        return comparison_text(comparison, masked, signs=signs, width=width, everything=everything)


def _json(found: Comparison, masked: str, lines: Timeline | None = None) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document(found, masked, lines)), indent=2) + b"\n"


def _markdown(found: Comparison, masked: str) -> bytes:
    return markdown.comparison_markdown(found, masked).encode("utf-8", "backslashreplace")


def _markdown_over_time(found: Comparison, masked: str) -> bytes:
    return markdown.timeline_markdown(timeline(found.platforms), masked).encode("utf-8", "backslashreplace")


Teller = Callable[[Comparison, str], bytes]

_FORMS: Final[dict[str, Teller]] = {"json": _json, "markdown": _markdown, "html": html.comparison_html}
_OVER_TIME: Final[dict[str, Teller]] = {
    "json": lambda found, masked: _json(found, masked, timeline(found.platforms)),
    "markdown": _markdown_over_time,
    "html": lambda found, masked: html.timeline_html(timeline(found.platforms), masked),
}
"""Every form by the name of its flag, of what is the same and of what changed over time."""
