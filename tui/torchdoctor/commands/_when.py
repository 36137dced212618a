"""Spans, sizes and times as a person writes them: `10m`, `200MB`, `03:10`, `-15m`."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Final

import click

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_UNITS_BYTES: Final = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}  # fmt: skip
_NUMBER: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s?([A-Za-z]{0,3})")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")

TIME_HELP: Final = "HH:MM, -15m (before now), or ISO such as 2026-11-23T03:10."


def _measured(text: str, units: dict[str, int], what: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise click.BadParameter(f"{text!r} is no {what}")
    return float(match[1]) * unit


def span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """The callback of an option that takes a length of time: seconds."""
    if value is None:
        return None
    seconds = _measured(value, _UNITS_S, "span of time, such as 24h")
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is no span of time")
    return seconds


def size(_: click.Context, __: click.Parameter, value: str) -> int:
    """The callback of an option that takes a number of bytes."""
    return int(_measured(value, _UNITS_BYTES, "size, such as 200MB"))


def moment_ns(text: str, began_ns: int | None = None, ended_ns: int | None = None) -> int:
    """A time as wall nanoseconds. `-15m` counts back from `ended_ns` (None: now), `+90s` on from `began_ns`.

    A clock time is the last of that hour: today's, or yesterday's where today's is still to come. A time without a
    zone is local.

    Raises:
        click.UsageError: if it is no time.
    """
    base = time.time_ns() if ended_ns is None else ended_ns
    try:
        moment = _moment(text.strip(), base, began_ns)
    except (ValueError, OverflowError, click.BadParameter):
        moment = -1
    if not 0 <= moment < 1 << 62:
        raise click.UsageError(f"{text[:40]!r} is no time: {TIME_HELP}")
    return moment


def _moment(text: str, base_ns: int, began_ns: int | None) -> int:
    if text.startswith("-"):
        return base_ns - int(_measured(text[1:], _UNITS_S, "time") * 1e9)
    if text.startswith("+") and began_ns is not None:
        return began_ns + int(_measured(text[1:], _UNITS_S, "time") * 1e9)
    if clock := _CLOCK.fullmatch(text):
        return _last_clock(base_ns, *(int(part or 0) for part in clock.groups()))
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().timestamp()) * 1_000_000_000


def _last_clock(base_ns: int, hour: int, minute: int, second: int) -> int:
    base = datetime.fromtimestamp(base_ns / 1e9).astimezone()
    at = base.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return int((at if at <= base else at - timedelta(days=1)).timestamp()) * 1_000_000_000


def local(t_ns: int, seconds: bool = True) -> str:
    """A moment as a person of this machine reads it."""
    try:
        stamp = datetime.fromtimestamp(t_ns / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{t_ns} ns"
    return stamp.strftime("%Y-%m-%d %H:%M:%S %Z" if seconds else "%Y-%m-%d %H:%M %Z")


def span_words(seconds: float) -> str:
    """A length of time: `2 h 05 min`, `41 s`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
