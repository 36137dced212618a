"""Colours that can be read: contrast on every background that text stands on, and told apart without red and green."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from torchdoctor import theme

TEXT = ("foreground", "text-muted", "text-success", "text-warning", "text-error", "text-primary", "text-secondary",
        "text-accent")  # fmt: skip
GROUNDS = ("background", "surface", "panel")
ENOUGH = 4.5
"""WCAG 2, level AA, for text."""


def luminance(color: Color) -> float:
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Color, other: Color) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def tokens(made: Theme) -> dict[str, str]:
    return made.to_color_system().generate()


def on(text: str, ground: Color) -> Color:
    """A token on a ground; Textual's "auto 87%" is its own contrast colour, blended."""
    if text.startswith("auto"):
        return ground + ground.get_contrast_text(float(text.split()[1].rstrip("%")) / 100)
    return ground + Color.parse(text)


@pytest.mark.parametrize("made", theme.THEMES, ids=lambda made: made.name)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("token", TEXT)
def test_text_can_be_read_on_every_ground(made: Theme, ground: str, token: str) -> None:
    values = tokens(made)
    under = Color.parse(values[ground])
    found = contrast(on(values[token], under), under)
    assert found >= ENOUGH, f"{token} on {ground} of {made.name}: {found:.1f}"


def _without_green_receptors(color: Color) -> tuple[float, float]:
    """What deuteranopes see, roughly: lightness, and blue against yellow."""
    red, green, blue = color.normalized
    yellow = 0.625 * red + 0.375 * green
    return luminance(color), blue - yellow


@pytest.mark.parametrize("made", theme.THEMES, ids=lambda made: made.name)
def test_verdicts_differ_for_people_who_do_not_see_red_and_green(made: Theme) -> None:
    colours = [Color.parse(value or "") for value in (made.success, made.warning, made.error, made.primary)]
    seen = [_without_green_receptors(colour) for colour in colours]
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert abs(one[0] - other[0]) > 0.03 or abs(one[1] - other[1]) > 0.15, (one, other)


def test_widgets_use_tokens_only() -> None:
    import re
    from pathlib import Path

    import torchdoctor

    root = Path(torchdoctor.__file__).parent
    values = re.compile(r"#[0-9a-fA-F]{6}\b")
    found = [
        str(path.name) for path in root.rglob("*.py") if path.name != "theme.py" and values.search(path.read_text())
    ]
    assert found == []
