"""Several logs as one by time: order, growth, what comes late, what has no stamp; rows under filters and searches."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from torchprobes.compilelog import merged, merging, stamps
from torchprobes.compilelog.filter import Filter
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.merged import MergedDocument, SeveralFiles
from torchprobes.compilelog.merging import Merger
from torchprobes.compilelog.search import Query
from torchprobes.compilelog.stamps import stamp_us


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


def clock(second: float) -> tuple[str, int]:
    """The time of day, and the microseconds."""
    whole, us = divmod(round(second * 1e6), 1_000_000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}", us


def glog(second: float, words: str, level: str = "V", day: str = "1123") -> bytes:
    at, us = clock(second)
    return f"{level}{day} {at}.{us:06d} 7 a.py:1] {words}\n".encode()


def old(second: float, words: str) -> bytes:
    at, us = clock(second)
    return f"[2026-11-23 {at},{us // 1000:03d}] torch.x: [DEBUG] {words}\n".encode()


@pytest.fixture
def merging_of() -> Iterator[Callable[[Sequence[Path]], MergedDocument]]:
    documents: list[MergedDocument] = []

    def open_them(paths: Sequence[Path]) -> MergedDocument:
        documents.append(MergedDocument([str(path) for path in paths]))
        return documents[-1]

    yield open_them
    for document in documents:
        document.close()


def words(document: MergedDocument, first: int = 0, count: int = 5000) -> list[str]:
    return [line.raw.decode().rpartition(" ")[2] for line in document.page(first, count, 5.0).lines]


def child_of(document: MergedDocument) -> subprocess.Popen[bytes]:
    files = document._files
    assert isinstance(files, SeveralFiles)
    assert files._ordering is not None
    assert files._ordering._child is not None
    return files._ordering._child


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.parametrize("line", [b"V1123 06:12:11.791000 7 a.py:1] x", b"[rank0]:W1123 06:12:11.791000 7 a.py:1]"])
def test_stamps_of_all_formats_are_the_same_time(line: bytes) -> None:
    assert stamp_us(line) == stamp_us(b"[2026-11-23 06:12:11,791] [0/0] torch.x: [DEBUG] x")
    assert stamp_us(line) == stamp_us(b"2026-11-23 06:12:11,791 INFO trainer: x")
    assert stamp_us(line) == stamp_us(b'V1123 06:12:11.791000 7 torch/x.py:1] {"str": []}')


def test_what_is_no_stamp_is_none() -> None:
    for line in (b"", b"step 3", b"\tV1123 06:12:11.791000", b"V9923 06:12:11.791000 7", b"V1123 06:12", b"2026-11-23"):
        assert stamp_us(line) is None
    assert len(stamps._SECONDS) <= stamps.MOST


def plainly(files: list[list[tuple[float, str]]]) -> list[str]:
    """All lines by time; at the same time by file."""
    keyed = [
        (round(at * 1000), source, number, text)
        for source, lines in enumerate(files)
        for number, (at, text) in enumerate(lines)
    ]
    return [text for *_, text in sorted(keyed)]


@pytest.mark.parametrize("seed", range(4))
def test_all_lines_stand_by_their_time_and_each_file_in_its_order(merging_of, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files: list[list[tuple[float, str]]] = []
    paths = [tmp_path / f"{source}.log" for source in range(rng.choice([1, 2, 5]))]
    for source, path in enumerate(paths):
        now, lines, data = 0.0, [], b""
        make = rng.choice([glog, old])
        for number in range(400):
            now += rng.choice([0, 0.001, 0.5])
            text = f"{source}-{number}"
            stamped = number == 0 or rng.random() < 0.8
            data += make(now, text) if stamped else f"no stamp {text}\n".encode()
            last = now if stamped else lines[-1][0]
            lines.append((last, text))
        path.write_bytes(data)
        files.append(lines)
    document = merging_of(paths)
    until(lambda: document.view().indexed and document.view().rows == 400 * len(paths))
    assert words(document) == plainly(files)
    lines = document.page(0, 5000, 5.0).lines
    assert [line.number for line in lines] == list(range(len(lines)))
    assert [f"{line.source}-{line.own}" for line in lines] == words(document)
    assert document.page(-3, 3, 5.0).lines[-3:] == lines[-3:]


def test_small_pieces_give_the_same_order(monkeypatch, tmp_path: Path) -> None:
    rng, datas = random.Random(3), []
    for source in range(3):
        now, data = 0.0, b""
        for number in range(500):
            now += rng.choice([0, 0, 0.001, 2])
            data += glog(now, f"{source}-{number}")
        datas.append(data)

    def rows() -> bytes:
        told = bytearray()
        merger = Merger([lambda count, at, data=data: data[at : at + count] for data in datas])
        for row, files in merger.begin():
            told[row:] = files
        assert merger.read_bytes == sum(map(len, datas))
        return bytes(told)

    whole = rows()
    monkeypatch.setattr(merging, "PIECE", 300)
    monkeypatch.setattr(merging, "TAIL", 5)
    assert rows() == whole
    assert len(whole) == 1500


def test_what_comes_is_sorted_in_and_what_comes_too_late_is_appended_and_marked() -> None:
    datas = [bytearray(), bytearray()]
    merger = Merger([lambda count, at, data=data: bytes(data[at : at + count]) for data in datas])
    told = bytearray()
    for row, files in merger.begin():
        told[row:] = files

    def follow() -> int:
        change = merger.follow()
        assert change is not None
        told[change[0] :] = change[1]
        return change[0]

    datas[0] += glog(10, "a0") + glog(12, "a1")
    assert follow() == 0
    datas[1] += glog(11, "b0")
    assert follow() == 1, "only rows from there on are others now"
    assert bytes(told) == b"\0\1\0"
    assert merger.late == []
    assert merger.follow() is None
    merger._arrivals = type(merger._arrivals)((at - 2, count) for at, count in merger._arrivals)
    datas[0] += glog(13, "a2")
    datas[1] += glog(11.5, "b1") + glog(14, "b2")
    assert follow() == 3
    assert bytes(told) == b"\0\1\0\1\0\1"
    assert merger.late == [(1, 1)]


def test_the_new_year_comes_after_the_old(merging_of, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(glog(86_000, "0", day="1231") + glog(5, "1", day="0101") + glog(9, "3", day="0101"))
    b.write_bytes(glog(7, "2", day="0101") + glog(11, "4", day="0101"))
    document = merging_of([a, b])
    until(lambda: document.view().rows == 5)
    assert words(document) == ["0", "1", "2", "3", "4"]


def test_a_file_without_stamps_stands_first_and_then_comes_when_it_comes(merging_of, tmp_path: Path) -> None:
    a, b = tmp_path / "stderr", tmp_path / "stdout"
    a.write_bytes(b"before any stamp\n" + glog(5, "stamped"))
    b.write_bytes(b"print 1\nprint 2\n")
    document = merging_of([a, b])
    until(lambda: document.view().rows == 4 and document.view().indexed)
    assert words(document) == ["1", "2", "stamp", "stamped"]
    append(b, b"print 3\nprint without its e")
    until(lambda: document.view().rows == 6)
    append(b, b"nd\nlast")
    until(lambda: document.view().rows == 7)
    assert words(document) == ["1", "2", "stamp", "stamped", "3", "end", "last"]


def test_filters_searches_and_marks_speak_rows_of_the_merge(merging_of, tmp_path: Path) -> None:
    rng, paths, texts = random.Random(9), [tmp_path / "a", tmp_path / "b", tmp_path / "c"], []
    datas = [b"", b"", b""]
    for number in range(600):
        source, loud = rng.randrange(3), rng.random() < 0.2
        text = f"{'needle' if rng.random() < 0.3 else 'hay'}-{number}"
        datas[source] += glog(number, text, "W" if loud else "V")
        texts.append((text, loud))
    for path, data in zip(paths, datas, strict=True):
        path.write_bytes(data)
    document = merging_of(paths)
    document.search(Query("needle"))
    hits = [n for n, (text, _) in enumerate(texts) if "needle" in text]
    until(lambda: document.view().rows == 600 and document.found.view().count == len(hits))
    until(lambda: dict(document.view().counts)[Mark.WARNING] == sum(loud for _, loud in texts))
    found = document.found
    assert [found.next(row - 1) for row in hits] == hits
    assert [found.previous(row + 1) for row in hits] == hits
    assert [found.rank(row) for row in hits] == list(range(1, len(hits) + 1))
    assert all(found.hit(row) and found.span(row) for row in hits)
    loud_rows = [n for n, (_, loud) in enumerate(texts) if loud]
    assert sorted(document.marks.on(0, 600)) == loud_rows
    assert document.marks.next((Mark.WARNING,), loud_rows[3]) == loud_rows[4]

    document.filter(Filter(levels=frozenset("W")))
    until(lambda: document.view().rows == len(loud_rows) and document.filtered.at_end)
    assert words(document) == [texts[row][0] for row in loud_rows]
    assert [document.line_of(row) for row in range(len(loud_rows))] == loud_rows
    assert [document.row_of(number) for number in loud_rows] == list(range(len(loud_rows)))
    assert [document.row_near(number) for number in loud_rows] == list(range(len(loud_rows)))
    kept_hits = [row for row, number in enumerate(loud_rows) if number in hits]
    until(lambda: document.found.view().count == len(kept_hits))
    assert [document.found.next(row - 1) for row in kept_hits] == kept_hits
    until(lambda: len(document.marks.on(0, 600)) == len(loud_rows))
    append(paths[1], glog(1000, "more", "W") + glog(1001, "none"))
    until(lambda: document.view().rows == len(loud_rows) + 1)
    assert words(document)[-1] == "more"


def test_a_file_that_appears_or_is_truncated_begins_the_merge_anew(merging_of, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(glog(5, "a"))
    document = merging_of([a, b])
    until(lambda: document.view().rows == 1)
    assert "b: not there yet" in document.view().cause
    content = document.view().content
    b.write_bytes(glog(4, "b"))
    until(lambda: document.view().rows == 2)
    assert words(document) == ["b", "a"]
    assert document.view().content > content
    a.write_bytes(glog(3, "cc"))
    until(lambda: words(document) == ["cc", "b"])
    assert document.view().note == "truncated"


def test_above_the_limit_the_newest_part_of_each_is_merged_and_said(merging_of, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(merged, "MOST", 1 << 20)
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"".join(glog(number / 10, f"a{number}") for number in range(30_000)))
    b.write_bytes(b"".join(glog(number / 10, f"b{number}") for number in range(30_000)))
    document = merging_of([a, b])
    until(lambda: document.view().rows > 20_000 and document.view().indexed)
    assert document.view().note == "only the newest 1 MB of 2"
    rows = document.view().rows
    assert words(document, rows - 2, 2) == ["a29999", "b29999"]
    assert all(line.own == -1 for line in document.page(0, 5, 5.0).lines)
    assert words(document, 0, 1)[0] in ("a10000", "b10000") or document.view().size_bytes <= 1 << 20


def test_a_merge_that_dies_is_said_and_closing_leaves_no_process(merging_of, tmp_path: Path) -> None:
    a = tmp_path / "a"
    a.write_bytes(glog(1, "a"))
    document = merging_of([a])
    until(lambda: document.view().rows == 1)
    child = child_of(document)
    child.kill()
    until(lambda: "the merge ended early" in document.view().cause)
    assert words(document) == ["a"]
    other = MergedDocument([str(a)])
    until(lambda: other.view().rows == 1)
    child = child_of(other)
    other.close()
    until(lambda: child.returncode is not None)
