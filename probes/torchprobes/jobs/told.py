"""What a rank of our own run told of itself when it began: where it can be asked for its stacks and its recorder.

The injection writes it into the rank's event file, as an event `init` with labels: `server` is the path of the worker
server's socket, `stack_signal` the number of the private signal of faulthandler. Its stacks go to the file that
`NodeFolder.stacks` has for this process. Of a job that torchdoctor did not start nothing is known and nothing asked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..distributed import RankIdentity
from ..model import Event
from .node import NodeFolder

MOST_BYTES: Final = 256 << 10
_decoder: Final = msgspec.json.Decoder(Event)


class Told(NamedTuple):
    """The worker server's socket ("" if there is none), faulthandler's signal (None: none) and its file."""

    server: str = ""
    stack_signal: int | None = None
    stack_file: Path | None = None


def file_names(rank: RankIdentity) -> tuple[str, ...]:
    """A rank's files in a node's folder, without their ending: by the pid that the rank itself sees."""
    pids = dict.fromkeys(pid for pid in (rank.inner_pid, rank.pid) if pid)
    return tuple(f"{pid}.r{rank.rank}.a{rank.attempt}" for pid in pids)


def told(node: NodeFolder | None, rank: RankIdentity) -> Told:
    """What a rank said of itself; nothing if it is not of our own run, or said nothing."""
    if node is None:
        return Told()
    for name in file_names(rank):
        labels = _labels(node.events / f"{name}.jsonl")
        if labels:
            number = labels.get("stack_signal", "")
            return Told(
                server=labels.get("server", ""),
                stack_signal=int(number) if number.isascii() and number.isdigit() and len(number) < 4 else None,
                stack_file=node.stacks / f"{name}.txt",
            )
    return Told()


def _labels(path: Path) -> dict[str, str]:
    """The labels of the first events `init` together."""
    found: dict[str, str] = {}
    for line in _head(path).split(b"\n")[:-1]:
        if b'"init"' not in line:
            continue
        try:
            event = _decoder.decode(line)
        except msgspec.MsgspecError:
            continue
        if event.ev == "init":
            found = {**event.labels, **found}
    return found


def _head(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(handle)
