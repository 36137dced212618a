"""The watcher's program: `python -I -B watcher.py`, an order on stdin, which stays its lifeline.

It needs the site-packages of our own interpreter. It signals nobody and reads memory of nobody; of a job that our own
supervisor started, and whose supervisor was killed, it ends what that one left.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    gc.disable()  # until we run: what the imports make stays
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from torchprobes.jobs.watch.engine import Watcher
from torchprobes.jobs.watch.order import MOST_BYTES, Order, read


def take_order() -> Order:
    """The first line of stdin."""
    data = b""
    while b"\n" not in data and len(data) < MOST_BYTES:
        more = os.read(0, 1 << 16)
        if not more:
            break
        data += more
    return read(data.partition(b"\n")[0])


def prepare() -> None:
    """Many descriptors, no pipe that kills us, and no part in a person's Ctrl-C."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    gc.enable()


def main() -> int:
    """Watch one job to its end, or to the end of whoever wants to know."""
    prepare()
    try:
        order = take_order()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.set_blocking(0, False)
    Watcher(order, 0).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
