"""A trace's events are the same whatever the pieces that it arrives in, and none waits for what comes after it."""

from __future__ import annotations

import pytest
from trace_files import phase, read, record, trace

from torchprobes.compilelog.events import Event, Loss, Lost, PhaseBegan, PhaseEnded, TorchSeen
from torchprobes.compilelog.trace import TraceReader

VERSION = record("torch_version", payload='{"pytorch_version": "2.13.0"}', compile_id=None)
THREE = VERSION + phase("dynamo", "B", 1.7e15) + phase("gc é \U0001f600", "E", 1.7e15 + 2)


def _lost(events: list[Event]) -> list[tuple[Loss, int, int]]:
    return [(e.loss, e.source.place.offset, e.source.place.size) for e in events if isinstance(e, Lost)]


@pytest.mark.parametrize("piece", [4093, 65536])
def test_the_same_events_in_pieces_of_any_size(piece: int) -> None:
    data = trace("03_graph_breaks")
    events = read(data, len(data))
    assert read(data, piece) == events
    assert len(events) > 900
    assert _lost(events) == []


def test_the_same_events_byte_by_byte() -> None:
    data = trace("10_fullgraph_error")
    events = read(data, len(data))
    assert read(data, 1) == events
    assert _lost(events) == []


def test_the_same_events_at_every_cut() -> None:
    whole = read(THREE)
    assert [type(event) for event in whole] == [TorchSeen, PhaseBegan, PhaseEnded]
    for cut in range(len(THREE) + 1):
        reader = TraceReader("trace.log")
        assert reader.feed(THREE[:cut]) + reader.feed(THREE[cut:]) == whole
        assert reader.offset == len(THREE)


def test_a_record_is_told_as_soon_as_its_last_byte_is_there() -> None:
    reader = TraceReader("trace.log")
    assert reader.feed(THREE[: len(VERSION) - 1]) == []
    assert [type(event) for event in reader.feed(THREE[len(VERSION) - 1 : len(VERSION)])] == [TorchSeen]
    plain = record("dynamo_start", {"stack": []})
    assert len(reader.feed(plain)) == 1


def test_half_a_record_is_told_once_and_completed_later() -> None:
    reader = TraceReader("trace.log")
    cut = len(THREE) - 40
    assert len(reader.feed(THREE[:cut])) == 2
    at = len(VERSION) + len(phase("dynamo", "B", 1.7e15))
    assert _lost(reader.finish()) == [(Loss.PARTIAL, at, cut - at)]
    assert reader.finish() == []
    assert [type(event) for event in reader.feed(THREE[cut:])] == [PhaseEnded]
    assert reader.finish() == []


def test_bytes_that_are_no_record_are_told_as_one_loss_and_the_next_record_is_read() -> None:
    junk = b"Killed\n\tindented\n[rank0]:V1123 06:19:45.02[rank1]:V1123 06:19\n\nVery much\nV1123 nothing\n"
    data = VERSION + junk + VERSION
    events = read(data)
    assert _lost(events) == [(Loss.TORN, len(VERSION), len(junk))]
    assert [type(event) for event in events] == [TorchSeen, Lost, TorchSeen]
    assert read(data, 1) == read(data, 7) == events


def test_junk_at_the_end_is_told_by_finish() -> None:
    reader = TraceReader("trace.log")
    reader.feed(VERSION + b"Segmentation fault (core dumped)\n")
    assert _lost(reader.finish()) == [(Loss.TORN, len(VERSION), 33)]
    assert reader.finish() == []
    assert [type(event) for event in reader.feed(VERSION)] == [TorchSeen]


def test_a_record_without_a_fitting_sum_ends_where_the_next_begins() -> None:
    other = VERSION.replace(b'"has_payload": "', b'"has_payload": "0')[:-1] + b"\n"
    torn = VERSION.replace(b"2.13.0", b"2.13.1")
    reader = TraceReader("trace.log")
    assert reader.feed(torn) == []
    assert [event.version for event in reader.feed(other) if isinstance(event, TorchSeen)] == ["2.13.1"]
