"""`record`: samples into a file, or into a flight recorder's folder that never grows beyond its size."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import Final

import click

from torchdoctor.settings import Settings
from torchprobes.reports import exit_codes
from torchprobes.telemetry.recording.file import RecordingError
from torchprobes.telemetry.recording.recorder import Recorder, header
from torchprobes.telemetry.recording.ring import LEAST_BYTES, FileStore, Ring

from ._flight import own_folder
from ._interrupts import Interrupts
from ._options import settings_of, settings_options
from ._output import note, say
from ._when import size, span, span_words

RING_HZ: Final = 0.4
"""The flight recorder's own pace: eight GPUs at this cost less than 0.3 % of a core, driver calls and all."""

LOOK_S: Final = 5.0
FIRST_LOOK_S: Final = 0.1
FIRST_S: Final = 10.0
"""A sampler that says nothing for so long is no reason to wait any longer."""

UNIT: Final = Path(__file__).parents[1] / "data" / "torchdoctor-record.service"
PLACEHOLDER: Final = "/usr/bin/env torchdoctor"


@click.command("record")
@click.argument("path", required=False, metavar="[FILE|DIR]")
@click.option("--for", "seconds", callback=span, metavar="SPAN", help="End after so long: 90s, 10m, 24h.")
@click.option("--ring", "keep", callback=span, metavar="SPAN", help="A flight recorder: keep so much, in a folder.")
@click.option("--max", "most", callback=size, default="200MB", show_default=True, help="The ring's size on the disk.")
@click.option("--unit", is_flag=True, help="Print a systemd unit for the flight recorder.")
@settings_options("rate_hz", "out", "read_only")
@click.pass_context
def record_(
    ctx: click.Context, path: str | None, seconds: float | None, keep: float | None, most: int, unit: bool
) -> int:
    r"""Record the telemetry of this node, without a screen and without a CUDA context.

    \b
    torchdoctor record run.jsonl.gz              until Ctrl-C or SIGTERM
    torchdoctor record --ring 24h --max 200MB    a flight recorder, read by
                                                 `diagnose --at` and `replay`
    """
    if unit:
        say(unit_text())
        for folder in barred(Path(sys.executable))[:1]:
            note(f"the service's user cannot enter {folder}: install torchdoctor where everybody may read it")
        return exit_codes.OK
    settings = settings_of(ctx)
    rate = settings.rate_hz
    if keep is None and path is None:
        raise click.UsageError("name a file, or keep a flight recorder with --ring 24h")
    try:
        if keep is None:
            store: FileStore = FileStore(Path(str(path)).absolute(), header(rate), note)
            where = str(path)
        else:
            rate = rate if _is_given(ctx, settings) else RING_HZ
            folder = Path(path).absolute() if path else own_folder(settings)
            store, where = _ring(folder, rate, keep, most), str(folder)
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    return _record(store, rate, where, seconds)


def _is_given(ctx: click.Context, settings: Settings) -> bool:
    """Whether somebody said how often to sample."""
    return "rate_hz" in ctx.ensure_object(dict) or settings.rate_hz != Settings().rate_hz


def _ring(folder: Path, rate: float, keep_s: float, most: int) -> Ring:
    if most < LEAST_BYTES:
        raise click.UsageError(f"--max {most} is too small: a flight recorder needs {LEAST_BYTES >> 20} MiB at least")
    return Ring(folder, header(rate), note, keep_s, most)


def _record(store: FileStore, rate: float, where: str, seconds: float | None) -> int:
    """Record until a signal or the end of the time; both are a good end."""
    recorder, told = Recorder(store, rate), ""
    clock = _Clock(seconds)
    with Interrupts() as interrupts:
        recorder.start()
        note(f"recording to {where} at {rate:g} Hz; Ctrl-C ends it")
        while not interrupts.count and (left := clock.left_s(store.samples > 0)) > 0:
            interrupts.wait(left)
            if (state := recorder.state) != told:
                told = state
                note(state or "the sampler answers again")
        closed = recorder.close()
    note(f"{store.samples} samples in {span_words(clock.lasted_s())}, {store.size / 1e6:.1f} MB: {where}")
    if not closed:
        note(f"{where} does not answer: its last sample may be missing")
        os._exit(exit_codes.INCOMPLETE)  # a thread in a dead file system would hold the interpreter
    return exit_codes.OK if store.samples else exit_codes.INCOMPLETE


class _Clock:
    """How long to wait before the next look. The time that was asked for begins with the first sample."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._first: float | None = None

    def left_s(self, is_sampling: bool) -> float:
        """Until the next look, or until the time is over: then 0."""
        now = time.monotonic()
        if self._first is None and (is_sampling or now - self._began > FIRST_S):
            self._first = now
        if self._seconds is None:
            return LOOK_S
        return FIRST_LOOK_S if self._first is None else min(LOOK_S, self._first + self._seconds - now)

    def lasted_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began


def unit_text() -> str:
    """The systemd unit, with the program that runs now."""
    return UNIT.read_text(encoding="utf-8").replace(PLACEHOLDER, _program())


def barred(program: Path) -> list[Path]:
    """The folders above a program that others than their owner may not enter, where a service cannot start it."""
    found = []
    for folder in reversed(program.absolute().parents):
        with contextlib.suppress(OSError):
            if not folder.stat().st_mode & stat.S_IXOTH:
                found.append(folder)
    return found


def _program() -> str:
    """How this program is started again, as systemd quotes it."""
    script = os.path.abspath(sys.argv[0])
    named = os.path.basename(script) == "torchdoctor" and os.access(script, os.X_OK)
    words = [script] if named else [os.path.abspath(sys.executable), "-m", "torchdoctor"]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """One word of ExecStart: systemd.service(5), "Quoting" and "Specifiers"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(sign in word for sign in " \t\"'\\;") else escaped
