"""1,000 nodes compared: from the files to the text, printed, never judged by a clock. `pytest -m bench -s`.

The reports are made of a real one (a CPU machine's check of 29 probes, 180 kB as JSON; two H200s' 15 probes, an edit
copy) by noise within the spread that was recorded; one node in 250 has a lower power limit or a quota. They are
masked as `check` and `fleet` leave them: `internal`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

sys.path.append(str(Path(__file__).parents[1] / "reports"))

import planted

from torchprobes.reports.redaction import Redactor

pytestmark = pytest.mark.bench

NODES = 1_000
ROOTS = [str(Path(__file__).parents[2] / name) for name in ("tui", "probes")]

PROGRAM = """
import resource, sys, time
sys.path[:0] = sys.argv[2:]
began, cpu = time.perf_counter(), time.process_time()
def lap(what):
    global began, cpu
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {what:18} {wall:6.2f} s of wall, {used:6.2f} s of CPU, {held:6.0f} MiB at most")
    began, cpu = time.perf_counter(), time.process_time()
from torchprobes.reports.comparison import compared, platforms
from torchprobes.reports.gather import gather, uncollected
from torchprobes.reports.redaction import Redactor
from torchdoctor.commands._compare_text import comparison_text
lap("imports")
with uncollected():
    found = gather([sys.argv[1]], lambda: None)
    assert not found.refused and len(found.reports) == 1000
    lap("read")
    masked = Redactor("internal").reports(report for _, report in found.reports)
    lap("masked, internal")
    comparison = compared(platforms(list(zip([where for where, _ in found.reports], masked))))
    lap("compared")
    text = comparison_text(comparison, signs=True, width=100)
    lap("text")
print(text[:1200])
"""


def fleet(folder: Path, name: str) -> None:
    """A thousand nodes of one kind in a folder, four of which differ."""
    good, plant = (planted.sound("two"), "power limit") if name == "two H200s" else (planted.real("cpu"), "CPU quota")
    bad = planted.pair(plant)[1]
    for number in range(NODES):
        report = Redactor("internal").report(planted.noisy(bad if number % 250 == 7 else good, number))
        (folder / f"node-{number:04}.json").write_bytes(msgspec.json.encode(report))


@pytest.mark.parametrize("name", ["CPU machine", "two H200s"])
def test_a_thousand_reports(name: str, tmp_path: Path) -> None:
    fleet(tmp_path, name)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    print(f"\n{name}: {NODES} reports, {size / NODES / 1e3:.0f} kB each")
    before, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *ROOTS], capture_output=True, text=True, check=False
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - cpu
    print(done.stdout, done.stderr[-2000:])
    print(f"  in all {time.perf_counter() - before:.2f} s of wall, {used:.2f} s of CPU")
    assert done.returncode == 0
    assert ("power limit" if name == "two H200s" else "cpu.max") in "\n".join(done.stdout.splitlines()[5:9])
