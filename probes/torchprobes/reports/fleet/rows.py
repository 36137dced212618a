"""What came of every node: its report, or the reason why there is none. No node is ever left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from torchprobes import __version__
from torchprobes.model import Frozen, Report
from torchprobes.rundir import RunError, decode

from ..text import plain
from .gathering import Heard
from .snapshot_report import report_of
from .wire import Answer


class NodeRow(Frozen, frozen=True, kw_only=True):
    """One node of a fleet. `state` is

    report: it gave one (`kind` snapshot or check; `why` says what it lacks, if anything) · failed: it answered that it
    cannot, or its answer is no report · broken: what came cannot be read · cut off: it began, and did not finish ·
    no answer: nothing was heard of it.
    """

    node: str
    state: str
    why: str = ""
    kind: str = ""
    torchdoctor: str = ""
    seconds: float | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A row with its report."""

    row: NodeRow
    report: Report | None = None


def node_of(name: str, heard: Heard | None, why: str) -> Node:
    """What came of a node; `why` says how its command or its task ended, for where there is no answer."""
    if heard is None:
        return Node(NodeRow(node=name, state="no answer", why=plain(why, 300)))
    seconds = round(heard.last - heard.first, 3)
    version = heard.message.torchdoctor[:40]
    if isinstance(heard.answer, Answer):
        node = _answered(name, heard.answer)
    elif heard.answer is not None:
        node = Node(NodeRow(node=name, state="broken", why=plain(heard.answer, 300)))
    else:
        node = Node(NodeRow(node=name, state="cut off", why=plain(f"{_where(heard)}; {why}", 300)))
    row = msgspec.structs.replace(node.row, seconds=seconds, torchdoctor=node.row.torchdoctor or version)
    return Node(row, node.report)


_STAGES = {
    "waits": "it had not begun yet", "looks": "it was looking at its node", "checks": "it was in its check",
    "says": "it was saying its answer",
}  # fmt: skip


def _where(heard: Heard) -> str:
    """How far a node came that did not finish."""
    if heard.of:
        return f"{len(heard.pieces)} of the {heard.of} pieces of its answer came"
    return _STAGES.get(heard.message.stage, "it was heard")


def _answered(name: str, answer: Answer) -> Node:
    version = answer.torchdoctor[:40]
    why = plain(answer.why, 300)
    if answer.kind not in _READERS:
        return Node(NodeRow(node=name, state="failed", why=why or "it gave no report", torchdoctor=version))
    try:
        report = _READERS[answer.kind](bytes(answer.document))
    except RunError as error:
        return Node(NodeRow(node=name, state="failed", why=plain(error, 300), torchdoctor=version))
    kind = "check" if answer.kind == "report" else "snapshot"
    lacks = "; ".join(filter(None, [why, *_lacks(report, version)]))
    return Node(NodeRow(node=name, state="report", why=lacks, kind=kind, torchdoctor=version), report)


def _lacks(report: Report, version: str) -> list[str]:
    """What of a report one should know before it is compared."""
    lacks = []
    if report.target.torch is None:
        lacks.append(f"no torch: {plain(report.target.refusal or report.target.python, 200)}")
    if version != __version__:
        lacks.append(f"torchdoctor {plain(version, 20) or 'of an unknown version'} there, {__version__} here")
    return lacks


def _snapshot(data: bytes) -> Report:
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"its snapshot cannot be read: {str(error)[:160]}") from None
    if not isinstance(found, dict):
        raise RunError("its snapshot is none")
    return report_of(found)


def _report(data: bytes) -> Report:
    return decode(data, Report, "its report")


_READERS = {"snapshot": _snapshot, "report": _report}
