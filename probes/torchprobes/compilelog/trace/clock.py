"""When a record was written: a trace's lines say month, day and local time, without a year and a time zone."""

from __future__ import annotations

import time
from calendar import timegm

_QUARTER_S = 900
"""Offsets of time zones are whole quarters of an hour."""
_DAY_S = 86400
_LATEST_S = 1 << 33


class Clock:
    """Turns the times of a trace's lines into seconds since the epoch.

    The writer's time zone and year are those of this machine until a record tells the epoch's time itself (the `ts` of
    a chromium_event: nearly the first of a trace since torch 2.5).
    """

    def __init__(self) -> None:
        self._year = 0
        self._offset_s = 0.0
        self._day = b""
        self._day_s = 0.0
        self._second = b""
        self._of_day_s = 0

    def at(self, when: bytes) -> float | None:
        """`1123 06:12:11.791000` as seconds since the epoch; None if there is no such day."""
        if when[:13] != self._second:
            if when[:4] != self._day and not self._turn(when[:4]):
                return None
            self._second = when[:13]
            self._of_day_s = int(when[5:7]) * 3600 + int(when[8:10]) * 60 + int(when[11:13])
        return self._day_s + self._of_day_s + self._offset_s + int(when[14:]) / 1e6

    def learn(self, at_s: float | None, epoch_s: float) -> None:
        """A record whose line said `at_s` was written at `epoch_s`."""
        if at_s is None or abs(epoch_s - at_s) < _QUARTER_S / 2 or not 0 < epoch_s < _LATEST_S:
            return
        of_day_s = at_s - self._offset_s - self._day_s
        about = time.gmtime(epoch_s).tm_year
        self._year = min(range(about - 1, about + 2), key=lambda year: abs(_day_s(year, self._day) - epoch_s))
        self._day_s = _day_s(self._year, self._day)
        self._offset_s = float(round((epoch_s - self._day_s - of_day_s) / _QUARTER_S) * _QUARTER_S)

    def _turn(self, day: bytes) -> bool:
        month, date = int(day[:2]), int(day[2:])
        if not (1 <= month <= 12 and 1 <= date <= 31):
            return False
        if not self._day:
            self._guess(month, date)
        elif day == b"0101":
            self._year += 1
        self._day, self._day_s = day, _day_s(self._year, day)
        return True

    def _guess(self, month: int, date: int) -> None:
        """The latest year in which that day is not in the future, and this machine's time zone then."""
        now = time.localtime()
        later = _day_s(now.tm_year, b"%02d%02d" % (month, date)) > timegm(now) + _DAY_S
        self._year = now.tm_year - later
        noon = timegm((self._year, month, date, 12, 0, 0))
        self._offset_s = float(noon - timegm(time.localtime(noon)))


def _day_s(year: int, day: bytes) -> float:
    """When the day `1123` of that year begins, as if its time zone were UTC's."""
    return float(timegm((year, int(day[:2]), int(day[2:]), 0, 0, 0)))
