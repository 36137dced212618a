"""Lines as data: widths, wrapping, bars and plots."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from torchdoctor.paint import bar, crop, fit, line, plot, text_of, wrap
from torchdoctor.signs import STEPS, to_ascii


@pytest.mark.parametrize("text", ["", "a", "abcdef", "日本語テキスト", "e\u0301" * 9, "x" * 200])
@pytest.mark.parametrize("width", [1, 4, 5, 10])
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, "right")) == width


@pytest.mark.parametrize("width", range(1, 12))
def test_crop_never_exceeds_the_width_and_says_that_it_cut(width: int) -> None:
    row = line("abc", ("defg", "ok"), "hij")
    cut = text_of(crop(row, width))
    assert cell_len(cut) == min(width, 10)
    assert cut.endswith("…") == (width < 10)


def test_wrap_breaks_between_words_and_loses_nothing() -> None:
    text = "a " + "long" * 20 + " and /a/path/that/is/long  end"
    rows = wrap(text, 16)
    assert all(cell_len(row) <= 16 for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 10) == [""]


def test_a_bar_has_a_fixed_scale_and_none_is_no_bar() -> None:
    full = ["".join(text for text, role in bar(share, 10) if role == "accent") for share in (0, 0.01, 0.5, 1, 7)]
    assert [len(text) for text in full] == [0, 1, 5, 10, 10]
    assert "".join(text for text, _ in bar(None, 10)) == " " * 10


def test_a_plot_has_a_fixed_scale_and_a_gap_stays_a_gap() -> None:
    assert plot([100.0, 100.0], 2, 1) == [STEPS[-1] * 2]
    assert plot([0.0, None, 50.0], 4, 1) == [" " + STEPS[0] + " " + STEPS[3]]
    top, bottom = plot([100.0, 50.0, 25.0], 3, 2)
    assert (top, bottom) == (STEPS[-1] + "  ", STEPS[-1] * 2 + STEPS[3])
    assert plot([97.0, 98.0], 2, 1) != plot([0.0, 100.0], 2, 1)


def test_ascii_twins_keep_the_width() -> None:
    text = "✔ ▲ ✘ – • ● · ○ ━─ ▁▂▃▄▅▆▇█ … ± × 61 °C → 日本"
    assert to_ascii(text).isascii()
    assert len(to_ascii(text)) == len(text)
    assert "?" not in to_ascii(text.replace("日本", ""))
