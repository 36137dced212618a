"""What a snapshot of a node with a job of eight ranks holds at most, itself and each of its children."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import ROOTS, environment

pytestmark = pytest.mark.trials

MOST_MB = 60
PROGRAM = """\
import atexit, resource, sys
sys.argv[1:] = ["snapshot", "--json"]
most = lambda who: resource.getrusage(who).ru_maxrss / 1024
atexit.register(lambda: sys.__stderr__.write(f"PEAK {most(resource.RUSAGE_SELF)} {most(resource.RUSAGE_CHILDREN)}"))
from torchdoctor.__main__ import main
main()
"""


@pytest.fixture
def eight_ranks() -> Iterator[None]:
    base = {
        **os.environ,
        "WORLD_SIZE": "8",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
        "TORCHELASTIC_RUN_ID": "mem",
    }
    sleep = [sys.executable, "-c", "import time\ntime.sleep(600)"]
    ranks = [subprocess.Popen(sleep, env={**base, "RANK": str(n), "LOCAL_RANK": str(n)}) for n in range(8)]
    yield
    for rank in ranks:
        rank.kill()
        rank.wait()


@pytest.mark.usefixtures("eight_ranks")
def test_a_snapshot_of_eight_ranks_holds_at_most_60_mb(tmp_path: Path) -> None:
    environ = environment(tmp_path, PYTHONPATH=os.pathsep.join(map(str, ROOTS)))
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    (seen,) = [one for one in json.loads(done.stdout)["jobs"] if "mem" in one["job"]["key"]]
    assert len(seen["ranks"]) == 8
    peak, child = map(float, done.stderr.rpartition("PEAK ")[2].split())
    print(f"a snapshot of 8 ranks: {peak:.0f} MB, its largest child {child:.0f} MB")
    assert peak < MOST_MB
    assert child < MOST_MB
