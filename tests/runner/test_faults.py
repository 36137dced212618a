"""Whatever a payload does, it ends as `error` with its cause in words, hurts no neighbour and leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import FAULTS, finish, left_of, make, probe

from torchprobes.model import Verdict
from torchprobes.reports import write
from torchprobes.runner.check import Options

SHORT = Options(device="cpu", slots=4, grace_s=0.3, limits={}, kill_s=3.0)

CAUSES = [
    ("raises", r"ValueError: bad batch"),
    ("exits_silently", r"exited with 0 without saying its end"),
    ("exits_3", r"exited with 3"),
    ("segfaults", r"SIGSEGV: a segmentation fault"),
    ("killed", r"SIGKILL"),
    ("broken_json", r"3 of its event lines could not be read"),
    ("leaves_children", r"1 process outlived the probe .*time\.sleep\(600\)"),
    ("leaves_daemon", r"outlived the probe and had to be killed"),
]


def test_every_fault_at_once_is_told_apart_and_hurts_no_neighbour(tmp_path: Path) -> None:
    rows = [probe("sound"), *(probe(fault) for fault, _ in CAUSES)]
    check = make(tmp_path, *rows, options=SHORT)
    results = finish(check)
    assert results["sound"].verdict is Verdict.PASS
    assert results["sound"].figures[0].value == 42.0
    for fault, words in CAUSES:
        assert results[fault].verdict is Verdict.ERROR, results[fault]
        assert re.search(words, results[fault].reason), results[fault].reason
    assert left_of(check.view().run) == []
    stored = write.collect(check._run).results
    assert [r.name for r in stored] == [row.name for row in rows], "request order, one line each"


def test_last_lines_are_kept_as_evidence(tmp_path: Path) -> None:
    result = finish(make(tmp_path, probe("exits_3"), options=SHORT))["exits_3"]
    assert any("the last words" in e.text for e in result.evidence)


@pytest.mark.parametrize("fault", ["hangs", "hangs_deaf", "stops", "holds_daemon"])
def test_what_hangs_is_ended_at_its_limit_and_the_limit_is_named(tmp_path: Path, fault: str) -> None:
    check = make(tmp_path, probe(fault, limit_s=1.0), options=SHORT)
    result = finish(check)[fault]
    assert result.verdict is Verdict.ERROR
    assert re.search(r"\b1(\.0)? s\b", result.reason), result.reason
    assert left_of(check.view().run) == []


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("floods", Options(device="cpu", grace_s=0.3)),
        ("floods", Options(device="cpu", grace_s=0.3, stream_bytes=1 << 20)),
        ("floods_events", Options(device="cpu", grace_s=0.3, stream_bytes=4 << 20)),
        ("one_endless_line", Options(device="cpu", grace_s=0.3, stream_bytes=8 << 20)),
    ],
)
def test_an_endless_stream_ends_its_probe(tmp_path: Path, fault: str, options: Options) -> None:
    """The first is the real one: ten million lines against the real limit."""
    check = make(tmp_path, probe(fault, limit_s=50.0), options=options)
    result = finish(check)[fault]
    assert result.verdict is Verdict.ERROR
    assert re.search(r"lines|MiB", result.reason), result.reason
    assert left_of(check.view().run) == []


def test_a_chain_of_sessions_that_never_ends_is_ended(tmp_path: Path) -> None:
    check = make(tmp_path, probe("fork_storm"), options=SHORT)
    assert finish(check)["fork_storm"].verdict is Verdict.ERROR
    assert left_of(check.view().run) == []


def test_a_storm_of_sessions_is_ended_to_the_last_process(tmp_path: Path) -> None:
    check = make(tmp_path, probe("storm_of_sessions", limit_s=1.0), options=SHORT)
    result = finish(check)["storm_of_sessions"]
    assert result.reason.startswith("no end within its limit")
    assert "could not be killed" not in result.reason
    assert left_of(check.view().run) == []


def test_a_payload_that_closes_its_files_ends_all_the_same(tmp_path: Path) -> None:
    check = make(tmp_path, probe("closes_its_files"), options=SHORT)
    assert finish(check)["closes_its_files"].verdict is Verdict.ERROR
    assert left_of(check.view().run) == []


def test_the_faults_are_all_tried() -> None:
    faults = set(re.findall(r"^def (\w+)\(\):", FAULTS.read_text(), re.MULTILINE))
    tests = Path(__file__).parent.glob("test_*.py")
    tried = {name for test in tests for name in re.findall(r'"(\w+)"', test.read_text())}
    assert faults - tried == set()
