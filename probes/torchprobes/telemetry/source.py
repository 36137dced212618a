"""The console's end of the sampler: newest sample, history, and a child that is restarted and never waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import msgspec

from ..model import Absent, CellState, HostSample, Sample
from .history import History

SAMPLER = Path(__file__).parent / "sampler.py"

STRIKES = 3
"""After so many deaths in a row there is a banner instead of another start."""

RESTART_S = 1.0
SOUND = 10
"""Samples after which a child counts as sound, and earlier deaths are forgotten."""

STALE_S = 5.0
MAX_LINE_BYTES = 4 << 20


class Sampler:
    """Runs the sampler child and keeps what it says. All methods return at once and may be called on any thread."""

    def __init__(self, rate_hz: float = 2.0, command: tuple[str, ...] | None = None) -> None:
        self.history = History(rate_hz)
        self._command = command or (sys.executable, "-I", "-B", str(SAMPLER), str(1 / rate_hz))
        self._latest: tuple[int, Sample | None] = (0, None)
        self._heard = time.monotonic()
        self._words = ""
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the child and the thread that reads it."""
        threading.Thread(target=self._run, name="torchdoctor-sampler", daemon=True).start()

    def latest(self) -> tuple[int, Sample | None]:
        """The newest sample and its number; (0, None) before the first."""
        return self._latest

    @property
    def state(self) -> str:
        """What is wrong with the telemetry, in words; "" if nothing is."""
        silent = time.monotonic() - self._heard
        if not self._words and silent > STALE_S:
            return f"no sample for {silent:.0f} s: the sampler does not answer"
        return self._words

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
            heard, cause = self._one_life()
            if self._stopped.is_set():
                return
            strikes = 1 if heard >= SOUND else strikes + 1
            if strikes >= STRIKES:
                self._words = f"no telemetry: the sampler died {strikes} times ({cause})"
                return
            self._words = f"the sampler died ({cause}) and is started again"
            self._stopped.wait(RESTART_S)

    def _one_life(self) -> tuple[int, str]:
        """Start a child and read it to its end: how many samples it gave, and its last words or its exit."""
        try:
            process = _spawn(list(self._command))
        except OSError as error:
            return 0, f"cannot start it: {error.strerror}"
        self._process = process
        if process.stdout is None:
            return 0, "it has no pipe"
        count, noise = self._read(process.stdout)
        # Its successor must not pile up behind it in the driver: as long as it cannot die, there is no other.
        while process.poll() is None and not self._stopped.wait(0.1):
            self._words = "the sampler sits in a driver call that cannot be interrupted"
        return count, noise or f"exit {process.returncode}"

    def _read(self, pipe: IO[bytes]) -> tuple[int, str]:
        decoder, count, noise = msgspec.json.Decoder(Sample), 0, ""
        while line := pipe.readline(MAX_LINE_BYTES):
            try:
                sample = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                noise = line.decode(errors="replace").strip()[:200] or noise
                continue
            count += 1
            self.history.append(sample)
            self._heard, self._words = time.monotonic(), ""
            self._latest = (self._latest[0] + 1, sample)
        return count, noise


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        start_new_session=True,
    )


def take_sample(deadline_s: float, command: tuple[str, ...] | None = None) -> Sample:
    """One sample, at most `deadline_s` seconds from now; one without readings that says why, if there is no other."""
    words = command or (sys.executable, "-I", "-B", str(SAMPLER), "--once")
    box: list[Sample | str] = []
    ended = threading.Event()
    thread = threading.Thread(target=_take, args=(list(words), box, ended), daemon=True)
    thread.start()
    ended.wait(deadline_s)
    found = box[0] if box else f"hung: the sampler gave no answer in {deadline_s:g} s"
    return found if isinstance(found, Sample) else _without_readings(found)


def _take(command: list[str], box: list[Sample | str], ended: threading.Event) -> None:
    noise = ""
    try:
        process = _spawn(command)
        for line in iter(process.stdout.readline, b"") if process.stdout else ():
            try:
                box.append(msgspec.json.decode(line, type=Sample))
                break
            except (msgspec.MsgspecError, UnicodeDecodeError):
                noise = line.decode(errors="replace").strip()[:200] or noise
        if not box:
            box.append(f"the sampler died: {noise or f'exit {process.wait()}'}")
    except OSError as error:
        box.append(f"the sampler cannot be started: {error.strerror}")
    ended.set()


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
    )
