"""The sampler child: one JSON line a sample on stdout, until stdin closes.

Its main thread never calls the driver: one thread opens it, another reads all GPUs, and is left to one that hangs, so
that a driver that hangs stops nothing but its own cells. No CUDA context is ever made. A driver that was exchanged
under us needs a new process: this one then ends with EXIT_REOPEN. Run by path, see `source`.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    gc.disable()  # until we run: what the imports make stays
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torchprobes.telemetry.letting_go import EXIT_REOPEN, RELEASE
from torchprobes.telemetry.sampling.composer import Composer

ONCE_S = 2.3
"""How long one sample waits for GPUs that do not answer; they are then told as hung."""

REST_S = 0.2
"""How long it then waits for names of processes, the host and the boot's inventory."""

FIRST_S = 0.3
"""How long the first sample waits for GPUs; those that need longer come later."""

GATHER_S = 0.1
"""How long a sample waits for the GPUs' ticks; what comes later is in the next one."""


GARBAGE = 20_000
"""So many new objects make the collector look for cycles: a tick makes thousands, all of them freed without it."""

_ENDING = (signal.SIGTERM, RELEASE)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line: `[--once [--within S]] [--root DIR] [PERIOD]`.

    `root` is where /proc, /sys and /dev are looked for; `within_s` is how long one sample waits for silent GPUs.
    """

    period_s: float = 0.5
    once: bool = False
    root: Path = Path("/")
    within_s: float = ONCE_S

    @classmethod
    def of(cls, words: list[str]) -> Options:
        """The options of a command line."""
        rest = [word for word in words if word != "--once"]
        named = {"--root": "/", "--within": str(ONCE_S)}
        for name in named:
            if name in rest:
                at = rest.index(name)
                named[name], rest = rest[at + 1], rest[:at] + rest[at + 2 :]
        period_s = float(rest[0]) if rest else 0.5
        return cls(period_s, "--once" in words, Path(named["--root"]), float(named["--within"]))


def own_pipe() -> int:
    """Where samples are written. What a library of a driver prints on stdout goes to stderr from now on."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def say(line: bytearray, out: int) -> None:
    """Write one line; a reader that is gone ends this process."""
    try:
        with memoryview(line) as data:
            done = 0
            while done < len(data):
                done += os.write(out, data[done:])
    except OSError:
        os._exit(0)


def run(composer: Composer, period_s: float, out: int) -> None:
    """Sample until stdin closes, at the rate that was asked for: due times stand, whatever a tick took."""
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    composer.start()
    composer.tick()
    composer.wait_for_gpus(min(FIRST_S, max(period_s, 0.05)))
    due = time.monotonic()
    while True:
        say(composer.line(), out)
        if composer.reopen():
            os._exit(EXIT_REOPEN)
        now = time.monotonic()
        due += period_s * max(1, -int(-(now - due) // period_s))
        sleep_until(due)
        composer.tick()
        composer.gather(min(GATHER_S, period_s / 2))


def sleep_until(due: float) -> None:
    """Wait; a lifeline that closes ends this process, and a thread in the driver is not waited for.

    It is looked at also when the time is over already: a process that cannot keep its pace ends all the same.
    """
    while True:
        left = max(0.0, due - time.monotonic())
        if select.select([0], [], [], left)[0] and not os.read(0, 4096):
            os._exit(0)
        if not left:
            return


def once(composer: Composer, within_s: float, out: int) -> None:
    """One sample of everything, then the end."""
    composer.start()
    composer.tick()
    composer.wait_for_gpus(within_s, patient=True)
    composer.wait_for_rest(REST_S)
    say(composer.line(), out)
    os._exit(0)


def main(words: list[str]) -> None:
    """One sample, or one each period."""
    for number in _ENDING:  # the kernel ends us at once, whatever our threads wait for
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    options, out = Options.of(words), own_pipe()
    if options.once:
        once(Composer(options.root, once=True), options.within_s, out)
    run(Composer(options.root), options.period_s, out)


if __name__ == "__main__":
    main(sys.argv[1:])
