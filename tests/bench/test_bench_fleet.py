"""What it costs to hear a thousand nodes on one pipe: `pytest -m bench -s tests/bench/test_bench_fleet.py`."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from torchprobes.reports.fleet.gathering import Gathering
from torchprobes.reports.fleet.rows import node_of
from torchprobes.reports.fleet.wire import PIECE, TIMES_SAID, Answer, line_of

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
NODES, TOKEN = 1000, "0" * 16


def test_a_thousand_nodes_on_one_pipe_in_any_order() -> None:
    words = [sys.executable, "-B", "-m", "torchdoctor", "snapshot", "--json", "--no-jobs"]
    paths = f"{ROOT / 'tui'}:{ROOT / 'probes'}"
    snapshot = json.loads(subprocess.run(words, env={"PYTHONPATH": paths}, capture_output=True, check=False).stdout)
    lines = [line for number in range(NODES) for line in said(f"n{number}", snapshot)]
    random.Random(1).shuffle(lines)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, found = time.perf_counter(), Gathering(TOKEN)
    for line in lines:
        found.hear(line)
    heard = time.perf_counter()
    nodes = [node_of(f"n{number}", found.of(f"n{number}"), "") for number in range(NODES)]
    read = time.perf_counter()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"\n{len(lines)} lines, {sum(map(len, lines)) >> 20} MiB: heard in {heard - begun:.2f} s, "
          f"read in {read - heard:.2f} s, {grown} MiB more")  # fmt: skip
    assert all(node.report is not None for node in nodes)


def said(name: str, snapshot: dict[str, dict[str, object]]) -> list[bytes]:
    snapshot["machine"]["host"] = name
    answer = Answer(kind="snapshot", torchdoctor="0.1.0", document=msgspec.Raw(json.dumps(snapshot).encode()))
    packed = zlib.compress(msgspec.json.encode(answer), 9)
    pieces = [packed[at : at + PIECE] for at in range(0, len(packed), PIECE)]
    return [line_of(TOKEN, name, "a", n, len(pieces), one) for n, one in enumerate(pieces, 1)] * TIMES_SAID
