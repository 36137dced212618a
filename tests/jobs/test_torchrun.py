"""The command of the launcher, and what it promises: no rank outlives torchrun, whatever happens to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rank_process import DDP, PAYLOADS, Started, plan_in, start_ranks

from torchprobes.jobs import BUILDERS
from torchprobes.jobs.ranks import Ranks
from torchprobes.jobs.torchrun import ranks_for, release
from torchprobes.model import Target

SHIM = PAYLOADS / "rank_shim.py"
WAITING = """
import time
import torchdoctor_kit as kit

def run(request):
    kit.emit("hb", name="waiting")
    time.sleep(600)
"""


def until(what: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Wait for `what`, by polling; fails at the deadline."""
    end = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended: no entry, or a zombie that only its parent can remove."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Started]:
    """Two ranks that wait, started through torchrun; all of them ended afterwards."""
    payload = tmp_path / "waiting.py"
    payload.write_text(WAITING)
    started = start_ranks(tmp_path / "probe", str(payload))
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        for row in Ranks(started.events).poll().rows:
            with contextlib.suppress(ProcessLookupError):
                os.kill(row.pid, signal.SIGKILL)


def test_no_rank_outlives_a_torchrun_that_was_killed(waiting: Started) -> None:
    ranks = Ranks(waiting.events, local=True)
    until(lambda: len(ranks.poll().rows) == 2)
    pids = [row.pid for row in ranks.poll().rows]
    assert not any(gone(pid) for pid in pids)
    assert len({os.getsid(pid) for pid in pids} | {os.getsid(waiting.process.pid)}) == 3  # why a group kill misses them
    waiting.process.kill()
    waiting.process.wait()
    until(lambda: all(gone(pid) for pid in pids), 10)
    rows = ranks.poll().rows
    assert {row.state for row in rows} == {"failed"}
    assert {row.why for row in rows} == {"its process is gone, and it said no end"}


def test_the_shim_starts_nothing_when_its_parent_is_not_the_launcher() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", str(SHIM), "td-nobody", sys.executable, "-c", "print('ran')"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (76, "")
    assert "launcher of this rank is gone" in done.stderr


def test_the_shim_becomes_the_rank_and_says_what_cannot_be_started() -> None:
    launcher = (
        "import subprocess, sys\n"
        "sys.exit(subprocess.call([sys.executable, '-I', '-S', '-B', sys.argv[2], sys.argv[1], *sys.argv[3:]]))\n"
    )

    def launch(*command: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", launcher, "td-some", str(SHIM), *command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    asked = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    assert launch(sys.executable, "-c", asked).stdout == f"{int(signal.SIGKILL)}\n"
    missing = launch("/nowhere/python")
    assert missing.returncode == 77
    assert "cannot start /nowhere/python: No such file or directory" in missing.stderr


def command(
    version: str | None, gpus: tuple[str, ...] = (), prefix: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], int]:
    plan = plan_in(Path("/run"), "/payloads/ddp.py", gpus=gpus)
    built = BUILDERS["torchrun"](DDP, Target(python="/t/python", torch=version, prefix=prefix), {"params": {}}, plan)
    return built.argv, built.ranks


def test_the_command_is_the_targets_torchrun_with_the_shim_before_each_rank() -> None:
    argv, ranks = command("2.1.2+cu121", gpus=("GPU-a", "GPU-b", "GPU-c"))
    assert argv[:4] == (sys.executable, "-B", "-m", "torch.distributed.run")
    assert ranks == 3
    assert "--nproc-per-node=3" in argv
    assert not any(a.startswith("--standalone") for a in argv)
    run_id = argv[argv.index("--rdzv-id") + 1]
    assert re.fullmatch(r"td-[0-9a-f]{8}", run_id)
    rest = argv[argv.index("--no-python") + 1 :]
    bootstrap = str(PAYLOADS / "bootstrap.py")
    assert rest[:6] == (sys.executable, "-I", "-S", "-B", str(SHIM), run_id)
    assert rest[6:] == (sys.executable, "-u", "-B", bootstrap, "/payloads/ddp.py")


@pytest.mark.parametrize(
    ("version", "asked"),
    [("2.13.0+cpu", True), ("2.15.0", True), ("2.12.1", False), ("2.1.2", False), ("", False), (None, False)],
)
def test_an_option_is_asked_only_of_a_version_that_has_it(version: str | None, asked: bool) -> None:
    argv, _ = command(version)
    assert any(a.startswith("--signals-to-handle") for a in argv) is asked


def test_the_logs_of_ranks_lie_where_artifacts_come_back_from() -> None:
    argv, ranks = command("2.13.0", prefix=("apptainer", "exec", "x.sif"))
    assert "--log-dir=/run/artifacts/logs" in argv
    assert ranks == 2


@pytest.mark.parametrize(
    ("gpus", "cores", "ranks"),
    [
        ((), 1, 2),
        ((), 7, 2),
        ((), 8, 4),
        (("a",), 64, 4),
        (("a",), 2, 2),
        (("a", "b"), 2, 2),
        (tuple("abcdefgh"), 2, 8),
    ],
)
def test_a_rank_a_gpu_else_ranks_on_the_cpu(gpus: tuple[str, ...], cores: int, ranks: int) -> None:
    assert ranks_for(gpus, cores) == ranks


@pytest.mark.parametrize(("text", "numbers"), [("2.13.0a0+git1", (2, 13)), ("2", (0, 0)), ("x", (0, 0)), ("", (0, 0))])
def test_a_version_is_read_or_unknown(text: str, numbers: tuple[int, int]) -> None:
    assert release(text) == numbers


@pytest.mark.parametrize("version", ["9" * 5000 + ".1", "2." + "9" * 5000])
def test_an_absurd_version_is_no_number(version: str) -> None:
    assert release(version)[0] < 10**4
