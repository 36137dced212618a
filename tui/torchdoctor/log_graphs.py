"""Graphs that can be run alone: which of what the Logs pane shows is one, and the file of one that lies in a trace."""

from __future__ import annotations

import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .panes.logs_views import Where

NAMES: Final = frozenset({"fx_graph_runnable.py", "minifier_launcher.py", "repro.py"})
KIND: Final = "fx_graph_runnable"
"""The artefact's name in a trace."""

MOST_BYTES: Final = 64 << 20


def is_graph(where: Where) -> bool:
    """Whether what is shown is a graph that can be run alone, by its name; its content is looked at when it is run."""
    if where.window is not None:
        return where.piece is not None and where.piece.kind == KIND
    name = os.path.basename(where.path)
    folder = os.path.dirname(where.path)
    checkpoint = os.path.basename(folder) == "checkpoints" and "minifier" in folder
    return name in NAMES or (checkpoint and name.endswith(".py"))


def file_of(path: str, window: tuple[int, int] | None, folder: str) -> str:
    """The file of a graph: its own, or, of a payload in a trace, a new one in `folder`.

    Raises:
        OSError: the trace cannot be read, or the file not be written.
    """
    if window is None:
        return path
    offset, size = window
    fd = import_module("torchprobes.compilelog.logfile").open_regular(path)
    try:
        data = os.pread(fd, min(size, MOST_BYTES), offset)
    finally:
        os.close(fd)
    lines = (line[1:] if line.startswith(b"\t") else line for line in data.split(b"\n"))
    made = os.path.join(folder, f"graph-{time.strftime('%Y%m%d-%H%M%S')}-{offset:x}.py")
    with open(made, "xb") as file:
        file.write(b"\n".join(lines))
    return made
