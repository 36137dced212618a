"""A job of plain Python processes that are told what to do: an agent that starts ranks as torchrun does, without torch.

`python fake_job.py FOLDER RANKS` is the agent: it starts ranks with torchrun's environment and layout of logs, reaps
them ten times a second, and when one fails it ends the others and says so in torchrun's words. Lines on its stdin are
orders: `RANK WORDS` hands the words to a rank, `RANK` being a number or `all`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RANK = r"""
import ctypes, json, os, select, signal, sys, time
rank, folder = int(os.environ["RANK"]), os.environ["FAKE_FOLDER"]
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
events = os.open(f"{folder}/events/{os.getpid()}.r{rank}.a{attempt}.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
steps, pace = 0, 0.0
def tell(ev, **fields):
    head = {"v": 1, "ev": ev, "t_ns": time.time_ns(), "m_ns": time.monotonic_ns(), "pid": os.getpid(), "rank": rank,
            "attempt": attempt}
    os.write(events, json.dumps(head | fields).encode() + b"\n")
def inner():
    raise ValueError("bad batch")
def do(words):
    global pace
    name, *rest = words
    if name == "raise": inner()
    elif name == "exit": os._exit(int(rest[0]))
    elif name == "return": sys.exit(0)
    elif name == "signal":
        if rest[0] != "9": signal.signal(int(rest[0]), signal.SIG_DFL)
        os.kill(os.getpid(), int(rest[0]))
    elif name == "pace": pace = float(rest[0])
    elif name == "say": print(" ".join(rest), flush=True)
    elif name == "say-error": print(" ".join(rest), file=sys.stderr, flush=True)
    elif name == "tell": tell(rest[0], **json.loads(" ".join(rest[1:]) or "{}"))
    elif name == "ignore": signal.signal(int(rest[0]), signal.SIG_IGN)
    elif name == "spin":
        while True: steps + 1
tell("start")
print("ready", flush=True)
rest = b""
while True:
    ready = select.select([0], [], [], pace or None)[0]
    if ready:
        data = os.read(0, 4096)
        if not data: sys.exit(0)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines: do(line.decode().split())
    elif pace:
        steps += 1
        tell("step", n=steps)
        if steps == 1: tell("hb", name="stepping")
"""


class Agent:
    """Starts ranks, reaps them, ends them all when one fails."""

    def __init__(self, folder: str, count: int, restarts: int) -> None:
        self.folder, self.count, self.restarts = folder, count, restarts
        self.attempt = 0
        self.ranks: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.ranks = {rank: self._start(rank) for rank in range(self.count)}

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        logs = Path(self.folder, "logs", "job_x", f"attempt_{self.attempt}", str(rank))
        logs.mkdir(parents=True)
        env = {
            "PATH": os.environ["PATH"], "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.count),
            "LOCAL_WORLD_SIZE": str(self.count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
            "TORCHELASTIC_RUN_ID": f"fake-{os.getpid()}", "TORCHELASTIC_RESTART_COUNT": str(self.attempt),
            "FAKE_FOLDER": self.folder,
        }  # fmt: skip
        with (logs / "stdout.log").open("wb") as out, (logs / "stderr.log").open("wb") as err:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", RANK], env=env, stdin=subprocess.PIPE, stdout=out, stderr=err,
                start_new_session=True,
            )  # fmt: skip

    def obey(self, line: bytes) -> None:
        who, _, words = line.decode().partition(" ")
        for rank, process in self.ranks.items():
            if who in ("all", str(rank)) and process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.write(words.encode() + b"\n")
                    process.stdin.flush()

    def look(self) -> bool:
        """Whether the job goes on."""
        codes = {rank: process.poll() for rank, process in self.ranks.items()}
        failed = {rank: code for rank, code in codes.items() if code}
        if not failed:
            return any(code is None for code in codes.values())
        for rank, process in self.ranks.items():
            if codes[rank] is None:
                print(f"Sending process {process.pid} closing signal SIGTERM", file=sys.stderr, flush=True)
                process.terminate()
        for process in self.ranks.values():
            process.wait()
        for rank, code in failed.items():
            print(
                f"failed (exitcode: {code}) local_rank: {rank} (pid: {self.ranks[rank].pid}) of binary: python",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        if self.attempt < self.restarts:
            self.attempt += 1
            self.start()
            return True
        return False


def main() -> int:
    folder, count = sys.argv[1], int(sys.argv[2])
    agent = Agent(folder, count, int(sys.argv[3]))
    agent.start()
    rest, orders = b"", [0]
    while agent.look():
        if select.select(orders, [], [], 0.1)[0]:
            data = os.read(0, 1 << 16)
            orders = orders if data else []
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                agent.obey(line)
    return int(any(process.returncode for process in agent.ranks.values()))


class Job:
    """A fake job from outside."""

    def __init__(self, folder: Path, ranks: int, restarts: int = 0) -> None:
        self.folder = folder
        for name in ("events", "logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with (folder / "agent.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-B", __file__, str(folder), str(ranks), str(restarts)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, rank: int | str, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{rank} {words}\n".encode())
        self.process.stdin.flush()

    def ranks(self) -> list[int]:
        """The pids of the ranks now, in no order."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def close(self) -> None:
        """End all of it: ranks are sessions of their own, known by the run id in their environment."""
        mark = f"TORCHELASTIC_RUN_ID=fake-{self.pid}".encode()
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def job(folder: Path, ranks: int, restarts: int = 0) -> Iterator[Job]:
    """A fake job that is gone afterwards, whatever happens."""
    one = Job(folder, ranks, restarts)
    try:
        yield one
    finally:
        one.close()


def events_of(folder: Path) -> list[dict[str, object]]:
    """All events of all ranks."""
    lines = [line for path in sorted((folder / "events").iterdir()) for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
