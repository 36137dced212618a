"""`fleet` over a real Slurm of several nodes on this machine: who hangs, exits or answers garbage is a row.

By hand: `pytest -m trials tests/jobs/test_fleet_slurm.py`. It needs root and Debian's slurm-wlm; without them it is
skipped, and says what is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slurm_cluster
from slurm_cluster import Cluster

pytestmark = pytest.mark.trials

ROOT = Path(__file__).parents[2]
WHY_NOT = slurm_cluster.why_not()

NODE = """\
#!/bin/sh
case $SLURMD_NODENAME in
  n2) exec sleep 3600;;
  n3) echo "libcuda.so.1: cannot open shared object file" >&2; exit 7;;
  n4) head -c 3000 /dev/urandom; echo; echo "@td1 0123456789abcdef n4 1 1 1 00000000 AAAA ;"; echo bye; exit 0;;
  n5) export TORCHDOCTOR_PYTHON=/usr/bin/python3;;
esac
exec {python} -B -m torchdoctor "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Six nodes and a login host, on which no slurmd runs."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    tmp_path.chmod(0o755)
    (tmp_path / "node").write_text(NODE.format(python=sys.executable))
    (tmp_path / "node").chmod(0o755)
    with slurm_cluster.cluster(tmp_path, 6, login="login") as found:
        yield found


def fleet(cluster: Cluster, *words: str, timeout: float = 300) -> tuple[int, dict[str, Any], str]:
    """From the login host: exit code, document, stderr."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("tui", "probes"))
    environ = {
        **os.environ, **cluster.environ, "PYTHONPATH": paths, "HOME": str(cluster.folder), "TERM": "dumb",
        "TORCHDOCTOR_STATE": str(cluster.folder / "state"),
    }  # fmt: skip
    own = [sys.executable, "-B", "-m", "torchdoctor", "fleet", "--json", "-", *words]
    command = cluster.hosts.command("login", *own)
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=timeout, check=False, cwd=cluster.folder
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def rows_of(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {row["node"]: (row["state"], row["why"]) for row in document["nodes"]}


def test_no_node_is_lost_over_srun(cluster: Cluster) -> None:
    code, document, said = fleet(
        cluster, "--out", str(cluster.folder / "fleet"), "--program", str(cluster.folder / "node"), "--deadline", "40",
        "--", "srun", "-N6", "--ntasks-per-node=1",
    )  # fmt: skip
    rows = rows_of(document)
    print(json.dumps(rows, indent=1), said)
    assert list(rows) == ["n1", "n2", "n3", "n4", "n5", "n6"]
    assert [rows[name] for name in ("n1", "n6")] == [("report", "")] * 2
    assert rows["n2"] == ("no answer", "no answer in 40 s")
    assert rows["n3"] == ("no answer", "exited with exit code 7: libcuda.so.1: cannot open shared object file")
    assert rows["n4"] == ("no answer", "no answer in 40 s: bye")
    assert rows["n5"][0] == "report"
    assert rows["n5"][1].startswith("no torch: TORCHDOCTOR_PYTHON /usr/bin/python3: there is no torch in it")
    assert code == 4
    assert sorted(path.name for path in (cluster.folder / "fleet").glob("*.json")) == ["n1.json", "n5.json", "n6.json"]
    assert cluster.ask("squeue", "-h").strip() == "" or "CG" in cluster.ask("squeue", "-h", "-o", "%t")


def test_a_node_whose_slurmd_is_stopped_costs_the_others_nothing(cluster: Cluster) -> None:
    """Nothing starts there, and srun itself waits for it: its row comes at the deadline, the others' in time."""
    cluster.freeze("n3")
    code, document, said = fleet(
        cluster, "--out", str(cluster.folder / "fleet"), "--deadline", "30", "--", "srun", "-N6", "--ntasks-per-node=1"
    )
    rows = rows_of(document)
    print(json.dumps(rows, indent=1), said)
    assert {name for name, (state, _) in rows.items() if state == "report"} == {"n1", "n2", "n4", "n5", "n6"}
    assert rows["n3"][0] == "no answer"
    assert "; srun: " in rows["n3"][1], "its own words are there: launch timed out, or the like"
    assert code == 4


def test_probes_run_on_every_node_of_a_step(cluster: Cluster) -> None:
    code, document, said = fleet(
        cluster, "--out", str(cluster.folder / "fleet"), "--probe", "env.identity", "export.signature",
        "--deadline", "200", "--", "srun", "-N2", "--ntasks-per-node=2", "--oversubscribe",
    )  # fmt: skip
    assert rows_of(document) == {"n1": ("report", ""), "n2": ("report", "")}, said
    assert {row["name"] for row in document["comparison"]["rows"]} == {"env.identity", "export.signature"}
    assert "it needs an allocation of your own" in said
    assert code in (0, 3), said
