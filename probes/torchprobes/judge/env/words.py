"""How rules of env.* say several things on one line."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading import line


def several(words: Sequence[str], most: int = 4) -> str | None:
    """`words` on one line, the first `most` of them and how many more there are; None without any."""
    if not words:
        return None
    rest = len(words) - most
    return line("; ".join(words[:most])) + (f"; and {rest} more" if rest > 0 else "")
