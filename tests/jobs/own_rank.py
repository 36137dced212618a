"""A job whose ranks are this very process, and the folder of a run in which they told of themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from test_flight import nccl_dump, nccl_entry

from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.node import NodeFolder


def job_of(*ranks: RankIdentity) -> JobIdentity:
    return JobIdentity(key="test:1", launcher="unknown", host="here", ranks=ranks, started_ns=1)


def own_node(path: Path, server: str, *ranks: RankIdentity) -> NodeFolder:
    """A folder of our own run in which these ranks told of a server."""
    node = NodeFolder(path)
    node.events.mkdir(parents=True)
    for rank in ranks:
        event = {"v": 1, "ev": "init", "pid": rank.pid, "labels": {"server": server, "stack_signal": "40"}}
        file = node.events / f"{rank.pid}.r{rank.rank}.a0.jsonl"
        file.write_text('{"ev":"start"}\nno event\n' + json.dumps(event) + "\n" + '{"ev":"init","labels":{"ser')
    return node


def full_ring() -> bytes:
    return json.dumps(nccl_dump(*(nccl_entry(number) for number in range(1, 2001)))).encode()


def await_that(condition: Callable[[], Any], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
