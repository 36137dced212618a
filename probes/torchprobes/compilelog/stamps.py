r"""When a line was written, by the stamp it begins with: microseconds since New Year. For children alone.

torch's prefix (`V1123 06:15:03.456000`, of no year) and those that begin with a date (`2026-11-23 06:37:11,748`, also
in brackets, as torch 2.1 and 2.2 and Python's logging write them). Both are local time.
"""

from __future__ import annotations

import re

DAY = 86_400_000_000
YEAR = 366 * DAY
"""More than any year; only the order counts."""

_BEFORE_MONTH = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)
_STAMP = re.compile(
    rb"(?:\[(?:rank|default)\d{1,9}\]:)* ?"
    rb"(?:[VIWEC](\d{4} \d\d:\d\d:\d\d)\.(\d{1,9})"
    rb"|\[?\d{4}-(\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?)"
)
_SECONDS: dict[bytes, int | None] = {}
MOST = 10_000


def _second(month: bytes, day: bytes, clock: bytes) -> int | None:
    number = int(month)
    if not 1 <= number <= 12:
        return None
    hours, minutes, seconds = (int(part) for part in clock.split(b":"))
    days = _BEFORE_MONTH[number - 1] + int(day) - 1
    return days * DAY + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000


def stamp_us(line: bytes) -> int | None:
    """Microseconds since New Year, None without a stamp."""
    found = _STAMP.match(line)
    if found is None:
        return None
    glog, fine, date, fraction = found.groups()
    words = glog or date
    second = _SECONDS.get(words, -1)
    if second == -1:
        if len(_SECONDS) >= MOST:
            _SECONDS.clear()
        day = words[2:4] if glog else words[3:5]
        second = _SECONDS[words] = _second(words[:2], day, words[-8:])
    if second is None:
        return None
    digits = fine or fraction or b"0"
    return second + (int(digits) if len(digits) == 6 else int(digits[:6].ljust(6, b"0")))
