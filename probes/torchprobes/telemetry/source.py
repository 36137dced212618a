"""The console's end of the sampler: newest sample, history, and a child that is restarted and never waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import msgspec

from ..cells import Absent, CellState
from ..child import Piped, sampler_command
from ..samples import HostSample, Sample
from . import hardware
from .ending import MOST_WORDS, LastWords, await_end, cause, last_line
from .health import Health, Judge
from .history import History
from .letting_go import EXIT_REOPEN, RELEASE

if TYPE_CHECKING:
    import logging

STRIKES = 3
"""After so many deaths in a row there is a banner instead of another start."""

RESTART_S = 1.0
SOUND = 10
"""Samples after which a child counts as sound, and earlier deaths are forgotten."""

REOPEN_S = 2.0
"""A child that asks for a successor gets it at once, but not more often than this."""

BAD_LINES = 5
"""After so many lines in a row that are no samples a child is given up: the package may have been upgraded under us."""

JUDGE_NS = 900_000_000
"""The rules are asked at most this often, and at once when the state of a GPU changes or something happened."""

STALE_S = 5.0
"""Silence for so long is told."""

MAX_LINE_BYTES = 4 << 20
MOST_FAULTS = 50
"""So many different faults of our own are logged."""


FirstChild = Callable[[], "subprocess.Popen[bytes] | None"]
"""A child that was started before there was anybody to read it, or None. It is asked for in a thread and may wait."""


class _Life(NamedTuple):
    """What came of one child: how many samples it gave, its exit code if it was started, and why it ended."""

    heard: int
    code: int | None
    cause: str


class _Heard(NamedTuple):
    """What one child said on its stdout: samples, the last line that was none, and why it was given up, if it was."""

    samples: int
    noise: str = ""
    given_up: str = ""


class Sampler:
    """Runs the sampler child and keeps what it says. All methods return at once and may be called on any thread.

    `first_child` is a child of the same command that somebody started already; every further one is started here.
    `thresholds` are the person's own limits of the health rules (`rules.limits`).
    """

    strikes: float = STRIKES
    """After so many deaths in a row it gives up; a recorder never does."""

    def __init__(
        self,
        rate_hz: float = 2.0,
        command: tuple[str, ...] | None = None,
        first_child: FirstChild = lambda: None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self.history = History(rate_hz)
        self._decoder = msgspec.json.Decoder(Sample)
        self._first_child: FirstChild = first_child
        self._command = command or sampler_command(rate_hz)
        self._judge = Judge(thresholds)
        self.past = self._judge.new_past()
        self._latest: tuple[int, Sample | None, Health] = (0, None, Health())
        self._heard = time.monotonic()
        self._words = ""
        self._stand: object = None
        self._judged_ns = 0
        self._fault = ""
        """What went wrong with the newest sample in the console itself."""
        self._logged: set[str] = set()
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the child and the thread that reads it."""
        threading.Thread(target=self._run, name="torchdoctor-sampler", daemon=True).start()

    def latest(self) -> tuple[int, Sample | None]:
        """The newest sample and its number; (0, None) before the first."""
        return self._latest[:2]

    def judged(self) -> tuple[int, Sample | None, Health]:
        """The newest sample, its number, and what the rules of health say of it."""
        return self._latest

    @property
    def state(self) -> str:
        """What is wrong with the telemetry, in words; "" if nothing is."""
        silent = time.monotonic() - self._heard
        if not self._words and silent > STALE_S:
            return f"no sample for {silent:.0f} s: the sampler does not answer"
        return self._words or self._fault

    def stop(self) -> None:
        """Let the child end: it ends when its stdin closes. Nobody waits for it."""
        self._stopped.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _run(self) -> None:
        strikes = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            life = self._one_life()
            if self._stopped.is_set():
                return
            if life.code == -RELEASE:
                self._words = "released: `torchdoctor release` closed the driver; open the console anew for telemetry"
                return
            if life.code == EXIT_REOPEN:
                self._words = "the driver was exchanged: the sampler opens it anew"
                self._stopped.wait(began + REOPEN_S - time.monotonic())
                continue
            strikes = 1 if life.heard >= SOUND else strikes + 1
            if strikes >= self.strikes:
                self._words = f"no telemetry: the sampler died {strikes} times ({life.cause})"
                return
            self._words = f"the sampler died ({life.cause}) and is started again"
            self._stopped.wait(RESTART_S)

    def _one_life(self) -> _Life:
        """Start a child and read it to its end."""
        try:
            process = self._first_child() or Piped(list(self._command), apart=True)
        except OSError as error:
            return _Life(0, None, f"cannot start it: {error.strerror}")
        self._process, self._first_child = process, lambda: None
        if self._stopped.is_set():  # stop() came before there was a child
            self.stop()
        if process.stdout is None:
            return _Life(0, None, "it has no pipe")
        words = LastWords(process.stderr)
        heard = self._read(process.stdout)
        if heard.given_up:
            process.kill()
        # Its successor must not pile up behind it in the driver: as long as it cannot die, there is no other.
        code = await_end(process, self._tell)
        return _Life(heard.samples, code, heard.given_up or cause(code, words.text() or heard.noise))

    def _tell(self, words: str) -> None:
        self._words = words

    def _read(self, pipe: IO[bytes]) -> _Heard:
        """Take in its lines to their end, or until it is no use to read on."""
        samples, bad, noise = 0, 0, ""
        try:
            while line := pipe.readline(MAX_LINE_BYTES):
                if self.take(line):
                    samples, bad = samples + 1, 0
                    self._heard, self._words = time.monotonic(), ""
                    continue
                bad, noise = bad + 1, last_line(line) or noise
                if bad >= BAD_LINES:
                    return _Heard(samples, noise, _misunderstood(line))
        except Exception as error:  # noqa: BLE001 - told and tried again; a thread that ends would tell nobody
            return _Heard(samples, noise, self._own_fault("the reader of samples", error))
        return _Heard(samples, noise)

    def take(self, line: bytes) -> bool:
        """Take in one line of the child, in its reader's thread; False if it is no sample. A recorder has its own.

        A sample is shown also when our own history or rules fail on it: `state` then says so.
        """
        try:
            sample = self._decoder.decode(line)
        except _UNREADABLE:
            return False
        faults: list[str] = []
        for what, step in (("the history", self.history.append), ("the past", self.past.add)):
            try:
                step(sample)
            except Exception as error:  # noqa: BLE001 - a fault of ours, told below
                faults.append(self._own_fault(what, error))
        try:
            health = self._health(sample)
        except Exception as error:  # noqa: BLE001
            faults.append(self._own_fault("the rules of health", error))
            health, self._stand = Health(line=f"not judged: {faults[-1]}"), None
        self._latest, self._fault = (self._latest[0] + 1, sample, health), "; ".join(faults)
        return True

    def _health(self, sample: Sample) -> Health:
        """What the rules say of it; what they said before, where that is fresh and nothing happened since."""
        stand = (sample.driver_state, tuple((gpu.uuid, gpu.state) for gpu in sample.gpus))
        if stand == self._stand and not sample.events and sample.m_ns - self._judged_ns < JUDGE_NS:
            return self._latest[2]
        self._stand, self._judged_ns = stand, sample.m_ns
        return self._judge.judge(sample, self.past)

    def _own_fault(self, what: str, error: Exception) -> str:
        """A fault of torchdoctor's own in words; the whole of it goes into its own log, each once."""
        words = f"a fault of torchdoctor's own in {what}: {type(error).__name__}: {error}"[:MOST_WORDS]
        if words not in self._logged and len(self._logged) < MOST_FAULTS:
            self._logged.add(words)
            _log().error("a fault in %s", what, exc_info=error)
        return words


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _log() -> logging.Logger:
    import logging  # only here: no command pays for it that has no fault to tell

    log = logging.getLogger("torchdoctor.sampler")
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # without the own log nothing is written, and never onto the screen
    return log


def _misunderstood(line: bytes) -> str:
    """What to make of a child whose lines are no samples."""
    try:
        msgspec.json.decode(line, type=Sample)
    except msgspec.ValidationError as error:
        if line.startswith(b"{"):
            return f"it speaks as another version of torchdoctor does: open the console anew ({error})"[:MOST_WORDS]
    except _UNREADABLE:
        pass
    return f"its lines are no samples: {last_line(line)}"[:MOST_WORDS]


def take_sample(
    deadline_s: float, command: tuple[str, ...] | None = None, first_child: FirstChild = lambda: None
) -> Sample:
    """One sample, at most `deadline_s` seconds from now; one without readings that says why, if there is no other.

    `first_child` is a child of the same command that somebody started already.
    """
    look = _OneLook(command or sampler_command(None), first_child)
    look.ended.wait(deadline_s)
    look.kill()
    found = look.found or f"hung: the sampler gave no answer in {deadline_s:g} s"
    return found if isinstance(found, Sample) else _without_readings(found)


class _OneLook:
    """A child that gives one sample, read and reaped by a thread that nobody waits for."""

    def __init__(self, command: tuple[str, ...], first_child: FirstChild) -> None:
        self.found: Sample | str = ""
        self.ended = threading.Event()
        self._late = False
        self._first_child = first_child
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, args=(list(command),), name="one sample", daemon=True).start()

    def kill(self) -> None:
        """Nobody wants its answer any more."""
        self._late = True
        if self._process is not None:
            self._process.kill()

    def _run(self, command: list[str]) -> None:
        try:
            self._process = process = self._first_child() or Piped(command, apart=True)
            if self._late:
                process.kill()
            words = LastWords(process.stderr)
            found, noise = _first_sample(process.stdout) if process.stdout else (None, "it has no pipe")
            self.found = found or f"the sampler died: {cause(process.wait(), words.text() or noise)}"
            self.ended.set()
            process.wait()
        except OSError as error:
            self.found = f"the sampler cannot be started: {error.strerror}"
            self.ended.set()


def _first_sample(pipe: IO[bytes]) -> tuple[Sample | None, str]:
    """The first line that is a sample, and the last that was not."""
    noise = ""
    while line := pipe.readline(MAX_LINE_BYTES):
        try:
            return msgspec.json.decode(line, type=Sample), noise
        except _UNREADABLE:
            noise = last_line(line) or noise
    return None, noise


def _without_readings(why: str) -> Sample:
    cell = Absent(state=CellState.ERROR, why=why)
    return Sample(
        t_ns=time.time_ns(),
        m_ns=time.monotonic_ns(),
        driver=cell,
        cuda=cell,
        driver_state=why,
        gpus=(),
        processes=(),
        host=HostSample(host=socket.gethostname(), cores=os.cpu_count() or 0),
        hardware=hardware.count(),
    )
