"""A recording played as if it happened now: the same surface as `source.Sampler`, with seek, pace and pause.

A thread of its own reads, decompresses and judges; every method returns at once. Going back builds history and past
anew from ten minutes before, with every event that was told until then, so that the rules say what they said.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ...samples import Sample
from ..health import Health, Judge
from ..history import History
from ..past import Past
from .file import RecordingError
from .timeline import Timeline, open_timeline

WARM_S: Final = 600.0
"""So much before a place is read again to know what had come before it: counters, conditions, plots."""

NEAR: Final = 120
"""Samples ahead that are played through, not jumped over."""

MOST_WAIT_S: Final = 2.0
"""A gap in the recording is waited for no longer than this."""

LATE_S: Final = 0.25
HOPELESS_S: Final = 1.0
"""Behind by more than the first, samples are taken in but not judged; by more than the second, time is given up."""

PACES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class _Tape:
    """The samples from one on, and what came before the newest that was taken."""

    def __init__(self, timeline: Timeline, first: int, thresholds: Mapping[str, float] | None) -> None:
        self.history, self.judge = History(timeline.header.rate_hz), Judge(thresholds)
        self.past = self.judge.new_past()
        self.number = first
        self.newest: Sample | None = None
        self._ahead = timeline.samples(first)
        self.next = next(self._ahead, None)
        if self.next is not None and (earlier := timeline.earlier_events(first)):
            number, sample = self.next
            self.next = number, msgspec.structs.replace(sample, events=(*earlier, *sample.events))

    def take(self) -> None:
        """Take in the next sample."""
        if self.next is not None:
            self.number, self.newest = self.next
            self.history.append(self.newest)
            self.past.add(self.newest)
            self.next = next(self._ahead, None)

    def is_before(self, number: int) -> bool:
        """Whether there is a sample to be taken up to that number."""
        return self.next is not None and self.next[0] <= number


class Replay:
    """Plays the recording at `path`. `thresholds` are the person's own limits of the health rules."""

    def __init__(self, path: Path, thresholds: Mapping[str, float] | None = None) -> None:
        self._path = path
        self._thresholds = thresholds
        self._timeline: Timeline | None = None
        self._events: list[int] = []
        self._latest: tuple[int, Sample | None, Health] = (0, None, Health())
        self._tape = _Tape(Timeline([]), 0, self._thresholds)
        self._shown_at = 0.0
        self._words = "reading the recording"
        self._pace, self._paused, self._stopped = 1.0, False, False
        self.busy = True
        """Whether it is on its way to a place; what is shown until then may lack what came before it."""
        self._wanted: int | None = None
        self._changed = threading.Condition()

    # --- as a sampler ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read and to play."""
        threading.Thread(target=self._run, name="torchdoctor-replay", daemon=True).start()

    def latest(self) -> tuple[int, Sample | None]:
        """The sample of now and its number, which grows whenever there is another; (0, None) before the first."""
        return self._latest[:2]

    def judged(self) -> tuple[int, Sample | None, Health]:
        """The sample of now, its number, and what the rules of health say of it."""
        return self._latest

    @property
    def history(self) -> History:
        """What was read before the sample of now."""
        return self._tape.history

    @property
    def past(self) -> Past:
        """Counters and events up to the sample of now."""
        return self._tape.past

    @property
    def state(self) -> str:
        """Why there is nothing to see, "" if there is."""
        return self._words

    def stop(self) -> None:
        """End; nobody waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    # --- as a recording ----------------------------------------------------------------------------------------

    @property
    def pace(self) -> float:
        """How fast: 1 is as it was, from the first to the last of PACES."""
        return self._pace

    @pace.setter
    def pace(self, pace: float) -> None:
        with self._changed:
            self._pace = min(max(pace, PACES[0]), PACES[-1])
            self._changed.notify()

    @property
    def paused(self) -> bool:
        """Whether it stands still; so it does at its end."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        with self._changed:
            if self._paused and not paused and self._timeline is not None and self._tape.next is None:
                self._wanted, self.busy = 0, True  # it stood at its end: once more
            self._paused = paused
            self._shown_at = time.monotonic()
            self._changed.notify()

    @property
    def began_ns(self) -> int:
        """The wall clock of its first sample, 0 before it was read."""
        return self._timeline.began_ns if self._timeline else 0

    @property
    def length_s(self) -> float:
        """Seconds from its first sample to its last."""
        return (self._timeline.ended_ns - self._timeline.began_ns) / 1e9 if self._timeline else 0.0

    @property
    def position_s(self) -> float:
        """Seconds from its first sample to that of now."""
        timeline = self._timeline
        return (timeline.time_ns(self._tape.number) - timeline.began_ns) / 1e9 if timeline else 0.0

    def seek(self, seconds: float) -> None:
        """Go on from so many seconds after its beginning; outside of it, from its beginning or its end."""
        if self._timeline is not None:
            self._want(self._timeline.number_at(self._timeline.began_ns + int(seconds * 1e9)))

    def next_event(self) -> bool:
        """Go to the next event (an XID, an exit …); False if none follows."""
        place = bisect_right(self._events, self._here())
        return self._want_event(place)

    def previous_event(self) -> bool:
        """Go to the event before; False if there is none."""
        return self._want_event(bisect_left(self._events, self._here()) - 1)

    def _here(self) -> int:
        return self._tape.number if self._wanted is None else self._wanted

    def _want_event(self, place: int) -> bool:
        there = 0 <= place < len(self._events)
        if there:
            self._want(self._events[place])
        return there

    def _want(self, number: int) -> None:
        with self._changed:
            self._wanted, self.busy = number, True
            self._changed.notify()

    # --- in its thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            timeline = open_timeline(self._path)
            self._events = sorted({number for number, _ in timeline.events()})
            self._timeline = timeline
            self._do(timeline, 0)
            while (wanted := self._wait()) >= -1:
                self._do(timeline, wanted)
        except RecordingError as error:
            self._words = str(error)

    def _do(self, timeline: Timeline, wanted: int) -> None:
        """Show the next sample (-1), or go to one."""
        try:
            if wanted < 0:
                self._step()
            elif self._tape.newest is not None and self._tape.number <= wanted <= self._tape.number + NEAR:
                self._play_to(wanted)
            else:
                self._jump(timeline, wanted)
            self._words = ""
        except RecordingError as error:  # its file is gone, or unreadable from there on
            self._words = str(error)
        with self._changed:
            self.busy = self._wanted is not None

    def _wait(self) -> int:
        """Wait until the next sample is due (-1), somebody wants another (its number), or the end (-2)."""
        with self._changed:
            while not self._stopped:
                if self._wanted is not None:
                    wanted, self._wanted = self._wanted, None
                    return wanted
                if self._tape.next is None:
                    self._paused = True
                left = None if self._paused else self._due() - time.monotonic()
                if left is not None and left <= 0:
                    return -1
                self._changed.wait(left)
        return -2

    def _due(self) -> float:
        """When the next sample is due."""
        if self._timeline is None or self._tape.next is None:
            return float("inf")
        apart = (self._timeline.time_ns(self._tape.next[0]) - self._timeline.time_ns(self._tape.number)) / 1e9
        return self._shown_at + min(apart / self._pace, MOST_WAIT_S)

    def _step(self) -> None:
        """Show the next sample; one that is late goes into the past without being judged."""
        due, now = self._due(), time.monotonic()
        self._tape.take()
        hopeless = now - due > HOPELESS_S
        self._shown_at = now if hopeless else due
        if hopeless or now - due < LATE_S or self._tape.next is None:
            self._show()

    def _play_to(self, number: int) -> None:
        """Take in all samples up to one that is near, and show that."""
        while self._tape.is_before(number):
            self._tape.take()
        self._show()

    def _jump(self, timeline: Timeline, number: int) -> None:
        """Go anywhere: the sample is shown at once, what came before it as soon as it was read."""
        first = timeline.number_at(timeline.time_ns(number) - int(WARM_S * 1e9))
        if number - first > NEAR:
            self._tape = _Tape(timeline, number, self._thresholds)
            self._play_to(number)
        tape = _Tape(timeline, first, self._thresholds)
        while tape.is_before(number):
            tape.take()
            if self._wanted is not None or self._stopped:
                return
        self._tape = tape
        self._show()

    def _show(self) -> None:
        self._shown_at = max(self._shown_at, time.monotonic() - LATE_S)
        if (sample := self._tape.newest) is not None:
            self._latest = (self._latest[0] + 1, sample, self._tape.judge.judge(sample, self._tape.past))
