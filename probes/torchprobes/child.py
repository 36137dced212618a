"""One question answered in a killable child with a deadline, so that no file system can block the asker."""

from __future__ import annotations

from typing import Any


class Hung(Exception):
    """The deadline passed without an answer."""


class ChildFailed(Exception):
    """The child answered that it failed, or died; the text is one line."""


def ask(question: str, arguments: dict[str, Any], deadline_s: float) -> Any:
    """Answer `question` in a child."""
    raise ChildFailed(f"{question} cannot be asked yet: {arguments} {deadline_s}")
