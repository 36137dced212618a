"""A job launched for real without a screen, of ranks that need no torch: it outlives its launcher, ends on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import command, environment, torchdoctor, until

JOB = """\
import os, subprocess, sys, time
if "RANK" in os.environ:
    print("rank", os.environ["RANK"], "is here", flush=True)
    time.sleep(float(sys.argv[1]))
    if os.environ["RANK"] == "1" and sys.argv[2] == "raise":
        raise ValueError("bad batch")
    time.sleep(float(sys.argv[1]) if sys.argv[2] == "raise" else 0)
    sys.exit(0)
base = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
ranks = []
for n in ("0", "1"):
    with open(f"rank{n}.log", "w") as log:
        ranks.append(subprocess.Popen([sys.executable, *sys.argv], stdout=log, stderr=log, env={**base, "RANK": n}))
while all(rank.poll() in (None, 0) for rank in ranks) and any(rank.poll() is None for rank in ranks):
    time.sleep(0.05)
for rank in ranks:
    rank.terminate()
sys.exit(max(abs(rank.wait()) for rank in ranks) and 1)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text(JOB)
    return path


def launch(script: Path, seconds: float, fault: str, *words: str) -> list[str]:
    return command(
        "launch", "--as-is", "--skip-preflight", "--headless", *words, "--", str(script), str(seconds), fault
    )


@pytest.fixture
def running(tmp_path: Path, script: Path) -> Iterator[subprocess.Popen[str]]:
    """A launch whose job would run for ten minutes."""
    with subprocess.Popen(
        launch(script, 600, "none"), env=environment(tmp_path), cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=(tmp_path / "err").open("w"),
    ) as process:  # fmt: skip
        yield process
        process.kill()


def ranks_of(script: Path) -> list[int]:
    """Living processes of the script."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(script) in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_job_outlives_its_launcher_is_watched_by_another_and_ends_on_request(
    tmp_path: Path, script: Path, running: subprocess.Popen[str]
) -> None:
    until(lambda: len(ranks_of(script)) >= 3, "two ranks and their parent")
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    said = (tmp_path / "err").read_text()
    assert "the job goes on: `torchdoctor attach " in said
    (run,) = (tmp_path / "state" / "runs").glob("2*")
    seen = torchdoctor(tmp_path, "attach", run.name, "--once", "--json")
    document = json.loads(seen.out)
    assert document["run"] == str(run)
    assert document["ours"] is True
    stopped = torchdoctor(tmp_path, "stop", run.name[:20], "--yes")
    assert (stopped.code, stopped.out) == (0, f"{run.name}: stopped; nothing is left of it\n")
    assert ranks_of(script) == []


@pytest.mark.trials
@pytest.mark.parametrize(("fault", "code", "cause"), [("raise", 1, "raised"), ("none", 0, "none")])
def test_the_document_alone_is_on_stdout(tmp_path: Path, script: Path, fault: str, code: int, cause: str) -> None:
    done = subprocess.run(
        launch(script, 6, fault, "--json", "-"), env=environment(tmp_path), cwd=tmp_path, capture_output=True,
        text=True, timeout=90, check=False,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]["cause"]) == (code, cause), done.stderr
    assert [row["rank"] for row in document["ranks"]] == [0, 1]
    if fault == "raise":
        assert document["verdict"]["ranks"] == [1]
        assert "ValueError: bad batch" in done.stderr


@pytest.mark.trials
def test_bound_to_its_command_a_job_ends_with_it(tmp_path: Path, script: Path) -> None:
    with subprocess.Popen(
        launch(script, 600, "none", "--foreground"), env=environment(tmp_path), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        until(lambda: len(ranks_of(script)) >= 3, "two ranks and their parent")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stderr is not None
        assert "stopping the job" in process.stderr.read()
    assert ranks_of(script) == []
