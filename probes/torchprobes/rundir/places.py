"""Where runs are kept: the first folder that can be written."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .. import child
from ..model import Frozen
from .run import RunError


class Place(Frozen, frozen=True, kw_only=True):
    """Where runs are kept, which rule chose it, and a line for the person where a better place was refused."""

    path: str
    origin: str
    note: str = ""


def candidate_places(environ: Mapping[str, str], uid: int) -> list[tuple[str, str]]:
    """(origin, path) of the places to try, best first: design, "The run directory"."""
    home = environ.get("HOME", "")
    xdg = environ.get("XDG_STATE_HOME") or (home and os.path.join(home, ".local", "state"))
    rows = [
        ("TORCHDOCTOR_STATE", environ.get("TORCHDOCTOR_STATE", "")),
        ("XDG state", xdg and os.path.join(xdg, "torchdoctor")),
        ("XDG_RUNTIME_DIR", _below(environ.get("XDG_RUNTIME_DIR", ""), "torchdoctor")),
        ("TMPDIR", os.path.join(environ.get("TMPDIR") or "/tmp", f"torchdoctor-{uid}")),  # noqa: S108 - owner checked
    ]
    return [(origin, path) for origin, path in rows if path.startswith("/")]


def _below(folder: str, name: str) -> str:
    return folder and os.path.join(folder, name)


def choose_place(out: str | None, environ: Mapping[str, str] = os.environ, deadline_s: float = 1.0) -> Place:
    """The first place that can be written, tried in a killable child.

    Raises:
        RunError: if `out` was given and cannot be written, or if no place can.
    """
    if out is not None:
        path = os.path.join(os.getcwd(), out) if not os.path.isabs(out) else out
        cause = _why_not(path, deadline_s)
        if cause:
            raise RunError(f"--out {out}: {cause}; name a folder that you can write")
        return Place(path=path, origin="--out")
    refused: list[str] = []
    for origin, folder in candidate_places(environ, os.getuid()):
        path = os.path.join(folder, "runs")
        cause = _why_not(path, deadline_s)
        if not cause:
            return Place(path=path, origin=origin, note="; ".join(refused))
        refused.append(f"{origin} {folder}: {cause}")
    raise RunError("no folder for runs can be written: " + "; ".join(refused) + "; give one with --out")


def _why_not(path: str, deadline_s: float) -> str:
    """Why runs cannot be kept in `path`, "" if they can: the child makes it, checks its owner, writes there."""
    try:
        return str(child.ask("writable", {"path": path}, deadline_s) or "")
    except child.Hung:
        return f"hung: its file system gave no answer in {deadline_s:g} s"
    except child.ChildFailed as error:
        return str(error)
