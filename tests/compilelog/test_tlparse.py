"""tlparse in a child: a program with its interface stands in for it; the real one too, where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from torchprobes.compilelog.tlparse import TlparseError, find, html, traces

TRACE = "dedicated_log_torch_trace_c0hjpt90.log"
GOOD = '[ "$2" = -o ] && [ "$4" = --no-browser ] && mkdir -p "$3" && cat "$1" > "$3/index.html"'


def program(folder: Path, body: str) -> str:
    path = folder / "tlparse"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / TRACE
    path.write_text('V1123 06:12:11.791000 13688 torch/_dynamo/utils.py:2350] {"str": ["a.py", 0]}\n')
    return path


def test_it_makes_its_html_in_a_new_folder(tmp_path: Path, trace: Path) -> None:
    index = html(str(trace), str(tmp_path / "new" / "out"), program(tmp_path, GOOD))
    assert index == str(tmp_path / "new" / "out" / "index.html")
    assert Path(index).read_text() == trace.read_text()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, trace: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    with pytest.raises(TlparseError, match="is there already"):
        html(str(trace), str(mine), program(tmp_path, GOOD))
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("body", "limits", "why"),
    [
        ("echo 'Error: bad trace' >&2; echo 'Stack backtrace:' >&2; exit 1", {}, "ended with 1: Error: bad trace"),
        ("exit 0", {}, "ended with 0: it said nothing"),
        ('mkdir "$3"; exec sleep 600', {"deadline_s": 0.3}, "took more than 0.3 s"),
        ('mkdir "$3"; head -c 3000000 /dev/zero > "$3/x"; exec sleep 600', {"most_bytes": 1 << 20}, "more than 1 MiB"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    tmp_path: Path, trace: Path, body: str, limits: dict[str, float], why: str
) -> None:
    with pytest.raises(TlparseError, match=why):
        html(str(trace), str(tmp_path / "out"), program(tmp_path, body), **limits)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == [TRACE, "tlparse"]


def test_a_program_that_is_none_is_one_line(tmp_path: Path, trace: Path) -> None:
    with pytest.raises(TlparseError, match="No such file"):
        html(str(trace), str(tmp_path / "out"), str(tmp_path / "nothing"))


def test_traces_are_found_below_a_folder_or_named(tmp_path: Path, trace: Path) -> None:
    (tmp_path / "stderr.log").write_text("hello\n")
    assert traces(str(tmp_path)) == (str(trace),)
    assert traces(str(trace)) == (str(trace),)
    assert traces(str(tmp_path / "stderr.log")) == ()
    assert traces(str(tmp_path / "none")) == ()


def test_it_is_found_beside_the_target_or_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "no"))
    monkeypatch.setenv("PATH", str(tmp_path / "no"))
    assert find() == ""
    place = program(tmp_path, GOOD)
    assert find(str(tmp_path / "python")) == place
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() == place


@pytest.mark.skipif(not find(), reason="tlparse is not installed")
def test_the_real_one_has_this_interface(tmp_path: Path, trace: Path) -> None:
    assert Path(html(str(trace), str(tmp_path / "out"), find())).stat().st_size > 0
