"""Jobs of Hugging Face, Lightning and plain mp.spawn are found with the right ranks, and launched unmodified.

Needs an interpreter that has them: TORCHDOCTOR_TEST_FRAMEWORKS names it, such as that of an environment with
`pip install torch accelerate transformers lightning`. Run by hand: `-m trials`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_jobs import descendants, until

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import find_jobs

PYTHON = os.environ.get("TORCHDOCTOR_TEST_FRAMEWORKS", "")
SCRIPTS = Path(__file__).parent / "frameworks"
DEADLINE_S = 180.0

pytestmark = [
    pytest.mark.trials,
    pytest.mark.skipif(not PYTHON, reason="TORCHDOCTOR_TEST_FRAMEWORKS names no interpreter with the frameworks"),
]

ACCELERATE = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
              "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]  # fmt: skip
"""So it starts ranks through torch.distributed.run; on CPUs only (`--cpu`) it starts one process, or asks mpirun."""

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]

STARTS: dict[str, tuple[list[str], str]] = {
    "accelerate": ([*ACCELERATE, "accelerate_train.py"], "torchrun"),
    "accelerate by torchrun": ([*TORCHRUN, "accelerate_train.py"], "torchrun"),
    "trainer": ([*TORCHRUN, "trainer_train.py"], "torchrun"),
    "lightning": (["lightning_train.py"], "lightning"),
    "lightning by torchrun": ([*TORCHRUN, "lightning_train.py"], "torchrun"),
    "spawn": (["spawn_train.py"], "spawn"),
}
"""How each is started by people, and the launcher that it is then found with."""


@contextlib.contextmanager
def running(folder: Path, argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command, its output in `folder`; told to end afterwards, and ended if it does not."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=SCRIPTS, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, "FOLDER": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        yield process
    finally:
        for pid in descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.kill()
        process.wait()


def told(folder: Path, process: subprocess.Popen[bytes] | None = None) -> dict[int, int]:
    """Rank -> pid, as two ranks wrote it down."""

    def look() -> list[Path]:
        assert process is None or process.poll() is None, (folder / "log").read_text()[-3000:]
        return found if len(found := list(folder.glob("*.json"))) == 2 else []

    words = [json.loads(path.read_text()) for path in until(look, DEADLINE_S)]
    assert {word["world"] for word in words} == {2}
    return {word["rank"]: word["pid"] for word in words}


def with_ranks(ranks: dict[int, int]) -> JobIdentity:
    """The one job whose ranks those are."""
    found = find_jobs(deadline_s=30.0)
    jobs = [job for job in found.jobs if {rank.pid for rank in job.ranks} & set(ranks.values())]
    assert len(jobs) == 1, found
    return jobs[0]


@pytest.mark.parametrize("name", STARTS)
def test_it_is_found_with_the_right_ranks(tmp_path: Path, name: str) -> None:
    argv, launcher = STARTS[name]
    with running(tmp_path, [PYTHON, *argv]) as process:
        ranks = told(tmp_path, process)
        job = with_ranks(ranks)
        assert {rank.rank: rank.pid for rank in job.ranks} == ranks
        assert (job.launcher, job.launcher_pid) == (launcher, process.pid)
        (tmp_path / "end").touch()
        assert process.wait(DEADLINE_S) == 0, (tmp_path / "log").read_text()[-3000:]


def test_actors_of_ray_are_found_and_those_beside_them_are_not(tmp_path: Path) -> None:
    if subprocess.run([PYTHON, "-c", "import ray"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PYTHON} has no Ray: pip install ray")
    with running(tmp_path, [PYTHON, "ray_train.py"]) as process:
        ranks = told(tmp_path, process)
        job = with_ranks(ranks)
        assert (job.launcher, job.key.rpartition(":")[2]) == ("ray", "TrainWorker")
        assert {rank.rank: rank.pid for rank in job.ranks} == ranks
        assert all(rank.stdout for rank in job.ranks)
        (tmp_path / "end").touch()
        assert process.wait(DEADLINE_S) == 0, (tmp_path / "log").read_text()[-3000:]


@pytest.mark.parametrize("script", ["accelerate_train.py", "trainer_train.py", "lightning_train.py"])
def test_launch_runs_it_unmodified(tmp_path: Path, script: str) -> None:
    """The same files as `accelerate launch` or Lightning's own launcher would run; spawn_train.py is no case of it."""
    ours = [sys.executable, "-m", "torchdoctor", "launch", "--python", PYTHON, "--out", str(tmp_path / "runs")]
    options = ["--nproc-per-node=2", "--headless", "--json", str(tmp_path / "job")]
    command = [*ours, *options, "--", str(SCRIPTS / script)]
    with running(tmp_path, command) as process:
        ranks = told(tmp_path, process)
        job = with_ranks(ranks)
        assert {rank.rank: rank.pid for rank in job.ranks} == ranks
        assert job.launcher == "torchdoctor"
        assert Path(job.run).parent == tmp_path / "runs"
        (tmp_path / "end").touch()
        assert process.wait(DEADLINE_S) == 0, (tmp_path / "log").read_text()[-3000:]
    document: dict[str, Any] = json.loads((tmp_path / "job").read_text())
    assert document["verdict"]["cause"] == "none"
    assert sorted(rank["rank"] for rank in document["ranks"]) == [0, 1]
