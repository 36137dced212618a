"""Text from outside, made harmless: it can neither style a screen nor break a table, and it leaks no secret."""

from __future__ import annotations

import unicodedata
from typing import Final

from ..masking import mask_text as mask

__all__ = ["mask", "plain"]

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: object, width: int | None = None) -> str:
    """`text` as one harmless line: control, format and bidirectional characters become visible escapes.

    `width` cuts it, with `...` as its end, to that many characters.
    """
    line = str(text)
    if not line.isprintable():  # printable is all that is harmless, but for some spaces that are harmless too
        line = "".join(map(_harmless, line))
    if width is not None and len(line) > width:
        line = line[: max(0, width - 3)] + "..."[:width]
    return line


def _harmless(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if unicodedata.category(char) in _UNSAFE:
        return char.encode("unicode_escape", "backslashreplace").decode("ascii")
    return char
