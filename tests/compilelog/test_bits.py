"""Bits and weaves against plain lists: rank, select, what comes next, and ends that are put again."""

from __future__ import annotations

import random

import pytest

from torchprobes.compilelog.bits import Bits
from torchprobes.compilelog.scan_child import pack
from torchprobes.compilelog.weave import BLOCK, Weave


def bits_of(flags: list[int], rng: random.Random) -> Bits:
    """Put in pieces that begin at whole bytes; each but the first puts bytes again that were not final."""
    bits, at = Bits(), 0
    while at < len(flags):
        stop = min(len(flags), at + rng.choice([1, 5, 8, 100, 511, 512, 513, 5000]))
        guess = flags[at : stop - 1] + [rng.randrange(2)] * 3
        bits.put(at // 8, pack(bytes(flags[at - at % 8 : at] + guess)), at + len(guess))
        bits.put(at // 8, pack(bytes(flags[at - at % 8 : stop])), stop)
        at = stop
    return bits


@pytest.mark.parametrize("seed", range(12))
def test_rank_select_next_and_previous_are_those_of_a_list(seed: int) -> None:
    rng = random.Random(seed)
    density = rng.choice([0.0, 0.001, 0.05, 0.5, 1.0])
    flags = [int(rng.random() < density) for _ in range(rng.randrange(1, 6000))]
    bits = bits_of(flags, rng)
    ones = [line for line, flag in enumerate(flags) if flag]
    assert (bits.lines, bits.ones) == (len(flags), len(ones))
    for line in [-1, 0, len(flags), 1 << 62, *rng.choices(range(len(flags)), k=60)]:
        assert bits.rank(line) == sum(one < line for one in ones)
        assert bits.next(line) == next((one for one in ones if one > line), None)
        assert bits.previous(line) == next((one for one in reversed(ones) if one < line), None)
        assert (line in bits) == (line in ones)
    assert [bits.select(row) for row in range(len(ones))] == ones
    assert (bits.select(-1), bits.select(len(ones))) == (None, None)
    start = rng.randrange(len(flags))
    assert list(bits.flags(start, start + 700)) == flags[start : start + 700]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_in_both(seed: int) -> None:
    rng = random.Random(seed)
    ours = [int(rng.random() < 0.3) for _ in range(rng.randrange(1, 3000))]
    theirs = [int(rng.random() < rng.choice([0.0, 0.02, 0.6])) for _ in range(rng.randrange(1, 3000))]
    a, b = bits_of(ours, rng), bits_of(theirs, rng)
    both = [line for line, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one and other]
    for line in [-1, 0, 4000, 1 << 62, *rng.choices(range(3000), k=60)]:
        assert a.rank_both(line, b) == sum(one < line for one in both)
        assert a.next(line, b) == next((one for one in both if one > line), None)
        assert a.previous(line, b) == next((one for one in reversed(both) if one < line), None)


def test_six_million_lines_are_under_a_megabyte() -> None:
    bits = Bits()
    for at in range(0, 6_000_000 // 8, 100_000):
        bits.put(at, b"\x55" * min(100_000, 750_000 - at), 8 * min(750_000, at + 100_000))
    assert bits.lines == 6_000_000
    assert bits.memory_bytes < 1_000_000


@pytest.mark.parametrize("seed", range(6))
def test_a_weave_knows_each_row_and_each_line(seed: int) -> None:
    rng = random.Random(seed)
    sources = rng.choice([1, 2, 7])
    weave, rows = Weave(sources), b""
    for _ in range(12):
        keep = max(0, len(rows) - rng.choice([0, 0, 3, BLOCK]))
        rows = rows[:keep] + bytes(rng.choices(range(sources), k=rng.choice([1, 100, BLOCK - 1, BLOCK, 3 * BLOCK])))
        weave.put(keep, rows[keep:])
    assert weave.rows == len(rows)
    for row in [0, len(rows) - 1, *rng.choices(range(len(rows)), k=40)]:
        place = rows[row], rows.count(rows[row], 0, row)
        assert weave.place(row) == place
        assert weave.row(*place) == row
        assert [weave.count(source, row) for source in range(sources)] == [
            rows.count(source, 0, row) for source in range(sources)
        ]
    assert weave.place(len(rows)) is None
    assert weave.row(0, rows.count(0)) is None
    assert weave.memory_bytes < 2 * len(rows) + 8 * sources * (2 + len(rows) // BLOCK)
