"""A real Slurm of several nodes on this machine: launch, diagnose over srun, a stopped node, scancel.

By hand: `pytest -m trials tests/jobs/test_slurm.py`. It needs root and Debian's slurm-wlm; without them it is skipped,
and says what is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slurm_cluster
from slurm_cluster import Cluster

pytestmark = pytest.mark.trials

ROOT = Path(__file__).parents[2]
WHY_NOT = slurm_cluster.why_not()

TRAIN = """\
import sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo")
print("ready", flush=True)
rank, fault, x = dist.get_rank(), sys.argv[1], torch.ones(4)
for step in range(int(sys.argv[2])):
    if step == 5 and rank == 1:
        if fault == "raise": raise ValueError("bad batch on rank 1")
        if fault == "hang": time.sleep(3600)
    dist.all_reduce(x)
    time.sleep(0.05)
dist.destroy_process_group()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes and a login host: a host of the cluster's network on which no slurmd runs."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    tmp_path.chmod(0o755)
    (tmp_path / "train.py").write_text(TRAIN)
    with slurm_cluster.cluster(tmp_path, 2, login="login") as found:
        yield found


def environ(cluster: Cluster) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("tui", "probes"))
    own = {"PYTHONPATH": paths, "TORCHDOCTOR_STATE": str(cluster.folder / "state"), "HOME": str(cluster.folder)}
    return {**os.environ, **cluster.environ, **own, "TERM": "dumb"}


def doctor(*words: str) -> list[str]:
    return [sys.executable, "-B", "-m", "torchdoctor", *words]


def submit(cluster: Cluster, *words: str) -> str:
    """Submit a batch script that runs torchdoctor so, and says its exit code; the id of the job."""
    script = cluster.folder / "job.sh"
    script.write_text(f"#!/bin/sh\ncd {cluster.folder}\n{' '.join(doctor(*words))}\necho left with $?\n")
    out = str(cluster.folder / "out")
    command = ["sbatch", "--parsable", "-N2", "--ntasks-per-node=1", "-o", out, "-e", out, str(script)]
    done = subprocess.run(command, env=environ(cluster), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def said(cluster: Cluster) -> str:
    try:
        return (cluster.folder / "out").read_text(errors="replace")
    except OSError:
        return ""


def wait_for(cluster: Cluster, words: str, deadline_s: float = 90) -> str:
    deadline = time.monotonic() + deadline_s
    while words not in said(cluster):
        assert time.monotonic() < deadline, f"no {words!r} in: {said(cluster)}\n{_words(cluster)}"
        time.sleep(0.1)
    return said(cluster)


def _words(cluster: Cluster) -> str:
    logs = [*cluster.folder.glob("state/runs/*/srun.log"), *cluster.folder.glob("state/runs/*/nodes/*/*.err")]
    return "\n".join(f"== {log}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


def diagnose(cluster: Cluster, *words: str, timeout: float = 60) -> tuple[int, dict[str, Any], float]:
    """From the login host: exit code, document, seconds."""
    command = cluster.hosts.command("login", *doctor("diagnose", *words, "--json"))
    begun = time.monotonic()
    done = subprocess.run(command, env=environ(cluster), capture_output=True, text=True, timeout=timeout, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), time.monotonic() - begun


def test_a_raise_on_the_second_node_is_named_from_the_batch_script(cluster: Cluster) -> None:
    submit(cluster, "launch", "--headless", "--nproc-per-node", "1", "--", "train.py", "raise", "400")
    text = wait_for(cluster, "left with")
    assert "rank 1 on n2 raised ValueError: bad batch on rank 1 at train.py:8" in text, text + _words(cluster)
    assert "left with 1" in text
    assert "n1, n2" in text


def test_a_hang_is_diagnosed_over_srun_from_a_login_host_and_scancel_leaves_nothing(cluster: Cluster) -> None:
    job = submit(cluster, "launch", "--headless", "--nproc-per-node", "1", "--", "train.py", "hang", "4000")
    wait_for(cluster, "rank 1 ")
    time.sleep(8)  # the hang itself: step 5 of the ranks, which have just begun
    code, view, took = diagnose(cluster, job)
    print(f"diagnosed over srun in {took:.1f} s: {view['verdict']['line']}")
    assert sorted(row["host"] for row in view["ranks"]) == ["n1", "n2"], view
    assert (view["verdict"]["ranks"], code) in (([1], 1), ([1], 4)), view["verdict"]
    assert took < 12
    code, view, took = diagnose(cluster, job, "--sure")
    print(f"looked twice in {took:.1f} s: {view['verdict']['line']}")
    assert view["verdict"]["ranks"] == [1]
    assert "no two looks agree" not in view["verdict"]["line"], "what is left is whether a rank asleep is only slow"
    cluster.ask("scancel", job)
    deadline = time.monotonic() + 60
    while cluster.ask("squeue", "-h").strip():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    left = subprocess.run(
        ["pgrep", "-f", str(cluster.folder / "train.py")], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


def test_a_stopped_node_is_a_row_and_holds_up_nothing(cluster: Cluster) -> None:
    job = submit(cluster, "launch", "--headless", "--nproc-per-node", "1", "--", "train.py", "hang", "4000")
    wait_for(cluster, "rank 1 ")
    cluster.freeze("n2")
    code, view, took = diagnose(cluster, job, "--deadline", "6")
    print(f"with a stopped node in {took:.1f} s: {view['verdict']['line']}")
    assert took < 12
    assert code in (1, 4)
    assert any(each["kind"] == "node" and "n2: no answer" in each["text"] for each in view["evidence"]), view[
        "evidence"
    ]
    assert [row["host"] for row in view["ranks"] if row["state"] != "lost"] == ["n1"]


def test_ranks_of_a_plain_srun_are_diagnosed_too(cluster: Cluster) -> None:
    """Somebody's own job without torchdoctor: `srun torchrun`, as most are."""
    script = cluster.folder / "own.sh"
    agent = f"{sys.executable} -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d"
    where = f"--rdzv-endpoint {cluster.hosts.addresses[0]}:29871 --rdzv-id own"
    script.write_text(
        "#!/bin/sh\n"
        "srun --ntasks-per-node=1 sh -c 'case $SLURM_NODEID in 0) host=true;; *) host=false;; esac; "
        f"export GLOO_SOCKET_IFNAME=eth0; exec {agent} {where} --rdzv-conf is_host=$host "
        f'--local-addr $(hostname -I | cut -d" " -f1) {cluster.folder}/train.py hang 4000\'\n'
    )
    out = str(cluster.folder / "out")
    command = ["sbatch", "--parsable", "-N2", "-o", out, str(script)]
    done = subprocess.run(command, env=environ(cluster), capture_output=True, text=True, timeout=60, check=True)
    wait_for(cluster, "ready")  # rank 0 has come through the rendezvous
    deadline = time.monotonic() + 60
    view: dict[str, Any] = {"ranks": []}
    while len(view["ranks"]) < 2 or not any(row["collective"] or row["state"] == "waiting" for row in view["ranks"]):
        assert time.monotonic() < deadline, (view, said(cluster))
        _, view, _ = diagnose(cluster, done.stdout.strip())
    print(view["verdict"]["line"])
    assert sorted(row["host"] for row in view["ranks"]) == ["n1", "n2"]
    cluster.ask("scancel", done.stdout.strip())
