"""How this torchdoctor is started again: on this node, or on another one with the same files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torchdoctor
import torchprobes


def own_program() -> list[str]:
    """The command, right in any folder and with any PATH."""
    script = Path(sys.argv[0])
    if script.name == "torchdoctor" and script.is_absolute() and os.access(script, os.X_OK):
        return [str(script)]
    roots = [str(Path(package.__path__[0]).parent) for package in (torchdoctor, torchprobes)]
    # By -c and not by PYTHONPATH: the environment goes on to the ranks, whose packages must stay their own.
    return [sys.executable, "-B", "-c", PROGRAM.format(roots=roots)]


PROGRAM = "import sys; sys.path[:1] = {roots!r}; from torchdoctor.__main__ import main; main()"
