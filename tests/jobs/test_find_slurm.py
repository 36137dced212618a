"""Steps of a real Slurm: tasks are ranks; batch scripts, srun itself and interactive shells are none.

By hand: `pytest -m trials tests/jobs/test_find_slurm.py`, as root and with Debian's slurm-wlm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import slurm_cluster
from foreign_jobs import TELL, apart, script, until

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import Finder, find_jobs

pytestmark = pytest.mark.trials

WHY_NOT = slurm_cluster.why_not()
NOBODY = 65534
TASK = TELL + 'tell(int(os.environ["SLURM_PROCID"])); wait()\n'
ALONE = TELL + 'tell(os.environ["AS"]); wait()\n'

BATCH = """#!/bin/sh
AS=batch {python} {alone} &
srun -n2 --overlap {python} {task} &
script -qc "srun -n1 --overlap --pty sh -c 'AS=shell {python} {alone}'" /dev/null </dev/null >/dev/null &
wait
"""


def steps_of(found: tuple[JobIdentity, ...], job: str) -> list[JobIdentity]:
    return [one for one in found if one.slurm_job == job]


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "")
def test_tasks_of_a_step_are_the_only_ranks_of_a_slurm_job(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    told = tmp_path / "told"
    told.mkdir(mode=0o777)
    names = {"task": script(tmp_path, "task.py", TASK), "alone": script(tmp_path, "alone.py", ALONE)}
    batch = script(tmp_path, "job.sh", BATCH.format(python=sys.executable, **names))
    with slurm_cluster.cluster(tmp_path, 1) as cluster:
        environ = {**os.environ, **cluster.environ, "TOLD": str(told)}
        command = ["sbatch", "--parsable", "-n2", "-o", str(tmp_path / "out"), batch]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
        job = done.stdout.strip()
        until(lambda: len(list(told.glob("*.json"))) == 4, 60)
        found = steps_of(find_jobs(deadline_s=30.0).jobs, job)
        assert len(found) == 1, found
        assert found[0].key.partition(".")[0] == f"slurm:{job}"
        assert (found[0].launcher, found[0].world_size) == ("srun", 2)
        assert [rank.rank for rank in found[0].ranks] == [0, 1]
        assert all("task.py" in rank.command for rank in found[0].ranks)
        assert [rank.how for rank in found[0].ranks] == [("environ",), ("environ",)]
        mine = {rank.pid: rank.rank for rank in found[0].ranks}
        closed = apart(lambda: [(j.key, [r.pid for r in j.ranks]) for j in Finder().find(30.0).jobs], uid=NOBODY)
        cluster.ask("scancel", job)
    assert [found[0].key, list(mine)] in closed, "another user sees the step by the title of its slurmstepd"
