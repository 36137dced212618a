"""The time that a line itself tells, as nanoseconds since the epoch of the host that wrote it.

Known are c10's (`[W1123 06:11:34.461904281 Utils.hpp:137]`: no year, local time), those of Python's logging in torch
(`W1123 06:11:30.611000 940`) and ISO 8601 with a space, a comma or brackets (`[2026-11-26 05:00:00,123]`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

_CLOCK = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?"
_GLOG: Final = re.compile(rf"\[?[DIWEFCV](?P<month>\d{{2}})(?P<day>\d{{2}}) {_CLOCK}")
_ISO: Final = re.compile(
    rf"[\[(]?(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})[T _]{_CLOCK}(?P<zone>Z|[+-]\d{{2}}:?\d{{2}})?"
)
_BEGINS: Final = re.compile(r"[\[(]?(?:[DIWEFCV]\d{4} |\d{4}-)")
_HALF_A_YEAR: Final = timedelta(days=183)
_LATEST_YEAR: Final = 9998


def stamp_ns(text: str, near_ns: int, zone: tzinfo | None = None) -> int | None:
    """When a line says that it was written, None if it does not say, or says no moment that exists.

    `near_ns` chooses the year of a stamp that has none; `zone` is that of stamps without one, this host's by default.
    """
    if _BEGINS.match(text) is None:
        return None
    found = _GLOG.match(text) or _ISO.match(text)
    if found is None:
        return None
    parts = found.groupdict()
    year = parts.get("year")
    moment = _moment(int(year), parts, _zone(parts.get("zone"), zone)) if year else _without_year(parts, near_ns, zone)
    if moment is None:
        return None
    fraction = (parts["fraction"] or "0").ljust(9, "0")
    try:
        return int(moment.timestamp()) * 10**9 + int(fraction)
    except (OverflowError, OSError, ValueError):
        return None


def _without_year(parts: dict[str, str], near_ns: int, zone: tzinfo | None) -> datetime | None:
    """The moment nearest to `near_ns`: a line of December may be read in January."""
    near = datetime.fromtimestamp(near_ns / 1e9, zone or timezone.utc)
    for year in (near.year, near.year - 1, near.year + 1):
        moment = _moment(year, parts, zone)
        if moment is not None and abs(moment - near) < _HALF_A_YEAR:
            return moment
    return None


def _moment(year: int, parts: dict[str, str], zone: tzinfo | None) -> datetime | None:
    if not 1970 < year <= _LATEST_YEAR:
        return None
    month, day, hour, minute, second = (int(parts[n]) for n in ("month", "day", "hour", "minute", "second"))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        return moment if zone is not None else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str | None, default: tzinfo | None) -> tzinfo | None:
    if not text:
        return default
    if text == "Z":
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        return default
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))
