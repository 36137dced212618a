"""What comes from a payload is hostile until read: event files, and the stdout of a launcher prefix."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from torchprobes.model import Outcome
from torchprobes.runner.events import Collector, EventTail
from torchprobes.runner.wire import Wire

MARK = b"\x1e0123 "


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def readings_of(folder: Path) -> tuple[list[str], int]:
    """Names of the figures and facts in a folder of event files, and how many lines were broken."""
    tail, said = EventTail(folder), Collector()
    for events in tail.close():
        said.take(events)
    readings = said.readings("t.t", "cpu", Outcome(ending="ended"), ())
    return [r.name for r in (*readings.figures, *readings.facts)], tail.broken


def test_a_line_that_arrives_in_pieces_is_read_once_it_is_whole(tmp_path: Path) -> None:
    tail, file = EventTail(tmp_path), tmp_path / "1.jsonl"
    whole = line(ev="progress", text="half")
    for end in range(1, len(whole)):
        file.write_bytes(whole[:end])
        assert tail.poll() == []
    file.write_bytes(whole)
    assert [e.text for e in tail.poll()] == ["half"]
    assert tail.broken == 0


@pytest.mark.parametrize(
    "bad",
    [
        b"{\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"ev": "figure", "n": "many"}\n',
        b'{"ev": "fact", "value": {"a": 1}}\n',
        b'{"ev": "figure", "name": "a", "spread": 1e999}\n' + b"no\n",
        b"x" * 3_000_000 + b"\n",
        b"\0" * 10 + b"\n",
        b"null\n",
    ],
)
def test_a_broken_line_is_counted_and_costs_no_other(tmp_path: Path, bad: bytes) -> None:
    good = line(ev="fact", name="before", value=1), line(ev="fact", name="after", value=2, unknown=[{}])
    (tmp_path / "1.jsonl").write_bytes(good[0] + bad + good[1])
    names, broken = readings_of(tmp_path)
    assert [name for name in names if name in ("before", "after")] == ["before", "after"]
    assert broken == 1 or (broken == 2 and bad.count(b"\n") == 2)


def test_what_is_not_a_plain_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jsonl")
    (tmp_path / "2.jsonl").mkdir()
    (tmp_path / "secret").write_bytes(line(ev="fact", name="stolen", value=1))
    (tmp_path / "3.jsonl").symlink_to(tmp_path / "secret")
    (tmp_path / "4.jsonl").write_bytes(line(ev="fact", name="own", value=1))
    assert readings_of(tmp_path) == (["own"], 0)


def test_a_flood_of_events_is_bounded_in_memory_and_said(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(line(ev="fact", name="f", value=1) * 30_000)
    tail, said = EventTail(tmp_path), Collector()
    for events in tail.close():
        said.take(events)
    readings = said.readings("t.t", "cpu", Outcome(ending="ended"), ())
    assert len(readings.facts) == 20_000
    assert [e.text for e in readings.evidence] == ["10000 events beyond 20000 were not kept"]


def test_an_artifact_outside_of_the_probe_is_not_linked(tmp_path: Path) -> None:
    rows = [line(ev="artifact", kind="k", path=p) for p in ("../../x", "/etc/passwd", "artifacts/ok.txt")]
    (tmp_path / "1.jsonl").write_bytes(b"".join(rows))
    tail, said = EventTail(tmp_path), Collector()
    said.take(tail.poll())
    evidence = said.readings("t.t", "cpu", Outcome(ending="ended"), ()).evidence
    assert [e.artifact for e in evidence] == [None, None, "artifacts/ok.txt"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_output_and_records_are_told_apart_however_they_are_cut(tmp_path: Path, size: int) -> None:
    (tmp_path / "events").mkdir()
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    wire = Wire(MARK, str(tmp_path), out)
    event, blob = line(ev="fact", name="a", value=1), os.urandom(5000)
    stream = (
        b"no newline" + MARK + b"P " + b'{"pid": 7}\n' + b"\x1e01 almost a mark\n" + MARK + b"E 7.jsonl " + event
        + MARK + b"E ../evil " + event + MARK + b"A ../../evil aGk=\n" + MARK + b"A logs/b.bin "
        + base64.b64encode(blob) + b"\n" + MARK + b"A x !!!\n" + MARK + b"? what\n"
        + MARK + b'X {"code": 3, "signal": null, "left_behind": []}\n' + b"the end\x1e0"
    )  # fmt: skip
    for start in range(0, len(stream), size):
        wire.feed(stream[start : start + size])
    wire.close()
    assert (tmp_path / "out").read_bytes() == b"no newline\x1e01 almost a mark\nthe end\x1e0"
    assert (tmp_path / "events" / "7.jsonl").read_bytes() == event
    assert (tmp_path / "artifacts" / "logs" / "b.bin").read_bytes() == blob
    assert (wire.main, wire.exit) == (7, {"code": 3, "signal": None, "left_behind": []})
    assert wire.broken == 4
    assert sorted(p.name for p in tmp_path.rglob("*evil*")) == []
