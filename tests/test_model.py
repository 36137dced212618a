"""The vocabulary: what is written can be read again, by this reader and by an older one."""

from __future__ import annotations

import msgspec
import pytest

from torchprobes.cells import Absent, CellState, throttle_words
from torchprobes.model import Event, Figure, Outcome, Readings, Result, Tier, Verdict, worst
from torchprobes.samples import GpuSample


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], Verdict.SKIP),
        ([Verdict.PASS, Verdict.SKIP], Verdict.PASS),
        ([Verdict.PASS, Verdict.DEGRADED], Verdict.DEGRADED),
        ([Verdict.DEGRADED, Verdict.UNSURE], Verdict.UNSURE),
        ([Verdict.UNSURE, Verdict.ERROR], Verdict.ERROR),
        (list(Verdict), Verdict.FAIL),
    ],
)
def test_the_report_takes_the_first_verdict_of_the_order(verdicts: list[Verdict], expected: Verdict) -> None:
    assert worst(verdicts) is expected


def test_known_keys_are_never_left_out_and_unknown_ones_are_ignored() -> None:
    result = Result(
        name="a.b", group="a", tier=Tier.QUICK, device="cpu", verdict=Verdict.PASS, reason="ran", seconds=1.0
    )
    written = msgspec.json.decode(msgspec.json.encode(result))
    assert set(written) == set(Result.__struct_fields__)
    written["from_the_future"] = {"x": 1}
    assert msgspec.json.decode(msgspec.json.encode(written), type=Result) == result


def test_an_absent_cell_says_why_and_comes_back_as_absent() -> None:
    absent = Absent(state=CellState.HUNG, why="no answer from nvmlDeviceGetPowerUsage", code=None, age_s=3.5)
    gpu = GpuSample(index=0, uuid="GPU-1", bus_id="0000:00:06.0", power_w=absent, utilization_percent=0)
    again = msgspec.json.decode(msgspec.json.encode(gpu), type=GpuSample)
    assert again.power_w == absent
    assert again.utilization_percent == 0
    assert msgspec.json.decode(msgspec.json.encode(gpu))["power_w"] == {
        "state": "hung",
        "why": "no answer from nvmlDeviceGetPowerUsage",
        "code": None,
        "age_s": 3.5,
    }


def test_structures_cannot_be_changed() -> None:
    figure = Figure(name="x", value=1.0, unit="s")
    with pytest.raises(AttributeError):
        figure.value = 2.0  # type: ignore[misc]


def test_an_absent_reading_is_none_and_the_last_of_a_name_counts() -> None:
    readings = Readings(
        probe="a.b",
        device="cpu",
        figures=(Figure(name="x", value=1.0, unit="s"), Figure(name="x", value=0.0, unit="s")),
        outcome=Outcome(ending="ended"),
    )
    assert readings.number("x") == 0.0
    assert readings.number("y") is None
    assert readings.fact("x") is None


def test_an_event_with_a_field_of_the_wrong_type_is_broken() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"ev":"figure","n":"many"}', type=Event)


@pytest.mark.parametrize(
    ("bits", "words"),
    [(0, ""), (1, "idle"), (0x44, "power limit, hw thermal"), (0x1001, "idle, 0x1000"), (1 << 40, "0x10000000000")],
)
def test_throttle_reasons_are_words_and_an_unknown_bit_is_not_dropped(bits: int, words: str) -> None:
    assert throttle_words(bits) == words
