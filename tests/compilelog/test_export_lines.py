"""Export: exactly the rows, byte for byte, into a file that was not there; and a search of all files."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from torchprobes.compilelog import export_child, pieces, search_all_child, stripes
from torchprobes.compilelog.document import Document, export
from torchprobes.compilelog.export import Exporting
from torchprobes.compilelog.filter import Filter
from torchprobes.compilelog.merged import MergedDocument
from torchprobes.compilelog.search import Query
from torchprobes.compilelog.search_all import FileHits, SearchAll


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


def ended(exporting: Exporting) -> None:
    until(lambda: exporting.view.finished or exporting.view.cause)


LINES = [
    b"W1123 06:15:03.456000 7 a.py:1] [0/0] warned",
    b"plain \xff\x1b[31m",
    b"",
    b"V1123 06:15:03.456000 7 a.py:1] x",
]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("levels", [None, "W", "W-", "-V"])
def test_the_file_holds_the_rows_byte_for_byte(tmp_path: Path, end: bytes, levels: str | None) -> None:
    path, out = tmp_path / "log", tmp_path / "out.log"
    path.write_bytes(b"\n".join(LINES * 30) + end)
    document = Document(str(path))
    wanted = Filter(levels=frozenset(levels)) if levels else None
    document.filter(wanted)
    until(lambda: document.filtered.at_end or (wanted is None and document.view().lines))
    exporting = export(document, str(out))
    ended(exporting)
    marks = ["W", "-", "-", "V"]
    kept = [line for line, level in zip(LINES * 30, marks * 30, strict=True) if levels is None or level in levels]
    whole = b"\n".join(kept) + b"\n"
    if not end and (levels is None or "V" in levels):
        whole = whole[:-1]
    assert out.read_bytes() == whole
    assert (exporting.view.done_rows, exporting.view.rows) == (len(kept), document.view().rows)
    assert out.stat().st_mode & 0o777 == 0o600
    document.close()


def test_a_file_that_is_there_or_cannot_be_made_is_said(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"kept\n")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    document = Document(str(path))
    for name, words in (("log", "exists"), ("link", "exists"), ("no/such/folder", "no such file")):
        exporting = document.export(str(tmp_path / name))
        ended(exporting)
        assert words in exporting.view.cause
        assert not exporting.view.finished
    assert path.read_bytes() == b"kept\n"
    assert not (tmp_path / "nowhere").exists()
    document.close()


@pytest.mark.parametrize(
    ("include", "closed", "cause"), [("(a+)+b", False, "takes too long"), ("(", False, "not a regular"), ("", True, "")]
)
def test_what_fails_or_is_given_up_leaves_no_file(monkeypatch, tmp_path: Path, include, closed, cause) -> None:
    path, out, said = tmp_path / "log", tmp_path / "out", []
    path.write_bytes((b"a" * 200 + b"\n") * 100)
    monkeypatch.setattr(stripes, "PIECE_S", 0.05)
    monkeypatch.setattr(export_child.select, "select", lambda *_: ([0] if closed else [], [], []))
    monkeypatch.setattr(export_child, "say", lambda **told: said.append(told))
    with path.open("rb") as file:
        part = {"fd": file.fileno(), "start": 0, "stop": None, "size": path.stat().st_size}
        wanted = Filter(include=include).asked
        request = {"parts": [part], "tabs": False, "filter": wanted, "path": str(out), "order": None}
        assert export_child.run(request) == 1
    assert [cause in told["cause"] for told in said] == ([True] if cause else [])
    assert not out.exists()


def test_an_export_that_is_stopped_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 2_000_000)
    document = Document(str(path))
    exporting = document.export(str(tmp_path / "out"))
    exporting.stop()
    until(lambda: exporting.view.cause or exporting.view.finished)
    assert exporting.view.finished == (tmp_path / "out").exists()
    assert exporting.view.finished or exporting.view.cause == "given up"
    document.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_huge_lines_are_written_whole_by_any_number_of_workers(monkeypatch, tmp_path: Path, workers: int) -> None:
    rng = random.Random(workers)
    lines = [rng.randbytes(rng.choice([0, 9, 200, 5000])).replace(b"\n", b"") for _ in range(300)]
    lines[7] = lines[8] = b"z" * 300_000
    data = b"\n".join(lines) + b"\n" + b"w" * 200_000
    path, out = tmp_path / "log", tmp_path / "out"
    path.write_bytes(data)
    for module in (stripes, pieces, export_child):
        monkeypatch.setattr(module, "PIECE", 1000)
    monkeypatch.setattr(stripes, "LONGEST", 500)
    monkeypatch.setattr(export_child, "LONGEST", 500)
    monkeypatch.setattr(pieces, "MANY", 0)
    monkeypatch.setattr(pieces, "cores", lambda: workers)
    with path.open("rb") as file, out.open("wb") as to:
        part = {"fd": file.fileno(), "start": 0, "stop": None, "size": len(data)}
        request = {"parts": [part], "tabs": False, "filter": Filter(exclude="^never").asked}
        for _rows, written in export_child.one(request):
            to.write(written)
    assert out.read_bytes() == data


def test_a_window_is_written_without_its_tabs(tmp_path: Path) -> None:
    path, out = tmp_path / "trace.log", tmp_path / "out"
    path.write_bytes(b"V1123 {}\n\tdef f(x):\n\t\treturn x\n\nV1123 {}\n")
    document = Document(str(path), window=(9, 22))
    until(lambda: document.view().lines)
    ended(document.export(str(out)))
    assert out.read_bytes() == b"def f(x):\n\treturn x\n"
    document.close()


def test_merged_rows_are_written_in_their_order(tmp_path: Path) -> None:
    texts = [b"", b""]
    lines = []
    for number in range(400):
        line = b"%s1123 06:15:%02d.%06d 7 a.py:1] %d\n" % (b"VW"[number % 3 == 0 :][:1], number // 60, number, number)
        texts[number % 2] += line
        lines.append(line)
    paths = [tmp_path / "a.log", tmp_path / "b.log"]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    document = MergedDocument([str(path) for path in paths])
    document.filter(Filter(levels=frozenset("W")))
    until(lambda: document.view().lines == 400 and document.filtered.at_end)
    exporting = document.export(str(tmp_path / "out"))
    ended(exporting)
    assert (tmp_path / "out").read_bytes() == b"".join(line for line in lines if line.startswith(b"W"))
    document.close()


def test_all_files_are_searched_each_with_its_count_and_first_hit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hay\nNeedle\nneedle needle\n")
    (tmp_path / "b").write_bytes(b"hay\n" * 100)
    (tmp_path / "c").write_bytes(b"\n\nneedle without end")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "fifo")
    paths = [str(tmp_path / name) for name in ("a", "b", "c", "link", "fifo", "gone")]
    search = SearchAll(paths, Query("needle"))
    until(lambda: search.view().finished)
    view = search.view()
    assert view.files[:2] == (FileHits(paths[0], 2, 1), FileHits(paths[2], 1, 2))
    assert [hits.cause for hits in view.files[2:]] == ["not a regular file"] * 2 + ["no such file or directory"]
    assert (view.count, view.searched, view.total, view.cause) == (3, 6, 6, "")


def test_an_expression_that_explodes_on_one_of_all_files_costs_that_file_alone(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 200 + b"\n")
    (tmp_path / "b").write_bytes(b"aab\n")
    monkeypatch.setattr(stripes, "PIECE_S", 0.05)
    monkeypatch.setattr(search_all_child.select, "select", lambda *_: ([], [], []))
    said: list[dict[str, object]] = []
    monkeypatch.setattr(search_all_child, "say", lambda **told: said.append(told))
    asked = Query("(a+)+b", regex=True).asked
    search_all_child.run({"paths": [str(tmp_path / "a"), str(tmp_path / "b")], "search": asked})
    assert [(told["count"], bool(told["cause"])) for told in said[:2]] == [(0, True), (1, False)]
    assert said[2] == {"finished": True}


def test_a_broken_expression_is_said_of_all(tmp_path: Path) -> None:
    broken = SearchAll([str(tmp_path / "a")], Query("(", regex=True))
    until(lambda: broken.view().cause)
    assert "not a regular expression" in broken.view().cause


def test_a_stopped_search_of_all_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 200 + b"\n")
    search = SearchAll([str(tmp_path / "a")] * 50, Query("(a+)+b", regex=True))
    child = search._child
    assert child is not None
    search.stop()
    until(lambda: child.returncode is not None)
    assert (search.view().cause, search.view().finished) == ("", False)
