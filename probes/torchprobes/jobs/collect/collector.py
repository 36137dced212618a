"""The program that collects: an order as JSON on stdin, `NodeEvidence` as JSON on stdout. Run by path, see `apart`.

It ends when stdin closes, whatever its threads wait for, and leaves nothing behind: what it starts dies with it, and
nothing that it does stops a process.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import msgspec

from torchprobes.jobs.collect.collecting import collect
from torchprobes.jobs.collect.order import Order
from torchprobes.jobs.node import NodeFolder

MOST_BYTES = 16 << 20


def main() -> None:
    """Take the order, collect, answer."""
    out = os.dup(1)
    os.dup2(2, 1)
    order = msgspec.json.decode(sys.stdin.buffer.readline(MOST_BYTES), type=Order)
    threading.Thread(target=_end_with_asker, name="lifeline", daemon=True).start()
    node = NodeFolder(Path(order.node)) if order.node else None
    found = collect(order.job, node, order.deadline_s, order.looks, sample=order.sample)
    data = memoryview(msgspec.json.encode(found))
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)  # a thread that hangs is not waited for


def _end_with_asker() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
