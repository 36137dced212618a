"""A trace that nobody would write: what cannot be used is said, what comes after it is read, memory stays bounded."""

from __future__ import annotations

import tracemalloc

import pytest
from trace_files import phase, read, record, trace

from torchprobes.compilelog.events import (
    Artefact,
    CompileEnded,
    CompileStarted,
    Event,
    Line,
    Loss,
    Lost,
    PhaseBegan,
    TorchSeen,
)
from torchprobes.compilelog.trace import TraceReader
from torchprobes.compilelog.trace.cutter import MAX_RECORD

VERSION = record("torch_version", payload='{"pytorch_version": "2.13.0"}', compile_id=None)
HEAD = b"V1123 06:12:11.791000 4242 torch/_dynamo/utils.py:2350] "
MIB = 1 << 20


def _broken(data: bytes) -> str:
    """The words of the one loss in `data`; the record after it is read."""
    events = read(data + VERSION)
    lost = [event for event in events if isinstance(event, Lost)]
    assert [event.loss for event in lost] == [Loss.BROKEN]
    assert lost[0].source.place.offset == 0
    assert lost[0].source.place.size == len(data)
    assert isinstance(events[-1], TorchSeen)
    return lost[0].words


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b'{"dynamo_start"}',
        b'{"dynamo_start": {"stack": [{"line": "one"}]}}',
        b'{"dynamo_start": {"stack": 1}}',
        b'{"dynamo_start": null}',
        b'{"compilation_metrics": {"graph_op_count": "many"}}',
        b'{"compilation_metrics": {"start_time": 1e999}}',
        b'{"str": ["a.py"]}',
        b'{"str": ["a.py", 99999999999999999999999999]}',
        b'{"compilation_metrics": {"graph_op_count": 99999999999999999999999999}}',
        b'{"dynamo_start": {}, "frame_id": "0"}',
        b'{"dynamo_start": {"stack": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b'{"dynamo_start": {"stack": []}, "x": "\\',
        b'{"dynamo_start": {"stack": []}, "x": "\xff\xfe"',
    ],
    ids=range(15),
)
def test_json_that_is_not_what_it_should_be_is_said_to_be_broken(body: bytes) -> None:
    assert _broken(HEAD + body + b"\n")


def test_a_payload_that_is_not_what_it_should_be_is_said_to_be_broken() -> None:
    assert "chromium_event" in _broken(record("chromium_event", {}, "{"))
    assert "chromium_event" in _broken(record("chromium_event", {}, '{"name": 3, "ts": "now", "ph": "B"}'))
    assert "no line says where" in _broken(record("dynamo_graph_break_reason", payload="nothing"))
    assert "without an exception" in _broken(record("dynamo_error", payload="nothing \n  at all"))
    assert _broken(record("recompile_reasons", payload="[\n1,\n2\n]"))


def test_json_of_python_alone_is_read() -> None:
    said = {
        "co_name": "f\ud800",
        "entire_frame_compile_time_s": 1.0,
        "graph_op_count": 3,
        "inductor_config": float("nan"),
    }
    (ended,) = read(record("compilation_metrics", said))
    assert isinstance(ended, CompileEnded)
    assert ended.ops == 3


def test_a_lone_surrogate_in_a_stack_goes_no_further() -> None:
    frame = {"line": 1, "name": "f\ud800", "filename": 0, "loc": "\ud800"}
    (start,) = read(record("str", ["a\ud800.py", 0]) + record("dynamo_start", {"stack": [frame]}))
    assert isinstance(start, CompileStarted)
    assert start.stack == (Line("a?.py", 1, "f?", "?"),)


@pytest.mark.parametrize("number", [7, -1, -5, None, 1 << 40])
def test_strings_that_were_never_told_have_no_name(number: int | None) -> None:
    stack = [{"line": -3, "name": None, "filename": number, "loc": None}]
    (start,) = read(record("str", ["a.py", 0]) + record("dynamo_start", {"stack": stack}))
    assert isinstance(start, CompileStarted)
    assert (start.stack[0].file, start.stack[0].line, start.stack[0].function) == ("", -3, "")


def test_nul_and_bytes_that_are_no_utf8_are_kept_apart() -> None:
    data = record("new_artefact", payload="a\0b\rc").replace(b"\rc", b"\r\xff\xfe")
    events = read(b"\0\xff\0" * 100 + b"\n" + data + VERSION)
    assert [type(event) for event in events] == [Lost, Artefact, TorchSeen]


def _in_pieces(parts: list[bytes]) -> tuple[list[Event], int]:
    """The events of a trace in these parts, and the most memory that reading took, in MiB."""
    reader = TraceReader("trace.log")
    tracemalloc.start()
    events = [event for part in parts for event in reader.feed(part)]
    most = tracemalloc.get_traced_memory()[1] // MIB
    tracemalloc.stop()
    return events, most


def test_a_payload_of_10_mb_is_an_artefact_of_that_size() -> None:
    line = b"\t" + b"x" * (MIB - 2) + b"\n"
    head = HEAD + b'{"new_artefact": {}, "has_payload": "%s"}\n' % (b"0" * 32)
    events, most = _in_pieces([head, *[line] * 10, VERSION])
    assert [type(event) for event in events] == [Artefact, TorchSeen]
    assert events[0].source.place.size == 10 * MIB
    assert most < 4 * MAX_RECORD // MIB


def test_a_line_of_30_mb_is_one_loss() -> None:
    events, most = _in_pieces([HEAD + b'{"dynamo_start": {"', *[b"x" * MIB] * 30, b"\n" + VERSION])
    assert [type(event) for event in events] == [Lost, TorchSeen]
    assert events[0].source.place.size > 30 * MIB
    assert most < 4 * MAX_RECORD // MIB


def test_20_mb_of_lines_that_are_no_records_is_one_loss() -> None:
    events, most = _in_pieces([*[b"x\n" * (MIB // 2)] * 20, VERSION])
    assert [(type(event), event.source.place.size) for event in events] == [
        (Lost, 20 * MIB),
        (TorchSeen, len(VERSION)),
    ]
    assert most < 8


def test_more_strings_and_names_than_anybody_writes_are_bounded() -> None:
    many = b"".join(record("str", ["x" * 5000, n], compile_id=None) for n in range(2100))
    names = b"".join(record(f"name_{n}", {}) for n in range(1100))
    reader = TraceReader("trace.log")
    assert reader.feed(many + names) == []
    assert len(reader.counted.names) <= 1001
    assert sum(reader.counted.names.values()) == 3200


def test_a_phase_with_a_long_name_is_cut() -> None:
    (began,) = read(phase("x" * 5000, "B", 1.0))
    assert isinstance(began, PhaseBegan)
    assert len(began.name) == 256


def test_no_damage_makes_the_reader_raise() -> None:
    data = trace("10_fullgraph_error")
    for n in range(1, 20):
        at = len(data) * n // 20
        for damage in (b"", b"\0", b"\n", b"\nV1123 ", b'"', b"\xff", b"[" * 50):
            events = read(data[:at] + damage + data[at + 13 :])
            assert len(events) > 5
