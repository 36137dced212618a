"""The two lines at the top: which machine and which PyTorch, and whether anything is wrong."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from torchdoctor.paint import Line, Span, join
from torchdoctor.signs import SEVERITIES, VERDICTS
from torchdoctor.sources import verdicts
from torchdoctor.text import safe
from torchdoctor.widgets.bars import Rows
from torchdoctor.widgets.finding_rows import by_weight
from torchprobes.cells import Absent, Cell
from torchprobes.model import REPORT_ORDER, Target

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot


class Top(Rows):
    """The two lines, made anew only where something that they say has changed."""

    _told: object = None

    def tell(self, snapshot: Snapshot) -> None:
        """Show what they are now."""
        sample = snapshot.sample
        node = sample and (sample.host.host, sample.driver, sample.cuda, bool(sample.gpus))
        told = (node, snapshot.verdict, snapshot.findings, snapshot.sampler, snapshot.target, snapshot.target_note)
        if told != self._told:
            self._told = told
            self.show(*top_rows(snapshot))


def top_rows(snapshot: Snapshot) -> tuple[Line, Line]:
    """Identity, and the verdict."""
    return _identity(snapshot), _verdict(snapshot)


def _identity(snapshot: Snapshot) -> Line:
    sample, target = snapshot.sample, snapshot.target
    host = sample.host.host if sample else os.uname().nodename
    driver = ""
    if sample is not None and not isinstance(sample.driver, Absent):
        driver = join((f"driver {_cell(sample.driver)}", f"CUDA {_cell(sample.cuda)}"))
    elif sample is not None:
        driver = "no driver"
    parts: list[Span] = [(" ", ""), ("REPLAY", "warn")] if snapshot.replay else []
    parts.append((" " + safe(host), "title"))
    parts += [(" · " + driver, "")] if driver else []
    if target is None:
        return (*parts, (" · ", ""), (safe(snapshot.target_note), "dim"))
    why = join((target.origin, " ".join((*target.prefix, target.python))), ": ")
    return (*parts, (" · " + torch_text(target), ""), ("  " + safe(why), "dim"))


def tally(snapshot: Snapshot) -> list[Span]:
    """What the probes of this session came to, what matters first."""
    found = verdicts(snapshot)
    return [(f"{VERDICTS[v][0]} {found[v]} {v.value}", VERDICTS[v][1]) for v in REPORT_ORDER if v in found]


def torch_text(target: Target) -> str:
    """The target's torch, as tier 0 tells it."""
    if target.torch is None:
        return "no torch"
    return f"torch {safe(target.torch) or 'unreadable'}"


def _cell(cell: Cell) -> str:
    return cell.state.value if isinstance(cell, Absent) else safe(str(cell))


def _verdict(snapshot: Snapshot) -> Line:
    sign: Span = ("● ", "run")
    worst = by_weight(snapshot.findings)
    if snapshot.sample is not None and snapshot.verdict:
        mark, role = SEVERITIES[worst[0].severity] if worst else ("✔" if snapshot.sample.gpus else "•", "ok")
        sign = (mark + " ", role)
    text = snapshot.verdict or snapshot.sampler or "looking at this machine"
    spans: list[Span] = [(" ", ""), sign, (safe(text), "")]
    target = snapshot.target
    if target is not None and target.refusal:
        spans += [("  ", ""), ("▲ " + safe(target.refusal), "warn")]
    return tuple(spans)
