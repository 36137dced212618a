"""Jobs that somebody else started, as cheap as they can be: processes with a place in a job, and no torch in them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

NOBODY = 65534
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000

TELL = """
import json, os, sys, time
def tell(rank):
    path = os.path.join(os.environ["TOLD"], f"{rank}.json")
    with open(path + ".new", "w") as file:
        json.dump({"rank": rank, "pid": os.getpid()}, file)
    os.rename(path + ".new", path)
def wait():
    while True:
        time.sleep(600)
"""
"""What every rank does: it writes down who it believes to be, and waits."""

RANK = TELL + 'tell(int(os.environ["RANK"])); wait()\n'
LOADING = (
    TELL
    + """
for _ in range(2):
    if os.fork() == 0:
        wait()
tell(int(os.environ["RANK"]))
wait()
"""
)
TITLED = TELL + 'import setproctitle; setproctitle.setproctitle("llm worker"); tell(int(os.environ["RANK"])); wait()\n'

AGENT = """
import os, subprocess, sys
world = int(sys.argv[sys.argv.index("--nproc-per-node") + 1])
ranks = [subprocess.Popen(sys.argv[4:], start_new_session=True, env={**os.environ, "RANK": str(r), "LOCAL_RANK": str(r),
         "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
         "MASTER_PORT": "29511", "TORCHELASTIC_RUN_ID": "of-tests", "TORCHELASTIC_RESTART_COUNT": "0"})
         for r in range(world)]
for rank in ranks:
    rank.wait()
"""
"""`torchrun --nproc-per-node N COMMAND`, as far as /proc tells."""

ENTRY = (
    TELL
    + """
import multiprocessing
def run(rank, world):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world))
    tell(rank)
    wait()
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    for rank in range(2):
        spawn.Process(target=run, args=(rank, 2), daemon=True).start()
    wait()
"""
)
"""A launcher whose ranks are functions: RANK is set where nobody sees it."""

JOINED = (
    TELL
    + """
import multiprocessing, socket, threading
def run(rank, port):
    threading.Thread(target=wait, daemon=True).start()
    if rank == 0:
        server = socket.create_server(("127.0.0.1", port))
        tell(rank)
        held = server.accept()
    else:
        while True:
            try:
                held = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.02)
        tell(rank)
    wait()
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for rank in range(2):
        context.Process(target=run, args=(rank, port), daemon=True).start()
    wait()
"""
)
"""Two ranks of a process group as torch before 2.6 leaves them: no name of a thread, but a connection."""


def until(look: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """What `look` finds, once it finds something."""
    end = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {deadline_s} s"
        time.sleep(0.02)
    return found


class Job:
    """What was started; `told` is what each rank wrote down: rank -> pid as it sees it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, ranks: int) -> None:
        self.process, self.folder, self.ranks = process, folder, ranks

    @property
    def told(self) -> dict[int, int]:
        """Once all of them have."""

        def look() -> list[Path]:
            found = sorted(self.folder.glob("*.json"))
            assert self.process.poll() is None, "the job has ended"
            return found if len(found) >= self.ranks else []

        words = [json.loads(path.read_text()) for path in until(look)]
        return {word["rank"]: word["pid"] for word in words}


@contextlib.contextmanager
def started(
    folder: Path, argv: list[str], ranks: int, environ: Mapping[str, str] | None = None, **popen: Any
) -> Iterator[Job]:
    """A job whose ranks write into `folder`; all that it started is ended afterwards."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    process: Any = subprocess.Popen(
        argv, env={**os.environ, "TOLD": str(folder), **(environ or {})}, stdin=subprocess.DEVNULL, **popen
    )
    try:
        yield Job(process, folder, ranks)
    finally:
        for pid in descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.kill()
        process.wait()


def descendants(pid: int) -> list[int]:
    """All below a process, by its own children files."""
    found, pending = [], [pid]
    while pending:
        one = pending.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                below = [int(n) for n in Path(f"/proc/{one}/task/{task}/children").read_text().split()]
                found += below
                pending += below
    return found


def script(folder: Path, name: str, text: str) -> str:
    """A file in a folder that everybody may read."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def agent(folder: Path, ranks: int, rank: str) -> list[str]:
    """The command of a torchrun that starts `ranks` processes of the program `rank`."""
    folder.chmod(0o755)
    command = [sys.executable, script(folder, "rank.py", rank)]
    return [sys.executable, script(folder, "torchrun", AGENT), "--rdzv-backend=c10d", "--nproc-per-node", str(ranks),
            *command]  # fmt: skip


def apart(work: Callable[[], Any], *, uid: int | None = None, hidepid: int | None = None) -> Any:
    """What `work` returns in a forked process of another user, with a /proc that hides; as JSON can hold it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if hidepid is not None:
                _mount_proc(f"hidepid={hidepid}")
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            answer = {"done": work()}
        except BaseException as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read() or b"{}")
    os.waitpid(pid, 0)
    assert "done" in answer, answer
    return answer["done"]


def _mount_proc(options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for result in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None),
        libc.mount(b"proc", b"/proc", b"proc", 0, options.encode()),
    ):
        if result != 0:
            raise OSError(ctypes.get_errno(), "cannot mount a /proc of its own")
