"""Words that every line of a verdict and every table share: ranks, collectives, commands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MOST_PARTS: Final = 6
NO_RANK_YET: Final = "starting: no rank yet"


def ranks_words(ranks: Iterable[int]) -> str:
    """`rank 2`, `ranks 0, 1 and 3`, `ranks 0–3 and 7`; of more than six parts, the first."""
    runs: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    if not runs:
        return "no rank"
    parts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else part for run in runs for part in _each(run)]
    name = "ranks" if len(runs) > 1 or len(runs[0]) > 1 else "rank"
    if len(parts) > MOST_PARTS:
        return f"{name} {', '.join(parts[:MOST_PARTS])} …"
    return f"{name} {', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else f"{name} {parts[0]}"


def _each(run: list[int]) -> list[str]:
    """A run of two is written as two numbers, a longer one as one part."""
    return [str(rank) for rank in run] if len(run) < 3 else [""]


def collective_words(op: str, number: int | None, group: str = "") -> str:
    """`all_reduce #26`, `collective #26` where only the count is known; `group` where a rank has more than one."""
    name = op or "collective"
    return name + ("" if number is None else f" #{number}") + (f" of group {group}" if group else "")


_WORK: Final[dict[str, str]] = {
    "allreduce": "all_reduce", "allreduce_coalesced": "all_reduce_coalesced", "allgather": "all_gather",
    "_allgather_base": "all_gather_into_tensor", "allgather_coalesced": "all_gather_coalesced",
    "reduce_scatter": "reduce_scatter", "_reduce_scatter_base": "reduce_scatter_tensor", "alltoall": "all_to_all",
    "alltoall_base": "all_to_all_single", "reducescatter": "reduce_scatter",
}  # fmt: skip
"""torch's `OpType` (csrc/distributed/c10d/Types.hpp), and NCCL's names, as the function that a program calls."""


def op_words(name: str) -> str:
    """`all_reduce` for ALLREDUCE, AllReduce and nccl:all_reduce; "" for the name of a group, which is no operation."""
    text = name.strip().rpartition(":")[2].lower()
    return "" if text.startswith("group ") or text.endswith("_pg") else _WORK.get(text, text)


# --- commands --------------------------------------------------------------------------------------------------------

_SHIM: Final = re.compile(r".*?rank_shim\.py\s+\S+\s+")
"""Our own launches: all that stands before what a rank runs ends with the shim and the run's id."""

_PYTHON: Final = re.compile(r"(?:\S*/)?python[\d.]*\s+(?:-[uBISE]+\s+)*")
_TORCHRUN: Final = re.compile(
    r"(?:-m\s+torch\.distributed\.(?:run|launch)|(?:\S*/)?torchrun)\s.*?(?=-m\s+\S|(?<=\s)[^\s-]\S*\.py\b)"
)
"""torchrun and its options, up to a module or a file of Python."""


def script_words(command: str) -> str:
    """What a rank of a job runs, without the launcher before it: `train.py --lr 3e-4`, `-m pkg.train`."""
    text = command
    for before in (_SHIM, _PYTHON, _TORCHRUN):
        found = before.match(text)
        text = text[found.end() :] if found is not None else text
    return text.strip() or command
