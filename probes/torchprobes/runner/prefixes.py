"""Launcher prefixes: what each needs so that a program on stdin reaches the interpreter, and its output comes back.

A prefix is taken as the person typed it. Standard library only.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence
from typing import Final

_RESPLIT: Final = frozenset({"ssh", "slogin", "gsissh", "autossh", "rsh"})
"""They join their arguments with blanks and give them to a shell over there (ssh(1)): what is ours is quoted for it."""

_CAPTURES: Final = frozenset({"conda", "mamba"})
"""`conda run` keeps all output until the end unless it is told otherwise; our lifeline and events need it at once."""

_LIVE: Final = frozenset({"--no-capture-output", "--live-stream", "-s"})


def command(prefix: Sequence[str], python: str, arguments: Sequence[str]) -> list[str]:
    """The argument list that runs `python arguments` behind a prefix.

    `python` stays as it was typed, so that a shell over there may expand `~/env/bin/python`.
    """
    names = [posixpath.basename(word) for word in prefix]
    quoted = list(map(shlex.quote, arguments)) if _RESPLIT & set(names) else list(arguments)
    return [*_live(list(prefix), names), python, *quoted]


def _live(prefix: list[str], names: Sequence[str]) -> list[str]:
    at = next((n + 1 for n, name in enumerate(names[:-1]) if name in _CAPTURES and prefix[n + 1] == "run"), 0)
    return [*prefix[: at + 1], "--no-capture-output", *prefix[at + 1 :]] if at and not _LIVE & set(prefix) else prefix
