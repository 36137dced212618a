"""A process that probes are to run like: what they are given of it, and in words what differs from here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .. import child
from ..masking import mask_environment
from ..model import Difference, Like
from .families import matters

DEADLINE_S: Final = 3.0
_MOST_VALUE: Final = 160
_MOST_NAMES: Final = 6
_NOT_SET: Final = "not set"

_PASSING: Final = frozenset({"_", "SHLVL", "OLDPWD", "PWD", "TERM", "COLUMNS", "LINES", "WINDOWID"})
"""What every shell sets for itself: no difference between a shell and a job."""

_RANK: Final = re.compile(
    r"(RANK|LOCAL_RANK|GROUP_RANK|ROLE_(RANK|NAME|WORLD_SIZE)|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_WORLD_SIZE"
    r"|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+|TORCHDOCTOR_\w+)"
)
"""What makes a process a rank of its job: a probe is none, and one that thought so would wait for the others."""

_LISTS: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD")
"""Variables whose relative entries mean the folder of the process, which a probe does not run in."""


class LikeError(Exception):
    """Probes cannot run like this process; the text is one line with the reason."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is given to the probes; `environ` holds secrets, and is neither shown nor kept."""

    python: str
    like: Like
    environ: Mapping[str, str] = field(repr=False)
    cores: tuple[int, ...] = ()
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def read(
    pid: int,
    started: int | None = None,
    *,
    as_root: bool = False,
    environ: Mapping[str, str] = os.environ,
    python: str = "",
    deadline_s: float = DEADLINE_S,
) -> Likeness:
    """The process `pid` (started at `started`; None: whoever has that pid), compared with this environment.

    `python` is the interpreter that would be taken without it, "" if that is not known.

    Raises:
        LikeError: if it is gone, is another's, is no Python, or gives no answer.
    """
    arguments = {"pid": pid, "started": started, "as_root": as_root}
    try:
        found: dict[str, Any] = child.ask("like", arguments, deadline_s)
    except child.Hung:
        raise LikeError(f"--like {pid}: it lets nobody read its memory (no answer in {deadline_s:g} s)") from None
    except child.ChildFailed as error:
        raise LikeError(f"--like {pid}: {error}") from None
    like = Like(
        pid=pid,
        started=found["started"],
        user=found["user"],
        command=found["command"],
        folder=found["folder"],
        cgroup=tuple(found["cgroup"]),
        differences=tuple(_differences(found, found["here"], environ, python)),
    )
    limits = {name: (soft, hard) for name, (soft, hard) in found["limits"].items()}
    given = _given(found["environ"], found["folder"])
    return Likeness(python=found["python"], like=like, environ=given, cores=tuple(found["cores"]), limits=limits)


def _given(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """What a probe gets of its environment: without what makes it a rank, and with relative entries made whole."""
    kept = {name: value for name, value in environ.items() if not _RANK.fullmatch(name)}
    for name in _LISTS:
        if kept.get(name):
            kept[name] = os.pathsep.join(os.path.join(folder, entry) for entry in kept[name].split(os.pathsep))
    return kept


# --- what differs -----------------------------------------------------------------------------------------------


def _differences(
    there: Mapping[str, Any], here: Mapping[str, Any], environ: Mapping[str, str], python: str
) -> Iterator[Difference]:
    """In the order in which they matter: the interpreter, variables, cores, limits, groups, and what is only told."""
    if python and there["python"] != python:
        yield Difference(what="interpreter", here=python, there=there["python"])
    yield from _variables(there["environ"], environ)
    if there["cores"] != here["cores"]:
        yield Difference(what="cores", here=ranges(here["cores"]), there=ranges(there["cores"]))
    for name, (soft, hard) in there["limits"].items():
        own = here["limits"].get(name, [soft, hard])
        if [soft, hard] != own:
            yield Difference(what=f"limit {name[7:].lower()}", here=_limit(*own), there=_limit(soft, hard))
    if there["cgroup"] != here["cgroup"]:
        ours, theirs = (_cut(", ".join(each["cgroup"])) for each in (here, there))
        yield Difference(what="cgroup", here=ours, there=theirs, applied=False)
    if there["folder"] != os.getcwd():
        yield Difference(what="folder", here=os.getcwd(), there=there["folder"], applied=False)


def _variables(there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[Difference]:
    other = {name for name in there.keys() | here.keys() if there.get(name) != here.get(name)} - _PASSING
    told = sorted(name for name in other if matters(name) and not _RANK.fullmatch(name))
    ours, theirs = mask_environment(here), mask_environment(there)
    for name in told:
        yield Difference(what=name, here=_cut(ours.get(name, _NOT_SET)), there=_cut(theirs.get(name, _NOT_SET)))
    ranks = sorted(name for name in other if _RANK.fullmatch(name) and name in there)
    if ranks:
        yield Difference(what="variables of its rank", here=_NOT_SET, there=_named(ranks), applied=False)
    rest = sorted(other - set(told) - set(ranks))
    if rest:
        yield Difference(what=f"{len(rest)} other variables", here="", there=_named(rest))


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _cut(value: str) -> str:
    return value if len(value) <= _MOST_VALUE else f"{value[:_MOST_VALUE]}… ({len(value)} characters)"


def _limit(soft: int, hard: int) -> str:
    words = ["unlimited" if value == -1 else str(value) for value in (soft, hard)]
    return words[0] if words[0] == words[1] else f"{words[0]} (at most {words[1]})"


def ranges(cores: list[int]) -> str:
    """Cores as the kernel lists them: `0-3,8`."""
    found: list[list[int]] = []
    for core in sorted(cores):
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
