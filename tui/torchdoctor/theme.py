"""Colours. Calm, one accent, told apart by people who cannot tell red from green (Okabe and Ito's set).

Contrast on the background, measured after the terminal's own downgrade to 256 colours too: at least 4.5 to 1.
Widgets use the tokens only, never a value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from textual.theme import BUILTIN_THEMES, Theme

DARK: Final = Theme(
    name="torchdoctor-dark",
    primary="#56B4E9",
    secondary="#CC79A7",
    accent="#56B4E9",
    success="#2FBF8F",
    warning="#E69F00",
    error="#E8743B",
    foreground="#D6DBE0",
    background="#101418",
    surface="#161B20",
    panel="#1C2228",
    dark=True,
    variables={"footer-key-foreground": "#56B4E9", "block-cursor-text-style": "bold"},
)

LIGHT: Final = Theme(
    name="torchdoctor-light",
    primary="#005F94",
    secondary="#8F3F6D",
    accent="#005F94",
    success="#00684A",
    warning="#7A5200",
    error="#8A1C00",
    foreground="#1B2126",
    background="#FAFAF7",
    surface="#F1F1EC",
    panel="#E6E6E0",
    dark=False,
)

ANSI: Final = replace(
    BUILTIN_THEMES["ansi-dark"], name="torchdoctor-ansi", primary="ansi_cyan", secondary="ansi_magenta",
    accent="ansi_cyan",
)  # fmt: skip
"""The terminal's own 16 colours, and none under NO_COLOR."""

THEMES: Final = (DARK, LIGHT)

NAMES: Final = {"": DARK.name, "dark": DARK.name, "light": LIGHT.name, "ansi": ANSI.name}
"""What `--theme` takes -> the theme's name."""

FRAME: Final = """
Screen { background: $background; overflow: hidden; }
#top { height: 2; }
#tabs { background: $background; }
#small, .-away { display: none; }
Toast.-information, Toast.-warning, Toast.-error { border-left: none; background: $panel; padding: 0 2; }
Toast:ansi { text-style: reverse; }
CommandPalette SearchIcon { display: none; }
Screen.-narrow > *, Screen.-low > * { display: none; }
Screen.-narrow > #small, Screen.-low > #small { display: block; }
"""
"""The layout of what is around the panes."""
