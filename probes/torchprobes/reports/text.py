"""Text from outside, made harmless: it can neither style a screen nor break a table, and it leaks no secret."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SECRET: Final = re.compile(
    r"(?i)(?<![\w.-])([\w.-]*(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|credential)[\w.-]*)"
    r"(\s*[=:]\s*|\s+)(?=\S)('[^']*'|\"[^\"]*\"|[^\s,;]+)"
)
_ASSIGNED: Final = re.compile(r"[=:]")
_URL_LOGIN: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]+):[^@\s/]+@")

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: object, width: int | None = None) -> str:
    """`text` as one harmless line: control, format and bidirectional characters become visible escapes.

    `width` cuts it, with `...` as its end, to that many characters.
    """
    line = "".join(_harmless(char) for char in str(text))
    if width is not None and len(line) > width:
        line = line[: max(0, width - 3)] + "..."[:width]
    return line


def _harmless(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if unicodedata.category(char) in _UNSAFE:
        return char.encode("unicode_escape", "backslashreplace").decode("ascii")
    return char


def mask(text: str) -> str:
    """`text` with the values of what is named like a secret, and passwords in URLs, replaced by `***`."""
    text = _URL_LOGIN.sub(r"\1:***@", text)
    return _SECRET.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    assigned = _ASSIGNED.search(between) is not None or name.startswith("-")
    return f"{name}{between}***" if assigned else f"{name}{between}{value}"
