"""Which rows stand where: every screen line is reachable, none is shown twice, none is left out."""

from __future__ import annotations

import itertools
import random

import pytest
from rich.cells import cell_len

from torchdoctor.widgets.log_wrap import Layout, Place, cells_of, cuts, window


def layout(*parts: int) -> Layout:
    return Layout(len(parts), parts.__getitem__)


def all_lines(made: Layout) -> list[Place]:
    return [Place(row, part) for row in range(made.rows) for part in range(made.parts(row))]


def random_layouts() -> list[tuple[Layout, int]]:
    made = random.Random(6)
    return [
        (layout(*(made.choice((1, 1, 2, 5, 60)) for _ in range(made.randrange(1, 40)))), made.randrange(1, 30))
        for _ in range(60)
    ]


def test_a_frame_is_the_screen_lines_from_its_top_on() -> None:
    for made, height in random_layouts():
        lines = all_lines(made)
        for at in range(len(lines)):
            assert made.frame(lines[at], height) == lines[at : at + height]


def test_moves_by_screen_lines_are_exact_and_stop_at_both_ends() -> None:
    for made, _ in random_layouts():
        lines = all_lines(made)
        for at in (0, len(lines) // 2, len(lines) - 1):
            for count in (1, 3, 7, 1000):
                assert made.up(lines[at], count) == lines[max(0, at - count)]
                assert made.down(lines[at], count) == lines[min(len(lines) - 1, at + count)]


def test_the_end_shows_the_last_screen_line_at_the_bottom() -> None:
    for made, height in random_layouts():
        frame = made.frame(made.end(height), height)
        assert frame[-1] == made.last == all_lines(made)[-1]
        assert len(frame) == min(height, len(all_lines(made)))


def test_a_window_that_moves_down_stops_at_the_end_and_never_jumps_back() -> None:
    for made, height in random_layouts():
        top = Place(0)
        for _ in range(5):
            before, top = top, made.move(top, height, height)
            assert before <= top <= max(before, made.end(height))
        last = made.last
        assert made.move(last, 1, height) == last


@pytest.mark.parametrize("row", [0, 3, 4, 9])
def test_showing_a_row_shows_all_of_it_or_its_beginning_if_it_is_taller_than_the_window(row: int) -> None:
    made = layout(1, 2, 1, 50, 1, 1, 3, 1, 1, 2)
    for start in all_lines(made):
        frame = made.frame(made.showing(row, start, 6), 6)
        seen = [place.part for place in frame if place.row == row]
        wanted = list(range(made.parts(row)))
        assert seen == wanted or (made.parts(row) > 6 and (seen == wanted[:6] or start in frame))


def test_showing_what_is_shown_moves_nothing() -> None:
    made = layout(*[1] * 100)
    assert made.showing(12, Place(10), 5) == Place(10)
    assert made.showing(15, Place(10), 5) == Place(11)
    assert made.showing(9, Place(10), 5) == Place(9)
    assert made.showing(80, Place(10), 6) == Place(78), "from afar it stands at a third"


TEXTS = ("", "x", "abcdefghij" * 9, "漢字かな" * 11, "a漢b字" * 13, "e\u0301" * 30, "🔥" * 21 + "x")


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("width", [2, 7, 80])
def test_parts_hold_every_character_once_and_fit(text: str, width: int) -> None:
    starts = (*cuts(text, width), len(text))
    parts = [text[start:end] for start, end in itertools.pairwise(starts)]
    assert "".join(parts) == text
    assert all(cell_len(part) <= width for part in parts)
    assert len(parts) >= 1


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_window_on_a_line_never_shows_half_a_character(text: str) -> None:
    for x in range(cell_len(text) + 3):
        start, end, blanks = window(text, x, 9)
        shown = " " * blanks + text[start:end]
        assert cell_len(shown) <= 9
        assert cells_of(text[:start]) == min(x, cell_len(text)) + blanks or not text[start:end]
