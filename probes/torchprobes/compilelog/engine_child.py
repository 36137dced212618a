"""The engine's child: walks, follows, reads and explains; says snapshots on stdout until stdin closes.

`python -I -B engine_child.py ROOT`; what it says is in `wire`. It writes nothing else, anywhere.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from dataclasses import replace

from torchprobes.compilelog.gather import Gatherer
from torchprobes.compilelog.wire import (
    COMPILES_OF,
    FILES,
    GROUPS,
    ROW_TYPES,
    Commit,
    Sections,
    Words,
    file_row,
    head_of,
)

SAY_S = 0.07


class Teller:
    """Says what is new of a gatherer."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._sections = Sections()
        self._revision = 0

    def tell(self, gatherer: Gatherer) -> None:
        """Say the snapshot as it is now."""
        explanation, tree = gatherer.explanation(), gatherer.tree()
        self._revision += 1
        frames = [*self._sections.patches(FILES, [file_row(file) for file in tree.files])]
        for name in ROW_TYPES:
            frames += self._sections.patches(name, getattr(explanation, name))
        nodes = gatherer.groups(explanation)
        for node in nodes:
            frames += self._sections.patches(f"{COMPILES_OF}{node.key}", node.compiles)
        frames += self._sections.patches(GROUPS, [replace(node, compiles=()) for node in nodes])
        commit = Commit(self._revision, head_of(explanation), tree.revision, tree.left_out, tree.cause)
        frames.append(self._sections.frame(commit))
        say(b"".join(frames), self._out)

    def fail(self, cause: str) -> None:
        """Say why there will be no more."""
        say(self._sections.frame(Words(cause)), self._out)


def say(data: bytes, out: int) -> None:
    """Write all of it; a reader that is gone ends this process."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(out, view) :]
    except OSError:
        os._exit(0)


def live(root: str, teller: Teller) -> None:
    """Follow `root` until stdin closes."""
    gatherer = Gatherer(root)
    said = None
    while True:
        started = time.monotonic()
        more = gatherer.step()
        if gatherer.state() != said:
            said = gatherer.state()
            teller.tell(gatherer)
        wait_s = 0.0 if more else max(0.0, SAY_S - (time.monotonic() - started))
        if select.select([0], [], [], wait_s)[0] and not os.read(0, 1):
            return


def main(words: list[str]) -> int:
    """Run until stdin closes."""
    gc.freeze()
    teller = Teller(1)
    try:
        live(words[0], teller)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person reads it
        teller.fail(f"the reader of logs failed: {type(error).__name__}: {error}"[:400])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
