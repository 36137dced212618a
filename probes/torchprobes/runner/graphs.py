"""The file of a graph that is run alone: what is asked of it before it runs, and how it comes to its payload."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from torchprobes import graph_file
from torchprobes.catalogue import PROBES, Probe
from torchprobes.environment.ownership import why_foreign
from torchprobes.graph_file import GraphFileError

__all__ = ["GraphFileError", "checked", "file_of", "of_file", "params", "placed"]


def checked(path: str, *, as_root: bool = False) -> str:
    """The absolute path of a graph that may be run: it is one by its content, and root runs no stranger's program.

    Raises:
        GraphFileError: in one line, why not.
    """
    found = os.path.abspath(path)
    graph_file.kind_of(graph_file.read(found))
    if os.geteuid() == 0 and not as_root and (why := why_foreign([found])):
        raise GraphFileError(f"{why}: as root its program is not run; run torchdoctor as that user, or with --as-root")
    return found


def of_file(path: str) -> tuple[Probe, ...]:
    """The probes of a graph, bound to its file: what a screen hands on as probes to run."""
    return tuple(replace(probe, params={**probe.params, "file": path}) for probe in PROBES if probe.graph)


def file_of(probes: Iterable[Probe]) -> str:
    """The file that probes are bound to, "" where there is none among them that needs one.

    Raises:
        GraphFileError: a probe of a graph is bound to none.
    """
    bound = [str(probe.params.get("file", "")) for probe in probes if probe.graph]
    if "" in bound:
        raise GraphFileError("graph.run runs the graph that is chosen in the Logs pane: r on its fx_graph_runnable.py")
    return bound[0] if bound else ""


def placed(probes: Iterable[Probe], path: str) -> tuple[Probe, ...]:
    """The probes, with those of a graph that names no GPU on the host: it needs none to be idle.

    A file that cannot be read any more is left to its payload, which says so.
    """
    rows = tuple(probes)
    if not any(probe.graph for probe in rows):
        return rows
    try:
        on_host = not graph_file.accelerators(graph_file.devices_in(graph_file.read(path)))
    except GraphFileError:
        return rows
    return tuple(replace(probe, place="host") if probe.graph and on_host else probe for probe in rows)


def params(path: str, *, far: bool) -> dict[str, object]:
    """What the payload is told: the path, and behind a launcher prefix, where no file of ours is, the text too.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return {"file": path, **({"source": graph_file.read(path)} if far else {})}
    except GraphFileError as error:
        raise OSError(str(error)) from None
