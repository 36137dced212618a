"""One process on a GPU in full: what the sampler knows, and what a killable child reads of it in /proc."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torchdoctor.interfaces import AnswerLike
from torchdoctor.paint import BLANK, Line, Part, fit, heading, labelled, line, wrap
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB, cell_span
from torchprobes.cells import Absent, Cell
from torchprobes.samples import GpuSample, ProcessSample

_AT: Final = 20
_NOT_ASKED: Final = "/proc is not asked: this is a recording, or the process is gone"
_MOST: Final = 16 << 10
"""Characters of a command or of a variable that are shown."""


def process_part(
    process: ProcessSample | None, answer: AnswerLike | None, gpus: Sequence[GpuSample], width: int
) -> Part:
    """Everything about it; what is still asked for says so, and what is denied says why."""
    rows = _known(process, gpus, width) if process is not None else []
    state = answer.poll() if answer is not None else "failed"
    parts = answer.parts() if answer is not None else {}
    if not parts:
        said = "reading /proc" if state == "waiting" else safe(answer.cause if answer else _NOT_ASKED)
        return Part([*rows, BLANK, line(("  " + said, "dim" if state == "waiting" else "warn"))])
    for title, show in _ITEMS.items():
        part = parts.get(title)
        rows += [BLANK, heading(title)]
        if part is not None and part.state == "done":
            rows += show(part.value, width)
        elif state == "waiting":
            rows.append(line(("    reading", "dim")))
        else:
            cause = safe(part.cause) if part is not None else "no answer"
            word = "hung: " if part is None or part.state == "hung" else ""
            rows.append(line((f"    {word}{cause}", "warn")))
    return Part(rows)


def _known(process: ProcessSample, gpus: Sequence[GpuSample], width: int) -> list[Line]:
    where = next((f"GPU {gpu.index}" for gpu in gpus if gpu.uuid == process.gpu_uuid), "a GPU that is not listed")
    facts: tuple[tuple[str, Cell, str, float, int], ...] = (
        ("user", process.user, "", 1.0, 0),
        ("GPU memory", process.gpu_memory_bytes, " GiB", GIB, 2),
        ("SM", process.sm_percent, " %", 1.0, 0),
        ("CPU", process.cpu_percent, " %", 1.0, 1),
        ("host memory", process.host_memory_bytes, " GiB", GIB, 2),
        ("job", process.job, "", 1.0, 0),
        ("container", process.container, "", 1.0, 0),
        ("MIG instance", process.gpu_instance, "", 1.0, 0),
    )
    rows: list[Line] = [BLANK, line((f"  pid {process.pid}", "title"), (f"  on {where}, {safe(process.kind)}", "dim"))]
    for label, cell, unit, scale, digits in facts:
        text, role = cell_span(cell, unit, scale=scale, digits=digits)
        why = f"  {safe(cell.why, limit=200)}" if isinstance(cell, Absent) else ""
        rows.append(line((fit("    " + label, _AT), "dim"), (text, role), (why, "dim")))
    return rows


# --- what the child read -----------------------------------------------------------------------------------------


def _command(value: Any, width: int) -> list[Line]:
    return [line("    ", row) for row in wrap(safe(str(value), limit=_MOST), max(20, width - 5))]


def _pairs(value: Any, width: int) -> list[Line]:
    rows: list[Line] = []
    for name, text in _items(value):
        rows += labelled(safe(name, limit=60), safe(text, limit=_MOST), width, at=_AT, indent=4)
    return rows


def _items(value: Any) -> list[tuple[str, str]]:
    return [(str(name), str(text)) for name, text in value.items()] if isinstance(value, Mapping) else []


def _family(value: Any, width: int) -> list[Line]:
    """The tree: parents, the process, its descendants."""
    rows: list[Line] = []
    for one in value if isinstance(value, list) else ():
        depth, pid = int(one["depth"]), int(one["pid"])
        branch = "  " * max(0, depth - 1) + ("└ " if depth else "")
        state = str(one["state"])
        told = {"Z": "  zombie", "D": "  in the kernel, cannot be interrupted", "T": "  stopped"}.get(state, "")
        rows.append(line("    ", (branch, "dim"), (f"{pid} ", ""), safe(str(one["name"]), limit=60), (told, "warn")))
    return rows


def _limits(value: Any, width: int) -> list[Line]:
    return _pairs({name.removeprefix("Max "): " ".join(map(str, row)) for name, row in dict(value).items()}, width)


def _cgroup(value: Any, width: int) -> list[Line]:
    return [line("    ", safe(str(row), limit=400)) for row in (value if isinstance(value, list) else ())]


def _environment(value: Any, width: int) -> list[Line]:
    """A variable a line; secrets were masked before they came here."""
    rows: list[Line] = []
    for name, text in _items(value["variables"]):
        first, *rest = wrap(safe(text, limit=_MOST), max(20, width - 8)) if text else [""]
        shown = safe(name, limit=200)
        if len(shown) + 1 + len(first) <= width - 4:
            rows.append(line("    ", (shown, "key"), "=", first))
        else:
            rows += [line("    ", (shown, "key"), "="), line("        ", first)]
        rows += [line("        ", row) for row in rest]
    return [*rows, line(("    and more, which is not read", "dim"))] if value.get("cut") else rows


_ITEMS: Final[dict[str, Callable[[Any, int], list[Line]]]] = {
    "command": _command,
    "family": _family,
    "status": _pairs,
    "cgroup": _cgroup,
    "limits": _limits,
    "environment": _environment,
}
"""Item of the answer -> how it is shown, in the order of the page."""
