"""What came of a fleet, handed over: the rows of its nodes, then what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchprobes import __version__
from torchprobes.model import SCHEMA, Verdict
from torchprobes.reports import exit_codes
from torchprobes.reports.fleet.rows import Node
from torchprobes.reports.signs import ASCII_SIGNS, SIGNS
from torchprobes.reports.text import plain

from ._output import Destination, note, only_one_to_stdout, say
from ._redacting import redactor_for
from ._table import hanging
from .compare import FEWEST, Told
from .runs import terminal_width

FORMS = ("json", "html", "markdown")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where it is to go, tried before a node is asked."""

    settings: Settings
    targets: Mapping[str, Destination | None]
    redact: str | None

    @classmethod
    def checked(cls, given: Mapping[str, Any], settings: Settings) -> Outcome:
        """Of the command's options.

        Raises:
            click.UsageError: if nothing can be written there.
        """
        targets = {form: Destination.checked(f"--{form}", given[f"{form}_to"]) for form in FORMS}
        only_one_to_stdout(targets)
        return cls(settings, targets, given["redact"])


def deliver(outcome: Outcome, nodes: Sequence[Node], folder: Path, said: str) -> int:
    """Hand it over in every form that was asked for, as text if none was; the exit code."""
    hosts = [node.row.node for node in nodes]
    told = Told([(node.row.file, node.report) for node in nodes if node.report], outcome.redact, _missing(nodes), hosts)
    wanted = [(form, target) for form, target in outcome.targets.items() if target]
    codes = [exit_codes.of_report(node.report) if node.report else exit_codes.INCOMPLETE for node in nodes]
    for form, target in wanted:
        if form == "json":
            target.deliver(_json(told, nodes, outcome.redact))
        elif _count(nodes):
            target.deliver(told.form(form))
        else:
            note(f"torchdoctor: {target.flag}: there is no report to compare")
    lines = list(_rows(nodes, said, outcome.settings))
    if not wanted:
        say("\n".join([*lines, ""]) + "\n")
        if _count(nodes) >= FEWEST:
            say(told.text(outcome.settings))
    elif not any(target.is_stdout for _, target in wanted):
        say("\n".join(lines) + "\n")
    note(f"torchdoctor: {_count(nodes)} of {len(nodes)} nodes gave a report; "
         f"they are in {folder}")  # fmt: skip
    return exit_codes.first(codes) if nodes else exit_codes.INCOMPLETE


def _count(nodes: Sequence[Node]) -> int:
    return sum(node.report is not None for node in nodes)


def _missing(nodes: Sequence[Node]) -> list[str]:
    """A line for each node without a report: in no form is one left out."""
    return [f"{node.row.node}: {node.row.state}: {node.row.why}" for node in nodes if node.report is None]


def _rows(nodes: Sequence[Node], said: str, settings: Settings) -> Iterator[str]:
    """A line a node: those without a report last, where the eye is."""
    if not nodes:
        yield f"no node was heard: {plain(said, 300)}"
    signs, width = ASCII_SIGNS if decide(settings).ascii else SIGNS, max(60, terminal_width())
    wide = min(32, max((len(node.row.node) for node in nodes), default=0))
    for node in sorted(nodes, key=lambda one: one.report is None):
        yield from _row(node, signs, wide, width)


def _row(node: Node, signs: Mapping[Verdict, str], wide: int, width: int) -> list[str]:
    row, report = node.row, node.report
    verdict = report.verdict if report else None
    sign, word = (signs[verdict], verdict.value) if verdict else ("!", row.state)
    seconds = f"{row.seconds:6.1f} s" if row.seconds is not None else " " * 8
    head = f"{sign} {plain(row.node, 64):{wide}}  {word:9} {row.kind:8} {seconds}  "
    return hanging(head, row.why or _device(node), width)


def _device(node: Node) -> str:
    if node.report is None:
        return ""
    gpus = node.report.machine.gpus
    names = dict.fromkeys(str(gpu.get("name")) if isinstance(gpu.get("name"), str) else "GPU" for gpu in gpus)
    return plain(f"{len(gpus)} x {', '.join(names)}" if gpus else f"no GPU, {node.report.machine.cpu}", 120)


def _json(told: Told, nodes: Sequence[Node], redact: str | None) -> bytes:
    """Rows and comparison as one document."""
    masking = redactor_for("json", redact)
    masking.learn([{"host": node.row.node} for node in nodes])
    rows = [{name: masking.text(value) if isinstance(value, str) else value
             for name, value in msgspec.to_builtins(node.row).items()} for node in nodes]  # fmt: skip
    comparison = msgspec.Raw(told.form("json")) if _count(nodes) >= FEWEST else None
    document = {"schema": SCHEMA, "torchdoctor": __version__, "nodes": rows, "comparison": comparison}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
