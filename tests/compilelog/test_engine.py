"""The engine: a child that reads a run as it is written, and snapshots that end as one reading of all would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from replay import recorded, unpacked, write  # pyright: ignore[reportMissingImports]

from torchprobes.compilelog import engine as engines
from torchprobes.compilelog import gather
from torchprobes.compilelog.engine import Engine, LogsView, explain
from torchprobes.compilelog.explanation import Explanation
from torchprobes.compilelog.gather import Gatherer
from torchprobes.compilelog.stream import Stream

HEAD = "W1123 06:15:{second:02}.000000 {pid} torch/_dynamo/convert_frame.py:1994] [0/8] "
LIMIT = (
    "torch._dynamo hit config.recompile_limit (8)",
    "   function: '{name}' (/w/storm.py:5)",
    "   last reason: 0/7: tensor 'x' size mismatch at index 0. expected 9, actual 10",
)
FREE = frozenset({"revision", "notes"})


def limit(name: str, pid: int = 19000, second: int = 49) -> str:
    """torch's words when a function has been compiled too often."""
    return "".join(f"{HEAD}{line}\n".format(second=second, pid=pid, name=name) for line in LIMIT)


def same(one: Explanation, other: Explanation) -> list[str]:
    """Fields in which two explanations differ."""
    return [
        f.name for f in fields(Explanation) if f.name not in FREE and getattr(one, f.name) != getattr(other, f.name)
    ]


def filled(view: LogsView) -> set[str]:
    """Files of the tree, without those of graphs that are not written yet."""
    return {file.name for file in view.tree.files if file.size_bytes or "/model__" not in file.name}


def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
    return found


@pytest.fixture
def follow() -> Iterator[Callable[[Path], Engine]]:
    started: list[Engine] = []

    def start(root: Path) -> Engine:
        started.append(Engine(str(root)).start())
        return started[-1]

    yield start
    for engine in started:
        engine.stop()


def limits(view: LogsView) -> list[str]:
    return [one.function for one in view.explanation.limits or ()]


@pytest.mark.parametrize("case", ["05_inductor_fail_suppress.debug_only", "08_ddp_gloo.debug_only"])
def test_a_run_that_is_followed_is_explained_as_one_that_is_read_at_once(case: str, follow, tmp_path: Path) -> None:
    writes, root = recorded(case, tmp_path / "recorded"), tmp_path / "root"
    engine = follow(root)
    assert until(lambda: engine.view().revision)
    assert engine.view().tree.cause == "not there yet"
    write(writes, root, speed=40.0)
    once = explain(str(root))
    until(lambda: not same(engine.view().explanation, once))
    assert once.graphs
    assert once.bytes_read == once.bytes_there > 0
    names = {one.path for one in writes if one.data is not None}
    until(
        lambda: (
            {file.name for file in engine.view().tree.files if file.size_bytes or "/model__" not in file.name} == names
        )
    )
    view = engine.view()
    shown = [piece for node in view.groups for one in node.compiles for piece in one.pieces]
    assert len(shown) == len(set(shown))
    in_folders = {piece.path for piece in shown if piece.size is None}
    assert in_folders == {str(root / name) for name in names if "/model__" in name}


@pytest.mark.parametrize(
    "case", ["09_sigkill_mid_compile.debug_only", "x2.6.0_recompile_storm.debug_only", "x2.1.2_graph_breaks.full"]
)
def test_a_run_that_is_over_is_explained_alike_by_one_that_follows_and_by_one_that_reads_once(
    case: str, tmp_path: Path
) -> None:
    unpacked(case, tmp_path)
    once, gatherer = explain(str(tmp_path)), Gatherer(str(tmp_path))

    def alike() -> bool:
        return not gatherer.step(0.05) and not same(gatherer.explanation(time.time()), once)

    until(alike)
    assert gatherer.explanation(time.time()).notes == once.notes


def test_snapshots_only_add_and_what_did_not_change_is_the_same_object_until_the_child_dies(
    follow, tmp_path: Path
) -> None:
    log = tmp_path / "stderr.log"
    (tmp_path / "x.txt").write_text("x")
    engine, seen = follow(tmp_path), []
    for number in range(3):
        with log.open("a") as file:
            file.write(limit(f"f{number}"))
        until(lambda count=number: len(limits(engine.view())) == count + 1)
        seen.append(engine.view())
    assert [limits(view) for view in seen] == [["f0"], ["f0", "f1"], ["f0", "f1", "f2"]]
    assert sorted(view.revision for view in seen) == [view.revision for view in seen]
    first, last = seen[0], seen[-1]
    assert first.explanation.limits
    assert last.explanation.limits
    assert last.explanation.limits[0] is first.explanation.limits[0]
    assert last.tree.files[1] is first.tree.files[1]
    engine._child.kill()
    view = until(lambda: engine.view() if engine.view().cause else None)
    assert view.cause == "the reader of logs ended: SIGKILL"
    assert limits(view) == ["f0", "f1", "f2"], "what was found stays"


def test_a_truncated_file_takes_its_events_with_it_and_a_replaced_one_does_not(follow, tmp_path: Path) -> None:
    log, other = tmp_path / "stderr.log", tmp_path / "other.log"
    log.write_text(limit("old"))
    other.write_text(limit("other", pid=7))
    engine = follow(tmp_path)
    until(lambda: sorted(limits(engine.view())) == ["old", "other"])
    log.write_text(limit("new", second=50))
    until(lambda: sorted(limits(engine.view())) == ["new", "other"])
    assert any("was truncated" in note for note in engine.view().explanation.notes)
    other.rename(tmp_path / "other.1")
    other.write_text(limit("next", pid=7))
    until(lambda: sorted(limits(engine.view())) == ["new", "next", "other"])


def test_a_reader_that_fails_says_so_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").write_text("bad\n")
    (tmp_path / "b.log").write_text(limit("f"))
    feed = Stream.feed

    def failing(self: Stream, data: bytes) -> Any:
        if data.startswith(b"bad"):
            monkeypatch.setattr(self._reader, "feed", lambda _: json.loads("{"))
        return feed(self, data)

    monkeypatch.setattr(Stream, "feed", failing)
    found = explain(str(tmp_path))
    assert [one.function for one in found.limits or ()] == ["f"]
    assert any(note.startswith(f"{tmp_path}/a.log cannot be read further: JSONDecodeError") for note in found.notes)


def test_a_child_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHILD", str(tmp_path / "missing.py"))
    engine = Engine(str(tmp_path)).start()
    view = until(lambda: engine.view() if engine.view().cause else None)
    assert view.cause == "the reader of logs ended: exit code 2"
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    engine = Engine(str(tmp_path)).start()
    view = until(lambda: engine.view() if engine.view().cause else None)
    assert view.cause == "the reader of logs cannot start: No such file or directory"


def test_stopping_says_nothing_and_ends_the_child(follow, tmp_path: Path) -> None:
    engine = follow(tmp_path)
    until(lambda: engine.view().revision)
    child = engine._child
    engine.stop()
    until(lambda: child.poll() is not None)
    assert child.returncode == -signal.SIGKILL
    assert engine.view().cause == ""


def test_the_child_ends_with_its_reader_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "stderr.log").write_text(limit("f"))
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-I", "-B", engines.CHILD, str(tmp_path)], stdin=pipe, stdout=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.read(4)
    child.stdin.close()
    assert child.wait(20) == 0
    child.stdout.close()
    assert os.listdir(tmp_path) == ["stderr.log"]


def test_hostile_bytes_hide_nothing_that_stands_between_them(tmp_path: Path) -> None:
    noise = b"\x00\xff\x1b]52;c;AAAA\x07" * 50 + b"\n" + b"x" * 10_000_000 + b"\n" + b"50%|##| 1/2\r" * 500
    (tmp_path / "stderr.log").write_bytes(noise + b"\n" + limit("f").encode() + b"\xe2\x82")
    found = explain(str(tmp_path))
    assert [one.function for one in found.limits or ()] == ["f"]
    assert found.bytes_read == found.bytes_there


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_wherever_a_look_cuts_the_bytes_the_explanation_is_the_same(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ("é" * 20 + "\n").join([limit(f"f{number}", second=number) for number in range(5)])
    (tmp_path / "stderr.log").write_text(text, encoding="utf-8")
    whole = explain(str(tmp_path))
    monkeypatch.setattr(gather, "TEXT_SLICE", size)
    assert same(explain(str(tmp_path)), whole) == []
    assert [one.function for one in whole.limits or ()] == [f"f{number}" for number in range(5)]


def test_an_answer_that_is_wanted_in_time_says_how_far_it_came(tmp_path: Path) -> None:
    (tmp_path / "stderr.log").write_text(limit("f") * 1000)
    found = explain(str(tmp_path), deadline_s=0.0)
    assert found.bytes_read == 0 < found.bytes_there
    assert any(note.startswith("read 0 B of ") and note.endswith(" in 0 s") for note in found.notes)


def test_a_root_that_is_missing_and_one_that_is_one_file(tmp_path: Path) -> None:
    nothing = explain(str(tmp_path / "missing"))
    assert (nothing.graphs, nothing.breaks, nothing.limits) == (None, None, None)
    (tmp_path / "any.txt").write_text(limit("f"))
    assert [one.function for one in explain(str(tmp_path / "any.txt")).limits or ()] == ["f"]


@pytest.mark.parametrize(
    ("end", "code", "killed_by"),
    [
        ('{"exit_code": 3, "signal": null}', 3, ""),
        ('{"exit_code": null, "signal": "SIGKILL"}', None, "SIGKILL"),
        ('{"exit_code": true, "signal": 9}', None, ""),
        ("[" * 100_000, None, ""),
        ('{"other": 1}', None, ""),
    ],
)
def test_the_end_of_a_capture(tmp_path: Path, end: str, code: int | None, killed_by: str) -> None:
    (tmp_path / "stderr.log").write_text(limit("f"))
    (tmp_path / "end.json").write_text(end)
    found = explain(str(tmp_path))
    assert (found.exit_code, found.killed_by) == (code, killed_by)


def test_a_file_that_may_not_be_read_is_said_with_the_command_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: str, links: bool = True) -> int:
        raise PermissionError(13, "Permission denied", path)

    trace = tmp_path / "dedicated_log_torch_trace_abcdefgh.log"
    trace.write_bytes(b"V")
    monkeypatch.setattr("torchprobes.compilelog.logfile.open_regular", denied)
    (note,) = [note for note in explain(str(tmp_path)).notes if "permission denied" in note]
    assert note.startswith(f"{trace}: permission denied: only ")
    assert note.endswith(f"torchdoctor logs {trace}")


def test_files_that_are_left_out_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.compilelog.walk.FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.bin").touch()
    assert "2 files left out: there are too many" in explain(str(tmp_path)).notes


def test_rows_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    (tmp_path / "stderr.log").write_text("".join(limit(f"f{number}") for number in range(30)))
    gatherer = Gatherer(str(tmp_path))
    gatherer.once()
    found = gatherer.explanation(time.time(), limit=10)
    assert (len(found.limits or ()), found.left_out) == (10, 20)
    assert len(replace(found).limits or ()) < len(gatherer.explanation().limits or ()) == 30


def test_many_files_are_all_read(tmp_path: Path) -> None:
    for number in range(300):
        folder = tmp_path / f"node{number // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.log").write_text(limit(f"f{number}", pid=1000 + number) if number % 10 == 0 else "words\n")
    gatherer = Gatherer(str(tmp_path), hold=30)
    deadline = time.monotonic() + 30
    while gatherer.step(0.05) or len(gatherer.explanation().limits or ()) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert {one.function for one in gatherer.explanation().limits or ()} == {f"f{n}" for n in range(0, 300, 10)}
