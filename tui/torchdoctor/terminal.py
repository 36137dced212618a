"""What the terminal can do, decided before the App is made. No Textual here: it reads some of it when imported."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from .settings import Settings

SMALLEST: Final = (40, 8)
"""Columns and rows below which one line says so, instead of panes that show nothing useful."""

BREAKPOINTS: Final = ([(0, "-narrow"), (SMALLEST[0], "-wide")], [(0, "-low"), (SMALLEST[1], "-tall")])
"""Classes that a screen gets from its columns, and from its rows."""

_SIXTEEN: Final = ("linux", "xterm", "screen", "vt100", "vt220", "ansi", "rxvt", "cons25")
"""Terminals that promise sixteen colours at most by their name."""

_HZ_FAST, _HZ_SLOW = 5.0, 2.0

_BYTES_REMOTE_S, _BYTES_SLOW_S = 40 * 1024.0, 4 * 1024.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`ansi`: only the terminal's own colours; `mouse`: worth its bytes; `screen_hz`: redraws a second at most.

    `bytes_s`: what the line to the terminal carries, for what no key asked for.
    """

    ascii: bool
    ansi: bool
    no_colour: bool
    mouse: bool
    screen_hz: float
    bytes_s: float = math.inf


def decide(settings: Settings, environ: Mapping[str, str] = os.environ) -> Capabilities:
    """Look at settings and environment only; nothing is asked of the terminal, which may not answer."""
    no_colour = settings.colour == "none" or bool(environ.get("NO_COLOR"))
    return Capabilities(
        ascii=settings.ascii or not _utf8(environ) or environ.get("TERM") == "linux",
        ansi=no_colour or _sixteen(settings, environ),
        no_colour=no_colour,
        mouse="SSH_CONNECTION" not in environ,
        screen_hz=_HZ_SLOW if settings.slow else _HZ_FAST,
        bytes_s=_BYTES_SLOW_S if settings.slow else _BYTES_REMOTE_S if "SSH_CONNECTION" in environ else math.inf,
    )


def _utf8(environ: Mapping[str, str]) -> bool:
    """The locale's character set by the order that POSIX gives: LC_ALL, LC_CTYPE, LANG; none of them is "C"."""
    name = next((environ[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(key)), "C")
    return "utf8" in name.lower().replace("-", "")


def _sixteen(settings: Settings, environ: Mapping[str, str]) -> bool:
    if settings.colour != "auto":
        return settings.colour == "16"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return False
    return environ.get("TERM", "") in _SIXTEEN


def prepare(capabilities: Capabilities, settings: Settings) -> Settings:
    """Set what Textual and its children read from the environment, and settle the settings.

    Textual takes even an empty NO_COLOR for a wish, and the standard says that it is none.
    """
    if capabilities.no_colour:
        os.environ["NO_COLOR"] = "1"
    else:
        os.environ.pop("NO_COLOR", None)
    if settings.colour in ("16", "256", "truecolor"):
        os.environ["TEXTUAL_COLOR_SYSTEM"] = {"16": "standard"}.get(settings.colour, settings.colour)
    return replace(settings, ascii=capabilities.ascii)


def too_small(columns: int, rows: int) -> str:
    """The one line that is shown on a terminal too small for panes, or ""."""
    if columns >= SMALLEST[0] and rows >= SMALLEST[1]:
        return ""
    return f"needs 60x16, is {columns}x{rows}"
