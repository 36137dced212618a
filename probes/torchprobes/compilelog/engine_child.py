"""The engine's child: walks, follows, reads and explains; says snapshots on stdout until stdin closes.

`python -I -B engine_child.py ROOT`; what it says is in `wire`. It writes nothing else, anywhere.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from torchprobes.compilelog.gather import ROWS, Gatherer
from torchprobes.compilelog.tree import NO_TREE
from torchprobes.compilelog.wire import (
    FILES,
    GROUPS,
    ROW_TYPES,
    Commit,
    Sections,
    Words,
    compiles_of,
    file_row,
    head_of,
)

STEP_S: Final = 0.05
"""Reading goes on for so long before it is looked whether there is something to say."""

SAY_S: Final = 0.07
"""The least time between two snapshots."""

SHARE_READING: Final = 0.05
"""The part of the time that making snapshots may take while there is more to read."""

SHARE: Final = 0.5
"""The part that it may take else, while something grows."""

LOOK_S: Final = 0.05
QUIET_LOOK_S: Final = 0.02
"""After something new the next look comes sooner: a text's last message is told when nothing follows it."""

DESCRIPTORS: Final = 4_000
GARBAGE: Final = 50_000
"""So many new objects make the collector look for cycles; events have none."""


class Teller:
    """Says what is new of a gatherer."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._sections = Sections()
        self._revision = 0
        self._tree = NO_TREE

    def tell(self, gatherer: Gatherer) -> None:
        """Say the snapshot as it is now."""
        explanation, tree = gatherer.explanation(time.time(), ROWS), gatherer.tree()
        self._revision += 1
        for name in ROW_TYPES:
            self._patch(name, getattr(explanation, name))
        nodes = gatherer.groups(explanation)
        for node in nodes:
            self._patch(compiles_of(node.key), node.compiles[-ROWS:])
        self._patch(GROUPS, [replace(node, compiles=()) for node in nodes])
        if tree is not self._tree:
            self._tree = tree
            self._patch(FILES, [file_row(file) for file in tree.files])
        commit = Commit(self._revision, head_of(explanation), tree.revision, tree.left_out, tree.cause)
        say(self._sections.frame(commit), self._out)

    def fail(self, cause: str) -> None:
        """Say why there will be no more."""
        say(self._sections.frame(Words(cause)), self._out)

    def _patch(self, section: str, rows: Sequence[object] | None) -> None:
        for frame in self._sections.patches(section, rows):
            say(frame, self._out)


def say(data: bytes, out: int) -> None:
    """Write all of it; a reader that is gone ends this process."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(out, view) :]
    except OSError:
        os._exit(0)


def live(root: str, teller: Teller, hold: int) -> None:
    """Follow `root` until stdin closes."""
    gatherer = Gatherer(root, hold)
    said, say_at = -1, 0.0
    while True:
        before = gatherer.revision
        more = gatherer.step(STEP_S)
        now = time.monotonic()
        if gatherer.revision != said and now >= say_at and gatherer.settled:
            said, begun = gatherer.revision, time.thread_time()
            teller.tell(gatherer)
            cost = time.thread_time() - begun  # not wall: a moment without a core must not make a longer one
            say_at = now + max(SAY_S, cost / (SHARE_READING if more else SHARE))
        wait_s = 0.0 if more else QUIET_LOOK_S if gatherer.revision != before else LOOK_S
        if gatherer.revision != said:
            wait_s = min(wait_s, max(0.0, say_at - time.monotonic()))
        if select.select([0], [], [], wait_s)[0] and not os.read(0, 1):
            return


def descriptors() -> int:
    """How many files this process may hold open: it takes what the system gives, up to `DESCRIPTORS`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(16, max(soft, wanted) - 64)


def main(words: list[str]) -> int:
    """Run until stdin closes."""
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 100)
    teller = Teller(1)
    try:
        live(words[0], teller, descriptors())
    except Exception as error:  # noqa: BLE001 - whatever it is, the person reads it
        teller.fail(f"the reader of logs failed: {type(error).__name__}: {error}"[:400])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
