"""Collecting the evidence of a node: three real ranks that hang over gloo, and sources that fail, hang or lie."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from own_rank import await_that, full_ring, job_of, own_node
from worker_server_fake import FakeServer, myself

from torchprobes.distributed import JobIdentity, RankIdentity, SourceState
from torchprobes.jobs.collect import collect, collect_in_child, collecting, machine
from torchprobes.jobs.collect import ranks as reading_ranks
from torchprobes.jobs.collect.surroundings import Surroundings, surroundings
from torchprobes.jobs.find import JobError, find_job
from torchprobes.jobs.launch_plan import INJECT
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.stacks import find_pyspy, grouped
from torchprobes.jobs.told import Told, told
from torchprobes.rank_evidence import NodeEvidence, RankEvidence, Ras, RasCommunicator, RasRank
from torchprobes.runner import processes
from torchprobes.samples import GpuSample, HostSample, KernelEvent, ProcessSample, Sample
from torchprobes.telemetry.kernel.log import read_once

needs_pyspy = pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")

TRAIN = """
import os, sys, time
import torch
import torch.distributed as dist
def synchronise():
    dist.all_reduce(tensor)
def load_batch():
    print("loading batch 3", file=sys.stderr, flush=True)
    time.sleep(600)
dist.init_process_group("gloo")
tensor = torch.ones(4)
synchronise()
synchronise()
if dist.get_rank() == 1:
    load_batch()
synchronise()
"""


class Hung(NamedTuple):
    """A job of three ranks: rank 1 sleeps before the third all_reduce."""

    job: JobIdentity
    node: NodeFolder


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hung]:
    folder = tmp_path_factory.mktemp("job")
    (folder / "train.py").write_text(TRAIN)
    node = NodeFolder(folder / "node")
    for path in (node.events, node.stacks, node.flight, node.logs):
        path.mkdir(parents=True)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3", f"--log-dir={node.logs}",
        "--redirects=3", str(folder / "train.py"),
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(INJECT), "TORCHDOCTOR_NODE": str(node.path), "OMP_NUM_THREADS": "1"}
    with node.agent_log.open("wb") as log:
        agent = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Hung(await_hang(agent, node), node)
    finally:
        agent.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(60)
        agent.kill()


def await_hang(agent: subprocess.Popen[bytes], node: NodeFolder) -> JobIdentity:
    """The job, once ranks 0 and 2 wait in their third collective and rank 1's server answers."""
    deadline = time.monotonic() + 120
    asleep = False
    while True:
        assert agent.poll() is None, node.agent_log.read_text()
        assert time.monotonic() < deadline, node.agent_log.read_text()
        if not asleep:  # torch is being imported: what is looked at meanwhile is cheap
            asleep = any("loading" in path.read_text() for path in node.logs.glob("*/attempt_0/1/stderr.log"))
            time.sleep(0.1)
            continue
        with contextlib.suppress(JobError):
            job = find_job(str(agent.pid))
            if len(job.ranks) == 3:
                found = collect(job, node, 1.0, looks=1)
                if [progress(rank) for rank in found.ranks] == [(3, 2), (2, 2), (3, 2)]:
                    return job
        time.sleep(0.1)


def progress(rank: RankEvidence) -> tuple[int | None, int | None] | None:
    """Collectives that it began and ended, by its flight recorder."""
    return next(((one.enqueued, one.completed) for f in rank.flights for one in f.groups if one.group == "0"), None)


def state(rank: RankEvidence, source: str) -> SourceState:
    return next(one for one in rank.sources if one.source == source)


# --- a real hang -----------------------------------------------------------------------------------------------------


@needs_pyspy
def test_one_collection_tells_who_waits_for_whom_and_where(hung: Hung) -> None:
    found = collect(hung.job, hung.node, 4.0)
    assert found.state == "ok"
    assert [rank.identity.rank for rank in found.ranks] == [0, 1, 2]
    odd, rest = grouped({rank.identity.rank: rank.stacks[0] for rank in found.ranks})
    assert (odd.ranks, odd.what) == ((1,), "train.py:9 in load_batch")
    assert (rest.ranks, rest.what) == ((0, 2), "train.py:6 in synchronise")
    assert [progress(rank) for rank in found.ranks] == [(3, 2), (2, 2), (3, 2)]
    assert {flight.how for rank in found.ranks for flight in rank.flights} == {"server"}
    assert "loading batch 3" in found.ranks[1].tail
    for rank in found.ranks:
        first, last = rank.processes
        assert first.state == last.state == "S"
        assert first.cpu_s is not None
        assert last.t_ns - first.t_ns == pytest.approx(found.looks_s * 1e9, rel=0.5)
        assert rank.exit is None
        for source in ("process", "log", "events", "flight", "py-spy", "server", "faulthandler"):
            assert state(rank, source).available, source
        assert not state(rank, "ras").available
        assert state(rank, "ras").why
    assert found.agent is not None
    assert found.agent.alive is True
    assert 0.9 < found.looks_s < 3.0
    assert found.seconds < 4.0
    assert msgspec.json.decode(msgspec.json.encode(found), type=NodeEvidence) == found


def test_without_pyspy_the_worker_server_is_asked(hung: Hung, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_ranks, "find", lambda: "")
    found = collect(hung.job, hung.node, 3.0, looks=1)
    assert [rank.stacks[0].how for rank in found.ranks] == ["server"] * 3
    assert [group.ranks for group in grouped({r.identity.rank: r.stacks[0] for r in found.ranks})] == [(1,), (0, 2)]
    assert "not installed" in state(found.ranks[0], "py-spy").why
    assert state(found.ranks[0], "server").available


def test_without_both_faulthandler_is_asked_and_no_rank_dies_of_it(hung: Hung, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_ranks, "find", lambda: "")
    monkeypatch.setattr(collecting, "told", lambda node, rank: told(node, rank)._replace(server=""))
    found = collect(hung.job, hung.node, 3.0, looks=1)
    assert [rank.stacks[0].how for rank in found.ranks] == ["faulthandler"] * 3
    assert [group.ranks for group in grouped({r.identity.rank: r.stacks[0] for r in found.ranks})] == [(1,), (0, 2)]
    assert [rank.processes[-1].state for rank in collect(hung.job, None, 1.0, looks=1).ranks] == ["S"] * 3


@needs_pyspy
def test_an_adopted_job_gets_nothing(hung: Hung) -> None:
    """Without a folder of our own no signal and no word goes to a rank, and no file appears."""
    before = sorted((path, path.stat().st_size) for path in hung.node.stacks.iterdir())
    found = collect(hung.job, None, 3.0, looks=1)
    assert [rank.stacks[0].how for rank in found.ranks] == ["py-spy"] * 3
    assert [rank.flights for rank in found.ranks] == [()] * 3
    assert not state(found.ranks[0], "flight").available
    assert sorted((path, path.stat().st_size) for path in hung.node.stacks.iterdir()) == before


def test_a_child_collects_the_same(hung: Hung) -> None:
    found = collect_in_child(hung.job, hung.node, 3.0)
    assert found.why == ""
    assert [progress(rank) for rank in found.ranks] == [(3, 2), (2, 2), (3, 2)]


# --- a rank that is this very process --------------------------------------------------------------------------------


def test_what_a_rank_told_of_itself_is_read(tmp_path: Path) -> None:
    node = own_node(tmp_path, "/run/x.sock", myself(inner_pid=7, pid=7))
    assert told(node, myself(inner_pid=7)) == Told("/run/x.sock", 40, node.stacks / "7.r0.a0.txt")
    assert told(node, myself(pid=8)) == Told()
    assert told(None, myself(inner_pid=7)) == Told()


def test_a_source_that_hangs_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds its memory lock: its environment gives no answer, and nothing that needs it hangs along."""
    never = threading.Event()
    monkeypatch.setattr(collecting, "surroundings", lambda _rank: never.wait(60))
    server = FakeServer(tmp_path / "s", {"fr_trace_json": full_ring()})
    node = own_node(tmp_path / "node", server.path, myself())
    begun = time.monotonic()
    found = collect(job_of(myself()), node, 1.0, looks=1)
    assert time.monotonic() - begun < 5
    assert len(found.ranks[0].flights) == 1
    assert found.ranks[0].processes[0].state in "RS"
    never.set()
    server.close()


def test_a_log_and_a_stack_that_hang_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(collecting.logs, "of_rank", lambda *_: never.wait(60))
    monkeypatch.setattr(collecting, "stacks", lambda *_: never.wait(60))
    found = collect(job_of(myself()), None, 0.6, looks=1)
    assert "within the deadline" in state(found.ranks[0], "log").why
    assert "within the deadline" in state(found.ranks[0], "py-spy").why
    never.set()


def test_it_ends_early_when_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    begun = time.monotonic()
    found = collect(job_of(myself()), None, 60.0, looks=3, stop=stop)
    assert time.monotonic() - begun < 20
    assert len(found.ranks[0].processes) == 3


def test_the_ends_of_logs_are_read_and_signs_found(tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    log.write_bytes(
        b"x" * 400_000
        + b"\n[rank3]: Traceback (most recent call last):\n"
        + b'[rank3]:   File "/home/u/train.py", line 7, in step\n[rank3]:     raise ValueError\n'
        + b"[rank3]: ValueError: bad batch, token=hf_abcdefghijklmnopqrstuvwx\n\n"
    )
    found = collecting.logs.of_rank(myself(rank=3, stderr=str(log), stdout=str(log)))
    assert any(sign.exception.startswith("ValueError") for sign in found.signs)
    assert found.tail[-1] == "[rank3]: ValueError: bad batch, token=***"
    assert found.state.available


def test_the_file_that_nccl_writes_is_read_too(tmp_path: Path) -> None:
    line = b"here:7:9 [0] NCCL WARN [Service thread] Accept failed Resource temporarily unavailable\n"
    host = os.uname().nodename.partition(".")[0]
    (tmp_path / f"nccl.{host}.7.log").write_bytes(
        b"here:7:9 [0] NCCL INFO x\n"
        + line
        + b"here:7:9 [0] transport/net_ib.cc:88 NCCL WARN NET/IB : Got async event : port error\n"
    )
    around = Surroundings(environment={"NCCL_DEBUG_FILE": f"{tmp_path}/nccl.%h.%p.log"})
    assert collecting.logs.of_nccl(myself(inner_pid=7), around)
    assert collecting.logs.of_nccl(myself(inner_pid=8), around) == ()
    assert collecting.logs.of_nccl(myself(inner_pid=7), Surroundings()) == ()


def test_no_thread_is_left_behind() -> None:
    """A watcher collects again and again in one process."""
    before = threading.active_count()
    for _ in range(2):
        collect(job_of(myself()), None, 0.5, looks=1)
    await_that(lambda: threading.active_count() <= before)


def test_what_is_no_log_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    for name, why in (("pipe", "no regular file"), ("link", "symbolic links"), ("none", "No such file")):
        found = collecting.logs.of_rank(myself(stderr=str(tmp_path / name)))
        assert (found.signs, found.tail, found.state.available) == ((), (), False)
        assert why in found.state.why
    assert collecting.logs.of_rank(myself(log_why="a terminal")).state.why == "a terminal"


def test_the_kernels_log_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    with pytest.raises(FileNotFoundError):
        read_once(tmp_path)
    (tmp_path / "dev" / "kmsg").write_bytes(
        b"6,1,1000000,-;eth0: something else\n"
        b"3,2,2000000,-;Memory cgroup out of memory: Killed process 77 (python3) total-vm:1kB, anon-rss:1kB\n"
        b" SUBSYSTEM=x\nbroken\n"
        b"4,3,3000000,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=77, name=python3, GPU has fallen off the bus.\n"
    )
    assert [(event.kind, event.pid, event.code) for event in read_once(tmp_path)] == [
        ("oom", 77, None),
        ("xid", 77, 79),
    ]


def test_one_that_ended_is_told_as_such() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(9)"]) as process:
        entry = processes.read(process.pid)
        assert entry is not None
        rank = RankIdentity(rank=0, pid=process.pid, start_ticks=entry.start, uid=os.getuid())
        deadline = time.monotonic() + 20
        while not (now := processes.read(process.pid)) or not now.dead:
            assert time.monotonic() < deadline
        found = collect(job_of(rank), None, 2.0, looks=1).ranks[0]
    assert found.exit is not None
    assert found.exit.code == 9
    assert found.stacks == ()
    assert "ended" in state(found, "py-spy").why


def test_the_kernels_word_makes_a_kill_an_oom_kill() -> None:
    rank, event = myself(pid=77), KernelEvent(t_ns=5, kind="oom", source="kmsg", pid=77)
    end = collecting.ended(rank, collecting.ProcessReading(t_ns=1, state="gone"))
    marked = collecting._with_oom(end, rank, [event])
    assert marked is not None
    assert marked.oom
    other = collecting._with_oom(end, myself(pid=78), [event])
    assert other is not None
    assert not other.oom


# --- the surroundings of a rank --------------------------------------------------------------------------------------


def test_the_surroundings_of_a_process() -> None:
    environ = {**os.environ, "NCCL_RAS_ADDR": "10.0.0.1:5", "SECRET_TOKEN": "x"}
    with subprocess.Popen(["sleep", "60"], env=environ) as process:
        found = surroundings(myself(pid=process.pid))
        process.kill()
    assert found.environment["NCCL_RAS_ADDR"] == "10.0.0.1:5"
    assert "SECRET_TOKEN" not in found.environment
    assert (found.root, found.foreign_network, found.why) == ("", False, "")
    assert "127.0.0.1" in found.addresses


def test_an_environment_that_is_denied_is_told(tmp_path: Path) -> None:
    assert surroundings(myself(), str(tmp_path)) == Surroundings(
        why="its environment is not readable: No such file or directory"
    )


# --- GPUs ------------------------------------------------------------------------------------------------------------


def a_sample() -> Sample:
    gpus = tuple(
        GpuSample(
            index=number, uuid=f"GPU-{number}", bus_id=f"0{number}:00.0", utilization_percent=100, power_w=130.0,
            power_limit_w=700.0, memory_used_bytes=5,
        )
        for number in range(3)
    )  # fmt: skip
    holder = ProcessSample(pid=41, gpu_uuid="GPU-1", gpu_memory_bytes=3)
    host = HostSample(host="here", cores=1)
    return Sample(
        t_ns=9, m_ns=9, driver="580", cuda="13.0", driver_state="ok", gpus=gpus, processes=(holder,), host=host
    )


def test_a_gpu_is_found_by_identity_by_the_drivers_list_and_by_ras() -> None:
    ras = Ras(
        t_ns=0, how="json",
        communicators=(RasCommunicator(id="a", ranks=(RasRank(rank=2, pid=7, nvml_device=2),)),),
    )  # fmt: skip
    ranks = (
        myself(rank=0, pid=40, gpu_uuid="GPU-0"),
        myself(rank=1, pid=41),
        myself(rank=2, pid=42, inner_pid=7),
        myself(rank=3, pid=43),
    )
    found = machine.gpus(ranks, a_sample(), (ras,))
    readings = [one for one in found.values() if not isinstance(one, SourceState)]
    assert [(one.uuid, one.process_memory_bytes) for one in readings] == [
        ("GPU-0", None),
        ("GPU-1", 3),
        ("GPU-2", None),
    ]
    assert (readings[0].utilization_percent, readings[0].power_w, readings[0].power_limit_w) == (100, 130.0, 700.0)
    assert found[3] == SourceState(source="gpu", available=False, why="no GPU is known to be its")
