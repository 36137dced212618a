"""A rank that has ended: what is known of it still, and what it left of its last collectives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_rank import job_of, own_node
from test_flight import nccl_dump, nccl_entry
from worker_server_fake import FakeServer, myself

from torchprobes import rundir
from torchprobes.distributed import RankIdentity
from torchprobes.jobs.collect import collect
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.verdict import judge
from torchprobes.rank_evidence import RankEvidence

OVER = {"process", "ras", "py-spy", "server", "faulthandler"}
"""Sources that a rank's end closes."""


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[tuple[RankIdentity, subprocess.Popen[bytes]]]:
    """A rank that has ended with 0 and waits to be fetched by its parent."""
    log = tmp_path / "stderr.log"
    log.write_text("all done\n")
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=-1)
    ticks = rundir.start_ticks(process.pid)
    assert ticks is not None
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield RankIdentity(rank=0, pid=process.pid, start_ticks=ticks, uid=os.getuid(), stderr=str(log)), process
    process.wait()


def whys(rank: RankEvidence) -> dict[str, str]:
    """Each source that says nothing, and why."""
    return {state.source: state.why for state in rank.sources if not state.available}


def dump(size: int, last: int) -> bytes:
    entries = [nccl_entry(seq) for seq in range(1, last)]
    return json.dumps(nccl_dump(*entries, nccl_entry(last, input_sizes=[[size]], output_sizes=[[size]]))).encode()


def folder(path: Path, rank: RankIdentity, server: str = "/none") -> NodeFolder:
    """Of our own run: what the rank told, what the watcher saw of its end, what it kept of its collectives."""
    node = own_node(path / "node", server, rank, myself(rank=1))
    end = {"t_ns": 1, "code": 0}
    records = [
        {"ev": "start", "boot_id": rundir.boot_id()},
        {"ev": "exit", "pid": rank.pid, "start_ticks": rank.start_ticks, "exit": end},
    ]
    node.watch.write_text("".join(json.dumps(record) + "\n" for record in records))
    node.flight.mkdir()
    (node.flight / f"{rank.pid}.r0.a0.json").write_bytes(dump(1024, 5))
    return node


def test_a_rank_that_only_waits_to_be_fetched_has_ended(
    ending: tuple[RankIdentity, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    rank, _ = ending
    (one,) = collect(job_of(rank), None, 2.0, looks=1).ranks
    why = whys(one)
    assert {source for source, words in why.items() if words == "it has ended"} >= OVER
    assert why["flight"] == "it has ended and left no dump"
    assert {"exit", "log"}.isdisjoint(why)
    assert one.exit is not None
    assert one.exit.code == 0


def test_of_one_that_is_gone_its_watcher_knows_the_end_and_it_left_its_last_collectives(
    ending: tuple[RankIdentity, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    rank, process = ending
    process.wait()
    server = FakeServer(tmp_path / "s", {"dump_nccl_trace_json": dump(2048, 5)})
    node = folder(tmp_path, rank, server.path)
    found = collect(job_of(rank, myself(rank=1)), node, 3.0, looks=1)
    server.close()
    one = found.ranks[0]
    why = whys(one)
    assert {source for source, words in why.items() if words == "it has ended"} == OVER
    assert {"exit", "log", "events", "flight"}.isdisjoint(why)
    assert one.exit is not None
    assert one.exit.code == 0
    assert [(flight.how, flight.entries[-1].input_sizes) for flight in one.flights] == [("file", ((1024,),))]
    verdict = judge([found]).verdict
    assert (verdict.cause, set(verdict.ranks)) == ("wrong-shape", {0, 1})


def test_a_stranger_s_rank_that_is_gone_was_watched_by_nobody(
    ending: tuple[RankIdentity, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    rank, process = ending
    process.wait()
    node = folder(tmp_path, rank)
    other = RankIdentity(rank=0, pid=rank.pid, start_ticks=rank.start_ticks, attempt=1, uid=rank.uid)
    (one,) = collect(job_of(rank), None, 2.0, looks=1).ranks
    assert whys(one)["exit"] == "it has ended, and nobody watched it then"
    assert whys(one)["flight"] == "it has ended and left no dump"
    (one,) = collect(job_of(other), node, 2.0, looks=1).ranks
    assert one.flights == (), "what an attempt before left is not this one's"
