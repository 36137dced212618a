"""The program that looks: a pid as its argument, `Compiling` as JSON on stdout. Run by path, see `asking`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import msgspec

from torchprobes.jobs.compiling.looking import Gone, look

LIMIT_S = 30


def main() -> int:
    """Look, and answer; the alarm ends this process whatever holds it up."""
    signal.alarm(LIMIT_S)
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        found = look(int(sys.argv[1]))
    except Gone as error:
        sys.stderr.write(f"{error}\n")
        return 3
    with os.fdopen(out, "wb") as file:
        file.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
