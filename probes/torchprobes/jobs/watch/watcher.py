"""The watcher's program: `python -I -B watcher.py`, an order on stdin, which stays its lifeline.

It needs the site-packages of our own interpreter. It signals nobody and reads memory of nobody; of a job that our own
supervisor started, and whose supervisor was killed, it ends what that one left.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import sys
import threading
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    gc.disable()  # until we run: what the imports make stays
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from torchprobes.jobs.control import end_leftovers
from torchprobes.jobs.node import NodeFolder
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


CLEARING_S = 10.0
"""How long it waits at its own end for that of its lifeline."""


def clear_after(order: Order) -> threading.Thread:
    """A thread that waits for the lifeline's end and then ends what a killed supervisor left; nothing after a told end.

    The warden does it too, and better; this is for when both were killed.
    """

    def wait() -> None:
        hangs = select.poll()
        hangs.register(0, 0)  # POLLHUP alone, which comes unasked
        hangs.poll()
        end_leftovers(NodeFolder(Path(order.node)))

    thread = threading.Thread(target=wait, name="leftovers", daemon=True)
    thread.start()
    return thread


def main() -> int:
    """Watch one job to its end, or to the end of whoever wants to know."""
    prepare()
    try:
        order = take_order()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.set_blocking(0, False)
    clearing = clear_after(order) if order.mode == "launched" else None
    Watcher(order, 0).run()
    if clearing is not None:
        clearing.join(CLEARING_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
