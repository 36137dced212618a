"""The rules of health, as rows by theme: `CHECKS` are all of them, `conditions` what has to be timed for them.

The catalogue that they come from is `reference/telemetry.md` 2. Ids never change their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..past import Condition, NodeCondition
from . import clocks, driver, gpu, host, log, memory, network, nvlink, pcie, waiting, xid
from .base import Check, Holds, Limits, Look, NodeHolds, On, Timed

CHECKS: Final[tuple[Check, ...]] = (
    *driver.CHECKS, *gpu.CHECKS, *xid.CHECKS, *memory.CHECKS, *clocks.CHECKS, *waiting.CHECKS, *pcie.CHECKS,
    *nvlink.CHECKS, *network.CHECKS, *log.CHECKS, *host.CHECKS,
)  # fmt: skip

TIMED: Final[tuple[Timed, ...]] = (*driver.TIMED, *clocks.TIMED, *waiting.TIMED, *pcie.TIMED, *host.TIMED)


def limits(thresholds: Mapping[str, float]) -> dict[str, Limits]:
    """The limits of every check by its id, with the person's own: `TD-GPU-030 = 85`, or `TD-GPU-031.seconds = 120`.

    The short form is for a check with one limit. What names none is left out; `unknown_thresholds` tells it.
    """
    return {check.id: _of(check, thresholds) for check in CHECKS}


def unknown_thresholds(thresholds: Mapping[str, float]) -> tuple[str, ...]:
    """The thresholds that name no limit of any check."""
    known = {f"{check.id}.{name}" for check in CHECKS for name in check.limits}
    known |= {check.id for check in CHECKS if len(check.limits) == 1}
    return tuple(sorted(set(thresholds) - known))


def conditions(of: Mapping[str, Limits]) -> tuple[dict[str, Condition], dict[str, NodeCondition]]:
    """What `Past` has to time for the rules under these limits: conditions of a GPU, and of the node."""
    gpus = {row.name: _on_gpu(row.gpu, of[row.of]) for row in TIMED if row.gpu is not None}
    nodes = {row.name: _on_node(row.node, of[row.of]) for row in TIMED if row.node is not None}
    return gpus, nodes


def _on_gpu(holds: Holds, of: Limits) -> Condition:
    return lambda gpu, processes: holds(gpu, processes, of)


def _on_node(holds: NodeHolds, of: Limits) -> NodeCondition:
    return lambda sample: holds(sample, of)


def _of(check: Check, thresholds: Mapping[str, float]) -> Limits:
    alone = thresholds.get(check.id) if len(check.limits) == 1 else None
    return {
        name: thresholds.get(f"{check.id}.{name}", usual if alone is None else alone)
        for name, usual in check.limits.items()
    }


__all__ = ["CHECKS", "TIMED", "Check", "Limits", "Look", "On", "conditions", "limits", "unknown_thresholds"]
