"""Collecting in a process apart: what it costs, and what is left where it is lost or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from own_rank import await_that, full_ring, job_of, own_node
from worker_server_fake import FakeServer, myself

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.collect import collect_in_child
from torchprobes.jobs.collect.apart import PROGRAM
from torchprobes.jobs.collect.order import Order
from torchprobes.jobs.stacks import find_pyspy
from torchprobes.rank_evidence import NodeEvidence
from torchprobes.runner import processes

needs_pyspy = pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")

MEASURE = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-B", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdin.write(sys.stdin.buffer.read() + b"\\n")
child.stdin.flush()
sys.stdout.buffer.write(child.stdout.read())
print(os.wait4(child.pid, 0)[2].ru_maxrss, file=sys.stderr)
"""
"""A small parent: what a process used before exec counts as its child's."""


def test_eight_ranks_with_full_rings_cost_less_than_60_megabytes(tmp_path: Path) -> None:
    ranks = tuple(myself(rank=number) for number in range(8))
    server = FakeServer(tmp_path / "s", {"fr_trace_json": full_ring(), "dump_traceback": b"nothing"})
    node = own_node(tmp_path / "node", server.path, *ranks)
    order = Order(job=job_of(*ranks), node=str(node.path), deadline_s=4.0, looks=1)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, str(PROGRAM)],
        input=msgspec.json.encode(order), capture_output=True, check=True,
    )  # fmt: skip
    server.close()
    found = msgspec.json.decode(done.stdout, type=NodeEvidence)
    assert [len(flight.entries) for rank in found.ranks for flight in rank.flights] == [200] * 8
    peak_mb = int(done.stderr.split()[-1]) / 1024
    print(f"peak {peak_mb:.1f} MB")
    assert peak_mb < 60


# --- a collector that is lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os; os._exit(3)", "died"),
        ("import time; time.sleep(600)", "within its deadline"),
        ("print('hello', flush=True)", "not understood"),
        ("import sys\nwhile True: sys.stdout.write('x' * 1000000)", "says too much"),
    ],
)
def test_a_collector_that_is_lost_leaves_a_look_at_the_processes(
    tmp_path: Path, program: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchprobes.jobs.collect.apart.START_S", 0.5 if "sleep" in program else 20)
    path = tmp_path / "collector.py"
    path.write_text(program)
    found = collect_in_child(job_of(myself()), None, 0.1, program=path)
    assert why in found.why
    assert found.state == "ok"
    assert found.ranks[0].processes[0].state in "RS"
    assert why in found.notes[-1]


SLOW_PYSPY = "#!/bin/sh\necho $$ >> {pids}\nexec sleep 600\n"


def start_collector(order: Order, program: str = "") -> subprocess.Popen[bytes]:
    """The collector itself, or with another py-spy; its order given."""
    patch = "import torchprobes.jobs.collect.ranks as r, torchprobes.jobs.stacks.pyspy as p\n"
    patch += f"r.find = p.find = lambda: {program!r}\n"
    code = f"import sys\nsys.path.insert(0, {str(PROGRAM.parents[3])!r})\n{patch if program else ''}"
    code += "from torchprobes.jobs.collect import collector\ncollector.main()\n"
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()
    return process


@pytest.mark.parametrize("end", ["SIGKILL", "its lifeline"])
def test_a_collector_that_ends_takes_its_helpers_along(tmp_path: Path, end: str) -> None:
    pids, program = tmp_path / "pids", tmp_path / "py-spy"
    program.write_text(SLOW_PYSPY.format(pids=pids))
    program.chmod(0o755)
    ranks = tuple(myself(rank=number) for number in range(2))
    collector = start_collector(Order(job=job_of(*ranks), deadline_s=60.0), str(program))
    await_that(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    if end == "SIGKILL":
        collector.kill()
    else:
        assert collector.stdin is not None
        collector.stdin.close()
    collector.wait(30)
    for pid in map(int, pids.read_text().split()):
        await_that(lambda pid=pid: (entry := processes.read(pid)) is None or entry.dead)  # type: ignore[misc]


@needs_pyspy
@pytest.mark.trials
def test_a_collector_killed_in_mid_dump_stops_no_rank(tmp_path: Path) -> None:
    """A hundred times, at a moment of its own each; the ranks count on all the while."""
    counting = "import time, sys\nn = 0\nwhile True:\n    n += 1; print(n, flush=True); time.sleep(0.005)"
    files = [tmp_path / f"count{number}" for number in range(4)]
    ranks = [subprocess.Popen([sys.executable, "-S", "-c", counting], stdout=path.open("wb")) for path in files]
    identities = []
    for number, process in enumerate(ranks):
        entry = processes.read(process.pid)
        assert entry is not None
        identities.append(RankIdentity(rank=number, pid=process.pid, start_ticks=entry.start, uid=os.getuid()))
    order = Order(job=job_of(*identities), deadline_s=2.0)
    for trial in range(100):
        collector = start_collector(order)
        time.sleep(0.15 + trial * 0.004)  # from its start until its stacks are read
        collector.kill()
        collector.wait()
        before = [len(path.read_bytes()) for path in files]
        await_that(lambda before=before: all(len(p.read_bytes()) > b for p, b in zip(files, before, strict=True)), 5)  # type: ignore[misc]
        states = [found.state for process in ranks if (found := processes.read(process.pid))]
        assert set(states) <= {"S", "R"}, states
    await_that(lambda: not [p for p in processes.pids() if "py-spy" in processes.command_line(p)])
    for process in ranks:
        process.send_signal(signal.SIGKILL)
        process.wait()
