"""How often a followed log is drawn over a slow line; and short names of merged files, and of exports."""

from __future__ import annotations

import math

import pytest
from rich.cells import cell_len

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchdoctor.widgets.log_export import name_for
from torchdoctor.widgets.log_pace import DEBT_S, SHARE, Pace
from torchdoctor.widgets.log_sources import NAME, labels


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_frames_of_any_size_keep_within_the_budget_and_use_it() -> None:
    for frame in (500, 11_000, 40_000):
        clock = Clock()
        pace, sent = Pace(40_960, clock), 0
        for tick in range(1, 5 * 60):
            clock.now = tick / 5
            if pace.ready:
                pace.spend(frame)
                sent += frame
        assert sent <= SHARE * 40_960 * 60 + frame
        assert sent >= min(5 * frame * 59, 0.8 * SHARE * 40_960 * 60)


def test_keys_are_never_refused_and_owe_at_most_two_seconds() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    for _ in range(1000):
        pace.spend(10_000)
    assert not pace.ready
    clock.now = DEBT_S + 0.001
    assert pace.ready


def test_a_local_terminal_has_no_budget() -> None:
    pace = Pace()
    pace.spend(10**12)
    assert pace.ready
    assert not pace.limited


@pytest.mark.parametrize(
    ("environ", "slow", "expected"),
    [({}, False, math.inf), ({"SSH_CONNECTION": "1 2 3 4"}, False, 40_960), ({"SSH_CONNECTION": "1"}, True, 4096)],
)
def test_the_line_decides(environ: dict[str, str], slow: bool, expected: float) -> None:
    assert decide(Settings(slow=slow), environ).bytes_s == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ()),
        (["stderr.log", "stdout.log"], ("a stderr", "b stdout")),
        (["0/stderr.log", "1/stderr.log"], ("a 0", "b 1")),
        (["0/stderr.log", "stdout.log", "1/stderr.log"], ("a 0/stderr", "b stdout  ", "c 1/stderr")),
        (["a very long name of a file that goes on.log", "b.log"], ("a that goes on", "b b           ")),
        (["\x1b]52;c;x.log", "ä.log"], ("a \\x1b]52;c;x", "b ä          ")),
    ],
)
def test_files_of_a_merge_are_told_apart_by_what_differs(names: list[str], expected: tuple[str, ...]) -> None:
    made = labels(names)
    assert made == expected
    assert len({cell_len(name) for name in made}) <= 1
    assert all(cell_len(name) <= NAME + 2 for name in made)


def test_an_export_has_a_harmless_name() -> None:
    assert name_for("/x/stderr.log", 0.5).startswith("stderr-")
    assert name_for("/x/stderr.log", 0.5).endswith("-50.log")
    hostile = name_for("/x/..\x1b]52;c;eA==\x07 \u202e ä.l g", 0.0)
    assert hostile.isascii()
    assert hostile.isprintable()
    assert "/" not in hostile
    assert not hostile.startswith(".")
