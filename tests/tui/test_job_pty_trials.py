"""A job on a real terminal, by hand: -m trials -s. Figures are printed; only goals that are far from them are asserted.

From the death of a rank to its cause on the screen, from `attach` to the first frame with ranks, keys while 512 ranks
or 100,000 log lines a second come, and what an open job costs.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))

from fake_jobs import rank, view
from launched_job import Job, until
from terminal_process import CONSOLE, Terminal

from torchprobes import rundir
from torchprobes.distributed import JobView
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.node import node_folder
from torchprobes.rundir import write_atomically

pytestmark = pytest.mark.trials

SIZE = (120, 40)
TRIALS = 20
KEYS = 60
MOVES = ("\x1b[B", "\x1b[A", "\x1b[6~", "\x1b[5~")
"""Down, up, a page down, a page up: each moves something, however few ranks there are."""

COST_S = 60.0

AGENT = """
import os, signal, subprocess, sys, time
count = int(sys.argv[1])
ranks = []
for rank in range(count):
    env = dict(os.environ, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1",
               MASTER_PORT="1", TORCHELASTIC_RUN_ID="x")
    folder = os.path.join(sys.argv[3], str(rank))
    os.makedirs(folder)
    out = open(folder + "/stdout.log", "wb")
    argv = [sys.executable, "-I", "-S", "-c", sys.argv[2], *sys.argv[4:]]
    ranks.append(subprocess.Popen(argv, env=env, stdout=out, stderr=open(folder + "/stderr.log", "wb"),
                                  start_new_session=True))
while all(one.poll() is None for one in ranks):
    time.sleep(0.1)
for one in ranks:
    if one.poll() is None:
        print("Sending process", one.pid, "closing signal SIGTERM", file=sys.stderr, flush=True)
        one.terminate()
deadline = time.monotonic() + 5
for one in ranks:
    try:
        one.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        one.kill()
sys.exit(1)
"""
"""Starts ranks, and ends them as torchrun does when one has ended: after up to 0.1 s, by SIGTERM, then SIGKILL."""

WAITS = """
import signal, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: time.sleep(1)
"""

SAYS = """
import os, sys, time
line = "loss 0.123 of a step that went as all the others did\\n"
a_tenth, due = (line * (int(sys.argv[-1]) // 10)).encode(), time.monotonic()
while True:
    os.write(1, a_tenth)
    due += 0.1
    time.sleep(max(0.0, due - time.monotonic()))
"""


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def told(what: str, values: Sequence[float]) -> None:
    p50, p95, p99 = (quantile(values, share) * 1e3 for share in (0.5, 0.95, 0.99))
    print(f"{what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms ({len(values)} trials)", flush=True)


@contextlib.contextmanager
def a_job(place: Path, ranks: int, program: str, *words: str) -> Iterator[Job]:
    """A job under its supervisor, as `launch --as-is` makes it, once its watcher shows its ranks."""
    (place / "agent.py").write_text(AGENT)
    folder = place / f"logs-{os.urandom(3).hex()}"
    command = (sys.executable, "-I", "-S", str(place / "agent.py"), str(ranks), program, str(folder), *words)
    job = Job(place / "runs", LaunchOptions(launcher="command", command=command, cwd=str(place), inject=False))
    try:
        until(lambda: (seen := job.node.read_view()) and len(seen.ranks) == ranks)
        yield job
    finally:
        job.clear()


@contextlib.contextmanager
def a_console(place: Path, run: Path, shows: str) -> Iterator[Terminal]:
    """`attach RUN` on a terminal, once it shows this."""
    with Terminal((*CONSOLE, "attach", run.name), SIZE, {"TORCHDOCTOR_STATE": str(place)}) as terminal:
        terminal.until(shows)
        yield terminal


# --- from the death of a rank to its cause ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("stubborn",)], ids=["peers that end", "peers that ignore SIGTERM"])
def test_from_a_kill_to_the_cause_on_the_screen(tmp_path: Path, words: tuple[str, ...]) -> None:
    took = []
    for _ in range(TRIALS):
        with a_job(tmp_path, 4, WAITS, *words) as job, a_console(tmp_path, job.run.path, "4 ranks") as terminal:
            settle = time.monotonic() + 1.0 + random.random()
            terminal.until(lambda settle=settle: time.monotonic() > settle)
            seen = job.node.read_view()
            assert seen is not None
            began = time.monotonic()
            os.kill(seen.ranks[2].pid, signal.SIGKILL)
            until_any(terminal, ("rank 2 on", "rank 2 was"), "SIGKILL")
            took.append(time.monotonic() - began)
    told(f"kill to cause, {words or 'peers that end'}", took)
    assert quantile(took, 0.5) < 1.0


def until_any(terminal: Terminal, names: Sequence[str], and_: str) -> None:
    terminal.until(lambda: any(name in terminal.text for name in names) and and_ in terminal.text)


# --- attaching --------------------------------------------------------------------------------------------------------


def test_from_attach_to_the_first_frame_with_ranks(tmp_path: Path) -> None:
    took, bare = [], []
    with a_job(tmp_path, 8, WAITS) as job:
        seen = job.node.read_view()
        assert seen is not None
        pids = [str(one.pid) for one in seen.ranks]
        for _ in range(TRIALS // 2):
            command = (*CONSOLE, "attach", job.run.name)
            with Terminal(command, SIZE, {"TORCHDOCTOR_STATE": str(tmp_path)}) as terminal:
                took.append(terminal.until(lambda t=terminal: all(pid in t.text for pid in pids)))
            with Terminal(CONSOLE, SIZE, {"TORCHDOCTOR_STATE": str(tmp_path)}) as terminal:
                bare.append(terminal.until(lambda t=terminal: b"Report" in t.raw))
    told("attach to the first frame with ranks", took)
    told("the console's own first frame", bare)


# --- keys -------------------------------------------------------------------------------------------------------------


def keys(terminal: Terminal, pressed: Callable[[int], str], gap_s: float = 0.15) -> list[float]:
    """Seconds from each key to the first output after it that changes what is shown."""
    took = []
    for number in range(KEYS):
        settle = time.monotonic() + gap_s * (0.5 + random.random())
        terminal.until(lambda settle=settle: time.monotonic() > settle, deadline_s=600.0)
        before, began = len(terminal.raw), time.monotonic()
        terminal.press(pressed(number))
        terminal.until(lambda before=before: len(terminal.raw) > before, deadline_s=600.0)
        took.append(time.monotonic() - began)
    return took


def sources(count: int) -> JobView:
    return view(tuple(rank(number, quiet_s=0.1 * random.random()) for number in range(count)))


@pytest.mark.parametrize("count", [8, 64, 512])
def test_keys_with_many_ranks(tmp_path: Path, count: int) -> None:
    run = rundir.create(tmp_path / "runs", "job")
    path = node_folder(run).view
    path.parent.mkdir(parents=True)
    write_atomically(path, msgspec.json.encode(sources(count)))
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(1.0):
            write_atomically(path, msgspec.json.encode(sources(count)))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        with a_console(tmp_path, run.path, "stepping") as terminal:
            told(f"{count} ranks, a key to the screen", keys(terminal, lambda n: MOVES[n % 4]))
    finally:
        ended.set()
        thread.join()


def test_keys_while_a_job_writes_100_000_lines_a_second(tmp_path: Path) -> None:
    with a_job(tmp_path, 8, SAYS, "12500") as job, a_console(tmp_path, job.run.path, "8 ranks") as terminal:
        terminal.press("l")
        terminal.until("loss 0.123")
        told("keys in the logs at 100,000 lines/s", keys(terminal, lambda n: "\x1b[5~" if n % 2 else "\x1b[6~"))
        files = list(tmp_path.glob("logs-*/*/stdout.log"))
        before, began = sum(file.stat().st_size for file in files), time.monotonic()
        settle = began + 3.0
        terminal.until(lambda: time.monotonic() > settle, deadline_s=600.0)
        lines = (sum(file.stat().st_size for file in files) - before) / 53
        print(f"the job wrote {lines / (time.monotonic() - began):,.0f} lines/s")


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_what_an_open_job_costs(tmp_path: Path) -> None:
    with a_job(tmp_path, 8, WAITS) as job, a_console(tmp_path, job.run.path, "8 ranks") as terminal:
        settle = time.monotonic() + 5.0
        terminal.until(lambda: time.monotonic() > settle)
        watcher = int(job.records("watcher")[-1]["pid"])
        who = {"console": tree(terminal.pid), "watcher": tree(watcher), "supervisor": {job.supervisor}}
        before = {name: cpu_s(pids) for name, pids in who.items()}
        each = {pid: (command(pid), cpu_s({pid})) for pids in who.values() for pid in pids}
        began = time.monotonic()
        terminal.until(lambda: time.monotonic() > began + COST_S, deadline_s=COST_S + 60)
        passed = time.monotonic() - began
        for name, pids in who.items():
            print(f"{name} and its children: {(cpu_s(pids) - before[name]) / passed:.2%} of a core")
        for pid, (words, spent) in each.items():
            print(f"  {(cpu_s({pid}) - spent) / passed:.2%} {words}")


def tree(pid: int) -> set[int]:
    found, rest = set(), [pid]
    while rest:
        found.add(one := rest.pop())
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{one}/task").glob("*/children"):
                rest += map(int, path.read_text().split())
    return found


def cpu_s(pids: set[int]) -> float:
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-90:]
    return "gone"
