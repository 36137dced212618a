"""Every node asked at once, a bounded number at a time; a node without an answer is a row and holds up nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from ...model import SCHEMA
from ...rank_evidence import NodeEvidence
from .asking import Said, Via, ViaError, converse

AT_ONCE: Final = 16
DEADLINE_S: Final = 10.0
NO_ANSWER: Final = "no answer"
MOST_NODES: Final = 4096


def ask_nodes(
    names: Sequence[str], via: Via, key: str, deadline_s: float = DEADLINE_S, environ: Mapping[str, str] | None = None
) -> tuple[NodeEvidence, ...]:
    """What every node saw of the job that `key` names: one evidence a job and node, or one "no answer" a node.

    It takes `deadline_s` for each AT_ONCE nodes at most.

    Raises:
        ViaError: if a command cannot be made; nothing was started then.
    """
    names = list(dict.fromkeys(names))
    if not names or len(names) > MOST_NODES:
        raise ViaError("no node was named" if not names else f"more than {MOST_NODES} nodes")
    commands = [via.command(name, key) for name in names]
    with ThreadPoolExecutor(min(AT_ONCE, len(commands)), thread_name_prefix="node") as pool:
        said = list(pool.map(lambda command: converse(command, deadline_s, environ), commands))
    return tuple(each for name, one in zip(names, said, strict=True) for each in _evidence(name, one, key))


def _evidence(name: str, said: Said, key: str) -> tuple[NodeEvidence, ...]:
    """The evidence of one node under the name that it was asked by, with the offset of its clock."""
    if said.answer is None:
        return (silent(name, said.why, said.seconds),)
    if not said.answer.jobs:
        return (silent(name, f"there is no job {key} on it", said.seconds, state="ok"),)
    clock = said.clock
    return tuple(
        msgspec.structs.replace(job, clock_offset_ns=clock.offset_ns, clock_error_ns=clock.error_ns)
        for job in said.answer.jobs
    )


def silent(name: str, why: str, seconds: float = 0.0, state: str = NO_ANSWER) -> NodeEvidence:
    """The row of a node that told nothing of the job, and why."""
    return NodeEvidence(schema=SCHEMA, host=name, t_ns=time.time_ns(), state=state, why=why, seconds=seconds)
