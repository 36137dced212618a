"""The target: which Python's PyTorch is diagnosed, found without running or importing anything of it."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

from . import child
from .model import Frozen, Target

DEADLINE_S = 5.0
MAX_FOLDERS = 256
"""Of PATH: each is looked at in a thread of its own."""


class TargetError(Exception):
    """The interpreter that was named cannot be a target; the text is one line with what to do."""


class Candidate(Frozen, frozen=True, kw_only=True):
    """One interpreter that was looked at: where its name came from, and what files say about it.

    `torch` is None where there is none. `note` says why it was passed over, or what is odd about it.
    """

    origin: str
    python: str
    torch: str | None = None
    cuda: str | None = None
    version: str = ""
    refusal: str | None = None
    note: str = ""


class TargetChoice(Frozen, frozen=True, kw_only=True):
    """The target, why it is this one, and every candidate that was looked at."""

    chosen: Target | None
    candidates: tuple[Candidate, ...]
    why: str


def find_targets(
    python: str | None,
    prefix: str | None = None,
    deadline_s: float = DEADLINE_S,
    environ: Mapping[str, str] = os.environ,
) -> TargetChoice:
    """Find the target: `--target` > `--python` > TORCHDOCTOR_PYTHON > the first with torch that is usual here.

    The usual ones are $VIRTUAL_ENV, $CONDA_PREFIX, our own interpreter, and `python3` and `python` on PATH. All
    looking happens in a killable child; a candidate on a file system that gives no answer is noted as hung.

    Raises:
        TargetError: if the one that was named cannot be used.
    """
    if prefix is not None:
        return _launched(prefix)
    named = python or environ.get("TORCHDOCTOR_PYTHON")
    if named:
        return _named(named, "--python" if python else "TORCHDOCTOR_PYTHON", deadline_s, environ)
    return _usual(deadline_s, environ)


# --- named by a person -----------------------------------------------------------------------------------------


def _launched(text: str) -> TargetChoice:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise TargetError(f"--target {text!r} cannot be read as a command: {error}") from None
    if len(words) < 2:
        raise TargetError(
            f"--target {text!r} needs a launcher and an interpreter, such as 'docker exec -i NAME python'; "
            "a plain interpreter goes to --python"
        )
    if missing := _missing_switch(words[:-1]):
        raise TargetError(f"--target {text!r}: {missing}")
    target = Target(python=words[-1], prefix=tuple(words[:-1]), origin="--target", torch="")
    return TargetChoice(chosen=target, candidates=(), why="named by --target; what is in it is seen when a probe runs")


_INTERACTIVE: dict[str, tuple[str, str]] = {
    "docker": ("-i", "--interactive"),
    "podman": ("-i", "--interactive"),
    "nerdctl": ("-i", "--interactive"),
    "kubectl": ("-i", "--stdin"),
    "oc": ("-i", "--stdin"),
}
"""Launchers that give a program no stdin unless they are told to, and how; the payload travels over stdin."""


def _missing_switch(prefix: list[str]) -> str:
    """What a prefix lacks or has too much of, "" if it will do."""
    name = next((os.path.basename(word) for word in prefix if os.path.basename(word) in _INTERACTIVE), None)
    if name is None:
        return ""
    short = "".join(word[1:] for word in prefix if re.fullmatch(r"-[a-z]{1,4}", word))
    if "t" in short or "--tty" in prefix:
        return f"{name} makes a terminal of its output, which changes what comes back: leave out -t"
    if "i" not in short and not any(word.startswith(_INTERACTIVE[name][1]) for word in prefix):
        return f"{name} gives the interpreter no stdin, over which the probes travel: add {_INTERACTIVE[name][0]}"
    return ""


def _named(python: str, origin: str, deadline_s: float, environ: Mapping[str, str]) -> TargetChoice:
    path = _absolute(python, deadline_s, environ)
    found = _described([(origin, path)], deadline_s, environ)[0]
    if found.note:
        raise TargetError(f"{origin} {python}: {found.note}; name a Python interpreter")
    if not found.refusal:
        found = _asked(found, deadline_s)
        if found.torch is None:
            raise TargetError(
                f"{origin} {python}: there is no torch in it; name another interpreter, "
                f"or bring one: {shlex.quote(path)} -m pip install torch"
            )
    return TargetChoice(chosen=_target(found), candidates=(found,), why=f"named by {origin}")


def _absolute(python: str, deadline_s: float, environ: Mapping[str, str]) -> str:
    if "/" not in python:
        return _on_path([python], environ, deadline_s)[0].get(python, python)
    return python if python.startswith("/") else os.path.join(os.getcwd(), python)


def _asked(found: Candidate, deadline_s: float) -> Candidate:
    """Let the interpreter that a person named say that it is one, and find torch its own way if files did not."""
    arguments = {"path": found.python, "deadline_s": deadline_s}
    try:
        version = child.ask("identify", arguments, deadline_s + 1)["version"]
        torch = {"__version__": found.torch, "cuda": found.cuda}
        if found.torch is None:
            torch = child.ask("find-torch", arguments, deadline_s + 1)
    except child.Hung:
        raise TargetError(f"{found.origin} {found.python}: hung: it did not start in {deadline_s:g} s") from None
    except child.ChildFailed as error:
        raise TargetError(f"{found.origin} {found.python}: {error}; name a Python interpreter") from None
    return Candidate(
        origin=found.origin,
        python=found.python,
        torch=torch.get("__version__"),
        cuda=torch.get("cuda"),
        version=version,
    )


# --- the usual ones --------------------------------------------------------------------------------------------


def _usual(deadline_s: float, environ: Mapping[str, str]) -> TargetChoice:
    end = time.monotonic() + deadline_s
    names, dead = _on_path(["python3", "python"], environ, deadline_s / 2)
    places = [
        ("VIRTUAL_ENV", _interpreter_of(environ.get("VIRTUAL_ENV"))),
        ("CONDA_PREFIX", _interpreter_of(environ.get("CONDA_PREFIX"))),
        ("torchdoctor's own", sys.executable),
        ("python3 on PATH", names.get("python3")),
        ("python on PATH", names.get("python")),
    ]
    left_s = round(max(0.1, end - time.monotonic()), 1)
    found = [*_described([(origin, path) for origin, path in places if path], left_s, environ), *dead]
    with_torch = [candidate for candidate in found if candidate.torch is not None]
    usable = [candidate for candidate in with_torch if not candidate.refusal]
    chosen = next(iter(usable or with_torch), None)
    return TargetChoice(
        chosen=_target(chosen) if chosen else None,
        candidates=tuple(found),
        why=f"the first with torch: {chosen.origin}" if chosen else _why_none(found),
    )


def _interpreter_of(prefix: str | None) -> str | None:
    return os.path.join(prefix, "bin", "python") if prefix and prefix.startswith("/") else None


def _why_none(found: list[Candidate]) -> str:
    return "; ".join(f"{each.origin} ({each.python}): {each.note or 'no torch in it'}" for each in found)


def _described(places: list[tuple[str, str]], deadline_s: float, environ: Mapping[str, str]) -> list[Candidate]:
    """Tier 0 of each place, all at once; a path that stands twice is looked at once."""
    arguments = {
        "candidates": [[str(n), path] for n, (_, path) in enumerate(places)],
        **import_places(environ),
        "root": os.geteuid() == 0,
        "own": sys.prefix,
    }
    try:
        parts = child.ask_each("interpreters", arguments, deadline_s)
    except (child.Hung, child.ChildFailed) as error:
        parts = dict.fromkeys(map(str, range(len(places))), child.Part("failed", cause=str(error)))
    return [_candidate(origin, path, parts[str(n)], deadline_s) for n, (origin, path) in enumerate(places)]


def import_places(environ: Mapping[str, str]) -> dict[str, Any]:
    """What an environment adds to where an interpreter imports from: arguments of the child's questions."""
    python_path = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path.startswith("/")]
    return {"python_path": python_path, "user_base": _user_base(environ)}


def _user_base(environ: Mapping[str, str]) -> str:
    """Where `pip install --user` puts packages (PEP 370), "" where it is switched off or unknown."""
    home = environ.get("HOME", "")
    base = environ.get("PYTHONUSERBASE") or (home and os.path.join(home, ".local"))
    return base if base.startswith("/") and not environ.get("PYTHONNOUSERSITE") else ""


def _candidate(origin: str, path: str, part: child.Part, deadline_s: float) -> Candidate:
    if part.state != "done":
        note = f"hung: no answer in {deadline_s:g} s" if part.state == "hung" else part.cause
        return Candidate(origin=origin, python=path, note=note)
    seen: dict[str, Any] = part.value
    odd = "a script, which only running it would see through" if seen["script"] and seen["torch"] is None else ""
    return Candidate(
        origin=origin,
        python=path,
        torch=seen["torch"],
        cuda=seen["cuda"],
        version=seen["version"],
        refusal=_refusal(path, seen["foreign"]),
        note=odd if origin not in ("--python", "TORCHDOCTOR_PYTHON") else "",
    )


def _refusal(path: str, foreign: str) -> str | None:
    if not foreign:
        return None
    return f"not run as root: {path} is not root's alone ({foreign}); run as its owner, or accept it with --as-root"


def _target(found: Candidate) -> Target:
    return Target(
        python=found.python,
        origin=found.origin,
        torch=found.torch,
        cuda=found.cuda,
        python_version=found.version,
        refusal=found.refusal,
    )


def _on_path(names: list[str], environ: Mapping[str, str], deadline_s: float) -> tuple[dict[str, str], list[Candidate]]:
    """The first executable of each name on PATH, and its folders that give no answer: the rest goes on without them."""
    folders = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder.startswith("/")][:MAX_FOLDERS]
    try:
        parts = child.ask_each("which", {"names": names, "folders": folders}, deadline_s)
    except (child.Hung, child.ChildFailed):
        parts = {}
    found: dict[str, str] = {}
    for folder in reversed(folders):
        part = parts.get(folder)
        found |= part.value if part is not None and part.state == "done" else {}
    note = f"hung: no answer in {deadline_s:g} s"
    dead = [folder for folder, part in parts.items() if part.state == "hung"]
    return found, [Candidate(origin="PATH", python=folder, note=note) for folder in dead]
