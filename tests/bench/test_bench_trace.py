"""What reading the structured trace costs, beside only looking for its line ends; and its memory.

    pytest -m bench -s tests/bench/test_bench_trace.py

Goals: 218 MB in 2 s of one core, 60 MB over the interpreter; tlparse 0.4.3 takes 13 s and 803 MB. Judge by the ratio
where other work goes on: the machine's load slows both.
"""

from __future__ import annotations

import lzma
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRACES = Path(__file__).parents[1] / "compilelog" / "traces"
MB = 218
PIECE = 1 << 20

READ = """
import sys, time
sys.path.insert(0, {probes!r})
from torchprobes.compilelog.trace import TraceReader

def peak_mb():  # getrusage would tell the peak of the process that started this one
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

before, events, started = peak_mb(), 0, time.process_time()
reader = TraceReader("trace.log")
with open({path!r}, "rb", buffering=0) as trace:
    while piece := trace.read({piece}):
        events += len(reader.feed(piece))
print(time.process_time() - started, peak_mb() - before, events, reader.counted.records)
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The traces of the corpus one after the other, the frames of each round numbered anew, until there are 218 MB."""
    path = tmp_path_factory.mktemp("bench") / "trace.log"
    whole = b"".join(lzma.decompress(part.read_bytes()) for part in sorted(TRACES.glob("*.xz")))
    with path.open("wb") as out:
        for n in range(-(-MB * 1_000_000 // len(whole))):
            out.write(re.sub(rb'"frame_id": (?=\d)', b'"frame_id": %d' % (n + 1), whole))
        out.truncate(MB * 1_000_000)
    return path


@pytest.mark.bench
def test_reading_a_trace_of_218_mb(big: Path) -> None:
    started = time.process_time()
    with big.open("rb", buffering=0) as trace:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: trace.read(PIECE), b""))
    counting_s = time.process_time() - started
    code = READ.format(probes=str(Path(__file__).parents[2] / "probes"), path=str(big), piece=PIECE)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    cpu_s, mb, events, records = (float(number) for number in told)
    print(
        f"\n{MB} MB, {lines:,} lines, {records:,.0f} records, {events:,.0f} events: {cpu_s:.2f} s of CPU, "
        f"{MB / cpu_s:.0f} MB/s, {cpu_s / counting_s:.1f} times counting its lines ({counting_s:.2f} s); "
        f"at most {mb:.1f} MB more than before"
    )
    assert records > 50_000
    assert events > records / 2


@pytest.mark.bench
def test_a_growing_trace_costs_its_new_bytes(big: Path) -> None:
    """Pieces of 4 KiB, as a follower sees them, against pieces of 1 MiB."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "probes"))
    from torchprobes.compilelog.trace import TraceReader

    with big.open("rb") as trace:
        data = trace.read(40_000_000)
    seconds = {}
    for piece in (PIECE, 4096):
        reader = TraceReader("trace.log")
        started = time.process_time()
        for at in range(0, len(data), piece):
            reader.feed(data[at : at + piece])
        seconds[piece] = time.process_time() - started
    print(
        f"\n40 MB in pieces of 1 MiB {seconds[PIECE]:.2f} s, of 4 KiB {seconds[4096]:.2f} s: "
        f"{seconds[4096] * 1000 / 40:.1f} ms a MB"
    )
    assert reader.offset == len(data)
