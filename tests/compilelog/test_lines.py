"""The line index against naive splitting, on files that grow by odd amounts and hold what they like."""

from __future__ import annotations

import random

import pytest

from torchprobes.compilelog.lines import BLOCK, SHOWN, Line, LineIndex, Shrunk


def index_of(data: bytes, rng: random.Random | None = None) -> LineIndex:
    """An index fed in pieces of random size, or in one."""
    index, position = LineIndex(), 0
    while position < len(data):
        step = len(data) if rng is None else rng.choice([1, 7, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 200_000])
        index.feed(data[position : position + step])
        position += step
    return index


def naive(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def reader(data: bytes):
    return lambda count, offset: data[offset : offset + count]


def hostile(rng: random.Random) -> bytes:
    """Lines of every sort: empty, short, around a block's size, many blocks long, NUL, half characters."""
    kinds = [
        lambda: b"",
        lambda: rng.randbytes(rng.randrange(200)).replace(b"\n", b"\0"),
        lambda: b"x" * rng.choice([SHOWN - 1, SHOWN, SHOWN + 1, BLOCK - 1, BLOCK, BLOCK + 1]),
        lambda: b"y" * rng.randrange(5 * BLOCK),
        lambda: "é√🦊".encode()[: rng.randrange(10)],
    ]
    weights = [20, 60, 2, 1, 20]
    lines = [make() for make in rng.choices(kinds, weights, k=rng.randrange(1, 900))]
    return b"\n".join(lines) + rng.choice([b"", b"\n"])


@pytest.mark.parametrize("seed", range(25))
def test_every_page_is_what_splitting_the_whole_file_gives(seed: int) -> None:
    rng = random.Random(seed)
    data = hostile(rng)
    index, expected = index_of(data, rng), naive(data)
    assert index.lines == len(expected)
    assert index.newlines == data.count(b"\n")
    for _ in range(20):
        first = rng.randrange(len(expected)) if expected else 0
        page = index.read(first, 60, reader(data))
        assert [line.number for line in page] == list(range(first, min(first + 60, len(expected))))
        assert [line.length for line in page] == [len(line) for line in expected[first : first + 60]]
        whole = [(line.raw, expected[line.number]) for line in page if line.length <= SHOWN]
        assert all(raw == line for raw, line in whole)
        assert all(len(line.raw) <= SHOWN for line in page)
        assert all(line.ended for line in page[:-1])


def test_the_last_line_is_there_before_its_newline_and_grows() -> None:
    index = LineIndex()
    assert index.lines == 0
    index.feed(b"one\ntw")
    assert index.read(0, 9, reader(b"one\ntw")) == [Line(0, b"one", 3, True), Line(1, b"tw", 2, False)]
    index.feed(b"o\n")
    assert index.read(1, 9, reader(b"one\ntwo\n")) == [Line(1, b"two", 3, True)]


def test_a_line_of_ten_megabytes_is_cropped_and_its_neighbours_are_exact() -> None:
    data = b"before\n" + b"z" * 10_000_000 + b"\nafter\n"
    read: list[int] = []

    def pread(count: int, offset: int) -> bytes:
        read.append(count)
        return data[offset : offset + count]

    page = index_of(data).read(0, 10, pread)
    assert [(line.number, line.length) for line in page] == [(0, 6), (1, 10_000_000), (2, 5)]
    assert page[1].raw == b"z" * SHOWN
    assert page[2].raw == b"after"
    assert sum(read) < 10 * BLOCK, "the middle of a huge line is never read"


def test_of_a_long_progress_line_the_last_drawing_is_kept() -> None:
    bar = b"\r".join(b"step %d " % step + b"#" * 50 for step in range(5000))
    for data in (bar, bar + b"\r", bar + b"\nend\n"):
        line = index_of(data).read(0, 1, reader(data))[0]
        assert line.raw.startswith(b"step 4999 ")


def test_a_file_that_shrank_under_the_index_is_told() -> None:
    data = b"line\n" * 100_000
    index = index_of(data)
    with pytest.raises(Shrunk):
        index.read(90_000, 5, reader(data[:1000]))
    with pytest.raises(Shrunk):
        index.read(0, 5, reader(b""))


def test_the_index_is_eight_bytes_a_block() -> None:
    index = index_of(b"a line of a log\n" * (1 << 20))
    assert index.size == 16 << 20
    assert index.memory_bytes == 8 * 256


def test_outside_of_the_file_there_are_no_lines() -> None:
    data = b"a\nb\n"
    index = index_of(data)
    assert index.read(2, 5, reader(data)) == []
    assert [line.raw for line in index.read(-3, 5, reader(data))] == [b"a", b"b"]
    assert index.read(1, 0, reader(data)) == []
