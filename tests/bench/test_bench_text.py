"""What reading torch's text costs, against splitting it into lines: printed, never judged. `pytest -s -m bench`."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from torchprobes.compilelog.text import TextReader

DATA = Path(__file__).parents[1] / "compilelog" / "data"
SIZE = 20_000_000
NOISE = (
    "V1123 06:15:03.{:06d} 18663 torch/_inductor/codecache.py:1646] [0/0] [c7zj4qytmety6keurs3hsh5wn7foxp3dqx4kym2] "
    "inductor_config[cpp.enable_floating_point_contract_flag]: off\n"
)


def _full() -> bytes:
    """As a full log is: nine parts of noise, one of all that torch 2.15 says of breaks."""
    said = gzip.decompress((DATA / "text_2.15_breaks.log.gz").read_bytes())
    noise = "".join(NOISE.format(n) for n in range(9 * len(said) // len(NOISE))).encode()
    return (noise + said) * (SIZE // len(noise + said))


def _own() -> bytes:
    return b"".join(b"epoch %d step %d loss 0.123456 tokens/s 12345 eta 00:12:19\n" % (n, n) for n in range(SIZE // 62))


def _breaks() -> bytes:
    said = gzip.decompress((DATA / "text_2.1_breaks.log.gz").read_bytes())
    return said * (SIZE // 4 // len(said))


@pytest.mark.bench
@pytest.mark.parametrize("make", [_full, _own, _breaks])
def test_reading_text(make: Callable[[], bytes]) -> None:
    data = make()
    start = time.process_time()
    lines = data.split(b"\n")
    split_s = time.process_time() - start
    del lines
    reader = TextReader("x")
    start, events = time.process_time(), 0
    for at in range(0, len(data), 1 << 20):
        events += len(reader.feed(data[at : at + (1 << 20)]))
    read_s = time.process_time() - start
    tracemalloc.start()
    again = TextReader("x")
    for at in range(0, len(data) // 4, 1 << 20):
        again.feed(data[at : at + (1 << 20)])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"\n{make.__name__}: {len(data) / read_s / 1e6:.0f} MB/s, {read_s / max(split_s, 1e-9):.1f} x a plain split, "
        f"{events} events; {held / 1e6:.1f} MB held, {peak / 1e6:.1f} MB at most"
    )
    assert reader.offset == len(data)
