r"""Text from outside, made safe to show: it can neither style the screen nor send the terminal a control sequence.

Colours and erasures that programs put into their output are dropped; every other character that does not print is
shown as what it is (`\x1b`, `\u202e`), so that nothing acts and nothing hides. The rule is `str.isprintable`:
control, format (bidirectional overrides, zero width), surrogate, private and unassigned characters are not.
"""

from __future__ import annotations

import codecs
import re

TAB = 8

SHOWN = 4096
"""Bytes or characters of one text that are shown."""

_NOISE = re.compile(r"\x1b\[[\d;:]*[mK]")
"""Colours (SGR) and "erase to the end of the line": what progress bars and pretty loggers write all the time."""

_UTF8 = codecs.getincrementaldecoder("utf-8")


def safe_line(raw: bytes, *, ascii_only: bool = False) -> str:
    r"""One line of a log as it is to be shown; without its newline. A `\r` starts the line anew, as in a terminal.

    An unfinished UTF-8 character at the end is left out: its rest may be still to come, or was cropped.
    """
    if raw.isascii() and raw.decode("ascii").isprintable():
        return raw[:SHOWN].decode("ascii")
    text = _UTF8("replace").decode(raw, final=False)
    return safe(_last_drawn(_NOISE.sub("", text)), ascii_only=ascii_only)


def safe(text: str, *, ascii_only: bool = False, limit: int = SHOWN) -> str:
    """Any string from outside as one line that is harmless; at most `limit` of its characters are looked at."""
    text = text[:limit]
    if not text.isprintable():
        text = _NOISE.sub("", text).expandtabs(TAB)
        text = "".join(char if char.isprintable() else _shown(char) for char in text)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def _shown(char: str) -> str:
    return " " if char.isspace() and ord(char) > 0x1F else char.encode("unicode_escape").decode()


def _last_drawn(text: str) -> str:
    r"""What the last non-empty `\r` segment drew; a progress bar writes them one over the other."""
    if "\r" not in text:
        return text
    return next((part for part in reversed(text.split("\r")) if part), "")


def ascii_only(app: object) -> bool:
    """Whether this console shows ASCII signs only: `settings.ascii` of the app."""
    return bool(getattr(getattr(app, "settings", None), "ascii", False))


def size_text(count: int) -> str:
    """Bytes in at most six cells: `0 B`, `812 B`, `33 kB`, `1.2 MB`; decimal units, as `ls --si` has them."""
    if count < 1000:
        return f"{count} B"
    value, unit = float(count), ""
    for unit in "kMGTP":  # noqa: B007 - the unit reached is used
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.1f} {unit}B" if value < 9.95 else f"{value:.0f} {unit}B"


def rate_text(per_second: float) -> str:
    """Bytes a second without the "/s", in at most five cells: `0`, `812`, `33k`, `1.2M`, `450G`; decimal units."""
    if per_second < 1000:
        return f"{per_second:.0f}"
    value, unit = per_second, ""
    for unit in "kMGTP":  # noqa: B007 - the unit reached is used
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
