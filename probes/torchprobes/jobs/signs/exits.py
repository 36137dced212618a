"""The end of a process in words."""

from __future__ import annotations

import signal
from typing import Final

from ...rank_evidence import Exit

SHELL_OFFSET: Final = 128
"""A shell that runs a program tells its death by signal N as exit code 128 + N."""

_BY_SHELL: Final = frozenset(
    {"SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGINT", "SIGHUP"}
)


def exit_words(end: Exit) -> str:
    """How it ended: "exit code 3", "SIGKILL (out of memory)", "SIGTERM from its launcher", "SIGSEGV, core dumped",
    "ended, exit code unseen".
    """
    if end.signal is not None:
        asked = " from its launcher" if end.asked == end.signal else f" (after its launcher's {end.asked})"
        why = " (out of memory)" if end.oom else asked if end.asked else ""
        return end.signal + why + (", core dumped" if end.core_dumped else "")
    if end.code is None:
        return "ended, exit code unseen"
    by = shell_signal(end.code)
    return f"exit code {end.code}" + (f" (128 + {by})" if by else "")


def shell_signal(code: int | None) -> str:
    """The signal that an exit code above 128 may stand for, "" for none: a program may choose such a code itself."""
    if code is None or code <= SHELL_OFFSET:
        return ""
    try:
        name = signal.Signals(code - SHELL_OFFSET).name
    except ValueError:
        return ""
    return name if name in _BY_SHELL else ""


def signal_name(number: int) -> str:
    """SIGKILL for 9; real-time and unknown ones by their number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
