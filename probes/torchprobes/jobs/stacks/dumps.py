"""What faulthandler writes, as stacks: its file, and the worker server's `dump_traceback`. Pure.

Forms of CPython 3.8 to 3.14 (Python/traceback.c): `Thread 0x… (most recent call first):`, since 3.14 with the thread's
name in brackets, `Current thread …` for the one that caught the signal; `File "…", line N in f`. Newer ones may add a
stack in C, which is passed over.
"""

from __future__ import annotations

import re
from typing import Final

from ...distributed import SourceName
from ...rank_evidence import Frame, Stack, ThreadStack

_THREAD: Final = re.compile(
    r"^(?:Current thread|Thread) (0x[0-9a-f]{1,16})(?: \[(.{0,64}?)\])? \(most recent call first\):"
)
_FRAME: Final = re.compile(r'^  File (?:"(.{0,4096})"|(\?\?\?)), line (\d{1,9}|\?\?\?)(?: in (.{0,512}))?$')
_MOST_THREADS: Final = 256
_MOST_FRAMES: Final = 256


def parse_dump(text: str, how: SourceName, t_ns: int) -> Stack | None:
    """The stack that a dump tells; None if it holds no thread at all. Of several dumps one after another, the last."""
    threads: list[tuple[str, str, list[Frame]]] = []
    seen: set[str] = set()
    for line in text.splitlines():
        if head := _THREAD.match(line):
            if head[1] in seen:  # the same thread once more: another dump begins
                threads, seen = [], set()
            seen.add(head[1])
            threads.append((head[1], head[2] or "", []))
        elif threads and (frame := _FRAME.match(line)) and len(threads[-1][2]) < _MOST_FRAMES:
            threads[-1][2].append(_frame(frame))
    if not threads:
        return None
    main = _main([frames for _, _, frames in threads])
    told = tuple(
        ThreadStack(name=name or thread, main=at == main, frames=tuple(frames))
        for at, (thread, name, frames) in enumerate(threads[:_MOST_THREADS])
    )
    return Stack(how=how, t_ns=t_ns, threads=told)


def _main(threads: list[list[Frame]]) -> int:
    """Which is the main thread: interpreters list the newest thread first, and a program begins in a module."""
    programs = [at for at, frames in enumerate(threads) if frames and frames[-1].function == "<module>"]
    return (programs or list(range(len(threads))))[-1]


def _frame(found: re.Match[str]) -> Frame:
    line = int(found[3]) if found[3].isdigit() else None
    return Frame(function=found[4] or "?", file=found[1] or "", line=line)
