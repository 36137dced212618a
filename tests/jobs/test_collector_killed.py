"""By hand (-m trials): whoever looks at a rank may be killed in the middle of it, and the rank notices nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_job
import pytest
from launched_job import until

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import find_job
from torchprobes.jobs.watch import attach
from torchprobes.jobs.watch.following import LogTail

pytestmark = pytest.mark.trials

TRIALS = 100
COUNTING = r"""
import mmap, os, signal, struct, sys
memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 24)
seen = 0
def count(*_):
    global seen
    seen += 1
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGRTMIN + 9):
    signal.signal(number, count)
def step(n):
    return sum(range(200)) + n
n = missed = 0
while True:
    step(n)
    n += 1
    struct.pack_into("3q", memory, 0, n, missed, seen)
"""
"""A rank that is busy in Python and counts its steps, and the signals that it gets, in a file that is memory."""


class Rank:
    """One busy rank, with an environment that makes it one."""

    def __init__(self, folder: Path, number: int, world: int) -> None:
        self.file = folder / f"rank{number}"
        self.file.write_bytes(b"\0" * 24)
        env = {
            "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "2", "TORCHELASTIC_RUN_ID": f"busy-{os.getpid()}",
        }  # fmt: skip
        self.process = subprocess.Popen([sys.executable, "-I", "-S", "-c", COUNTING, str(self.file)], env=env)

    def steps(self) -> int:
        return int.from_bytes(self.file.read_bytes()[:8], "little")

    def signals(self) -> int:
        return int.from_bytes(self.file.read_bytes()[16:24], "little")

    def states(self) -> set[str]:
        """The kernel's letters of all its threads."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in folder.iterdir()}


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[list[Rank]]:
    found = [Rank(tmp_path, number, 2) for number in range(2)]
    yield found
    for rank in found:
        rank.process.kill()
        rank.process.wait()


def descendants(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split() if path.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[1]) == pid:
            found += [int(path.name), *descendants(int(path.name))]
    return found


def test_a_watcher_killed_in_a_stack_dump_stops_nobody(ranks: list[Rank], tmp_path: Path) -> None:
    """SIGKILL to the watcher and all that it started, at a random moment of a look, a hundred times."""
    until(lambda: all(rank.steps() for rank in ranks))
    job: JobIdentity = find_job(f"torchrun:busy-{os.getpid()}")
    chance, in_dump = random.Random(5), 0
    for trial in range(TRIALS):
        attached = attach(tmp_path / "runs", job)
        until(lambda a=attached: a.node.read_view() is not None)
        (attached.node.path / "diagnose").touch()
        until(lambda a=attached: b'"asked for"' in a.node.watch.read_bytes())
        time.sleep(chance.uniform(0.0, 0.15))  # where in the look it is hit is what is tried
        below = descendants(attached.process.pid)
        in_dump += bool(below)
        for pid in (attached.process.pid, *below):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        attached.process.wait()
        before = [rank.steps() for rank in ranks]
        states = set[str]().union(*(rank.states() for rank in ranks))
        assert not states & {"T", "t"}, f"trial {trial}: a rank is stopped"
        until(lambda b=before: all(rank.steps() > steps for rank, steps in zip(ranks, b, strict=True)), 10)
    assert [rank.signals() for rank in ranks] == [0, 0], "no signal came"
    assert all(rank.process.poll() is None for rank in ranks)
    print(f"{TRIALS} kills, {in_dump} of them while a stack was dumped")
    assert in_dump > TRIALS / 10


LINES, WRITERS, SECONDS = 100_000, 8, 5
WRITER = """
import sys, time
path, rate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
line = "2026-11-26 05:00:00,123 INFO step %d loss 2.1234 tokens/s 123456 grad_norm 0.5123 lr 1.0e-4\\n"
with open(path, "a", buffering=1 << 16) as file:
    begin = time.monotonic()
    for tenth in range(seconds * 10):
        file.write("".join(line % n for n in range(rate // 10)))
        file.flush()
        time.sleep(max(0.0, begin + (tenth + 1) / 10 - time.monotonic()))
"""


def test_a_hundred_thousand_lines_a_second_are_followed_and_none_is_lost(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.log" for number in range(WRITERS)]
    for path in paths:
        path.touch()
    tails = [LogTail(str(path), rank, None, whole=True) for rank, path in enumerate(paths)]
    arguments = [str(LINES // WRITERS), str(SECONDS)]
    writers = [subprocess.Popen([sys.executable, "-I", "-S", "-c", WRITER, str(path), *arguments]) for path in paths]
    begin, cpu = time.monotonic(), time.process_time()
    lines, behind = 0, 0
    while any(writer.poll() is None for writer in writers):
        more = [tail.look() for tail in tails]
        behind += any(more)
        lines += sum(tail.take().lines for tail in tails)
        time.sleep(0.0 if any(more) else 0.1)
    while any(list(map(LogTail.look, tails))):
        pass
    lines += sum(tail.take().lines for tail in tails)
    took, spent = time.monotonic() - begin, time.process_time() - cpu
    print(f"{lines} lines in {took:.1f} s: {lines / took:.0f} a second, {spent / took:.1%} of a core")
    assert lines == LINES // WRITERS // 10 * 10 * WRITERS * SECONDS
    assert lines == sum(path.read_bytes().count(b"\n") for path in paths)


def test_a_flood_of_lines_holds_up_no_exit_edge(tmp_path: Path) -> None:
    """A rank is killed while another writes a hundred thousand lines a second; all is one watcher's work."""
    with fake_job.job(tmp_path / "job", 2) as job:
        until(lambda: len(job.ranks()) == 2)
        found = find_job(str(job.ranks()[0]))
        attached = attach(tmp_path / "runs", found)
        log = next(rank.stdout for rank in found.ranks if rank.rank == 0)
        writer = subprocess.Popen([sys.executable, "-I", "-S", "-c", WRITER, log, str(LINES), "4"])
        until(lambda: attached.node.read_view() is not None)
        time.sleep(1.0)
        victim = next(rank.pid for rank in found.ranks if rank.rank == 1)
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        view = until(lambda: (v := attached.node.read_view()) and v.verdict.cause == "killed" and v)
        print(f"kill to verdict under the flood: {time.monotonic() - begin:.3f} s")
        assert view.verdict.ranks == (1,)
        writer.wait()
        attached.close()
