"""`env --diagnosable`: what to export before a job starts, so that it can be explained when it hangs.

Which torch and NCCL read which variable was looked up in their binaries: torch 2.1.2 none of the recorder's; 2.4.1,
2.6.0 and 2.7.1 (builds with NCCL) the names TORCH_NCCL_*; 2.8.0 to 2.14.1 both, and warn of the old ones. NCCL reads
NCCL_DEBUG_FILE in all versions, NCCL_RAS_* since 2.24. torch's monitor thread, which reads the pipe, is on by default.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from ..model import Frozen

Release = tuple[int, int]


class Export(Frozen, frozen=True, kw_only=True):
    """One variable: its value, what it is good for, and the releases of `library` that read it ("" for any)."""

    name: str
    value: str
    why: str
    library: str = "torch"
    since: str = ""
    until: str = ""


class _Row(Frozen, frozen=True, kw_only=True):
    """A variable before its folder is known: `{folder}` in its value stands for that."""

    name: str
    value: str
    why: str
    library: str = "torch"
    since: Release | None = None
    below: Release | None = None


_RECORDER: Final = "the flight recorder keeps the last 2000 collectives of each rank; without its size no pipe is made"
_DUMP: Final = "where each rank writes that record: prefix and rank"

ROWS: Final[tuple[_Row, ...]] = (
    _Row(name="TORCH_NCCL_TRACE_BUFFER_SIZE", value="2000", why=_RECORDER, since=(2, 2), below=(2, 8)),
    _Row(name="TORCH_FR_BUFFER_SIZE", value="2000", why=_RECORDER, since=(2, 8)),
    _Row(name="TORCH_NCCL_DEBUG_INFO_TEMP_FILE", value="{folder}/flight_rank_", why=_DUMP, since=(2, 2), below=(2, 8)),
    _Row(name="TORCH_FR_DUMP_TEMP_FILE", value="{folder}/flight_rank_", why=_DUMP, since=(2, 8)),
    _Row(
        name="TORCH_NCCL_DEBUG_INFO_PIPE_FILE",
        value="{folder}/flight_pipe_",
        why="a pipe a rank: `torchdoctor diagnose` has the record written through it while the job hangs",
        since=(2, 3),
    ),
    _Row(
        name="TORCH_NCCL_DUMP_ON_TIMEOUT",
        value="1",
        why="the record is written too when the watchdog ends a collective",
        since=(2, 2),
    ),
    _Row(
        name="NCCL_DEBUG",
        value="WARN",
        why="what NCCL finds wrong; INFO also says which transport each link has",
        library="nccl",
    ),
    _Row(
        name="NCCL_DEBUG_FILE",
        value="{folder}/nccl.%h.%p.log",
        why="to a file a process, not into the ranks' output (%h host, %p pid)",
        library="nccl",
    ),
    _Row(
        name="NCCL_RAS_ENABLE",
        value="1",
        why="which rank is behind, asked on localhost:28028; on by default, and this keeps it on",
        library="nccl",
        since=(2, 24),
    ),
    _Row(
        name="TORCH_TRACE",
        value="{folder}/trace",
        why="what torch.compile does and how long, for tlparse; nothing is written without compiling",
        since=(2, 2),
    ),
    _Row(
        name="PYTHONFAULTHANDLER",
        value="1",
        why="a Python stack on stderr when a rank dies by SIGSEGV, SIGABRT or SIGBUS",
        library="",
    ),
)
"""In the order in which they are printed."""


def exports(torch_version: str, nccl_version: str, folder: str) -> tuple[Export, ...]:
    """What to set for this torch and NCCL, with files below `folder`; a version that is "" is unknown: both names then.

    A torch without NCCL ("" and a CPU build) reads the variables of NCCL as little as it minds them.
    """
    releases = {"torch": release(torch_version), "nccl": release(nccl_version), "": None}
    found = []
    for row in ROWS:
        have = releases[row.library]
        if have is not None and not (row.since or have) <= have < (row.below or (1 << 30, 0)):
            continue
        found.append(
            Export(
                name=row.name,
                value=row.value.replace("{folder}", folder.rstrip("/") or "/"),
                why=row.why,
                library=row.library,
                since=_words(row.since),
                until=_words(row.below),
            )
        )
    return tuple(found)


def release(version: str) -> Release | None:
    """Major and minor of a version text; None if it names none."""
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})", version.strip())
    return (int(found[1]), int(found[2])) if found else None


def _words(value: Release | None) -> str:
    return "" if value is None else f"{value[0]}.{value[1]}"


# --- forms -----------------------------------------------------------------------------------------------------------


def as_shell(rows: Sequence[Export], folder: str) -> str:
    """Lines for a shell, each with its reason; the folder is made first, for nobody else does."""
    lines = [f"mkdir -p -m 700 {_quoted(folder)}"]
    for row in rows:
        lines += [f"# {_reason(row)}", f"export {row.name}={_quoted(row.value)}"]
    return "\n".join(lines) + "\n"


def as_slurm(rows: Sequence[Export], folder: str) -> str:
    """Lines for an sbatch script, before its srun: the folder on every node, the variables for every task."""
    lines = [
        "# srun hands the environment of the batch script to every task (--export=ALL, its default).",
        f"srun --ntasks-per-node=1 --nodes=$SLURM_JOB_NUM_NODES mkdir -p -m 700 {_quoted(folder)}",
    ]
    return "\n".join([*lines, *(f"export {row.name}={_quoted(row.value)}" for row in rows)]) + "\n"


def as_pod(rows: Sequence[Export], folder: str) -> str:
    """A part of a pod's specification: the variables of the container and a volume that lives as long as the pod."""
    lines = ["# under spec.containers[]:", "env:"]
    for row in rows:
        lines += [f"  - name: {row.name}", f"    value: {_yaml(row.value)}"]
    lines += ["volumeMounts:", "  - name: torchdoctor", f"    mountPath: {_yaml(folder)}"]
    lines += ["# under spec:", "volumes:", "  - name: torchdoctor", "    emptyDir: {}"]
    return "\n".join(lines) + "\n"


def _reason(row: Export) -> str:
    library = {"torch": "torch", "nccl": "NCCL"}.get(row.library, "")
    span = " ".join(
        part for part in (f"since {row.since}" if row.since else "", f"below {row.until}" if row.until else "") if part
    )
    return f"{row.why} ({library} {span})" if library and span else row.why


def _quoted(value: str) -> str:
    """For a shell; a variable at its beginning ($SCRATCH/…) stays one."""
    found = re.match(r"(\$\w+|\$\{\w+\})(/.*)?$", value)
    if found:
        return f'"{found[1]}"' + (shlex.quote(found[2]) if found[2] else "")
    return shlex.quote(value)


def _yaml(value: str) -> str:
    """A text in double quotes, which YAML takes as JSON has it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
