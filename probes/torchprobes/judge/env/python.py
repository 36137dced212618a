"""Rules of `env.python`: does this PyTorch know this Python, and does torch.compile work on it?"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Readings, Severity, Verdict
from ..reading import is_true, text
from ..rules import Positive, Rule
from .versions import key, release, satisfies

_ALL = ("env.python",)

Minor = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Limit:
    """From this PyTorch on, torch.compile raises on this Python and later ones.

    So it does on a free-threaded one before `free_threaded`; None: on all of them.
    """

    torch: Minor
    python: Minor
    free_threaded: tuple[int, int, int] | None


LIMITS: tuple[_Limit, ...] = (
    _Limit((2, 10), (3, 15), (3, 13, 3)),
    _Limit((2, 6), (3, 14), None),
    _Limit((2, 4), (3, 13), None),
    _Limit((2, 0), (3, 12), None),
)
"""Newest first. `compile` in torch/__init__.py and `check_if_dynamo_supported` in torch/_dynamo/eval_frame.py, read in
2.1.2, 2.6.0, 2.13.0 and 2.14.1, and in the wheels between them for the Python alone."""

NEWEST_READ: Minor = (2, 14)
"""The newest PyTorch whose limit was read: a later one takes these Pythons too, and perhaps later ones."""


def _python(readings: Readings) -> tuple[int, int, int] | None:
    parts = text(readings, "python.version").split(".")
    return (int(parts[0]), int(parts[1]), int(parts[2])) if len(parts) == 3 and all(map(str.isdigit, parts)) else None


def _limit(readings: Readings) -> _Limit | None:
    torch = release(text(readings, "torch.version"))
    return next((limit for limit in LIMITS if torch is not None and limit.torch <= torch), None)


def _compile_raises(readings: Readings) -> str | None:
    limit, python = _limit(readings), _python(readings)
    if limit is None or python is None or (release(text(readings, "torch.version")) or NEWEST_READ) > NEWEST_READ:
        return None
    torch, own = text(readings, "torch.version"), text(readings, "python.version")
    if python[:2] >= limit.python:
        last = f"{limit.python[0]}.{limit.python[1] - 1}"
        return f"torch {torch} compiles on Python up to {last}, this is {own}"
    if is_true(readings, "python.free_threaded") is not True:
        return None
    if limit.free_threaded is None and limit.torch == (2, 6) and (release(torch) or limit.torch) > limit.torch:
        return None  # 2.7 to 2.9 were not read for this
    if limit.free_threaded is None or python < limit.free_threaded:
        needs = "no free-threaded Python" if limit.free_threaded is None else "free-threaded Python from 3.13.3 on"
        return f"torch {torch} compiles on {needs}, this is {own} built without the GIL"
    return None


def _no_extension(readings: Readings) -> str | None:
    fact = readings.fact("torch.extension")
    if fact is None or fact.value is not None:
        return None
    there = fact.evidence.partition(" ")[2]
    return f"Python {text(readings, 'python.version')} loads {text(readings, 'python.suffix')}, torch has {there}"


def _not_for_it(readings: Readings) -> str | None:
    needed, own = text(readings, "torch.requires_python"), text(readings, "python.version")
    if not needed or satisfies(own, needed) is not False:
        return None
    return f"torch {text(readings, 'torch.version')} requires Python {needed}, this is {own}"


def _no_gil(readings: Readings) -> str | None:
    if is_true(readings, "python.free_threaded") is not True:
        return None
    state = {True: "on", False: "off"}.get(is_true(readings, "python.gil"), "not told")  # type: ignore[arg-type]
    return f"Python {text(readings, 'python.version')} is built without the GIL; the GIL is {state}"


def _before_release(readings: Readings) -> str | None:
    level = text(readings, "python.release")
    return (
        f"Python {text(readings, 'python.version')} is a pre-release ({level})" if level not in ("", "final") else None
    )


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-070", _ALL, Verdict.DEGRADED, Severity.WARNING, _compile_raises, ("TD-ENV-073",)),
    Rule("TD-ENV-071", _ALL, Verdict.FAIL, Severity.CRITICAL, _no_extension, ("TD-ENV-072",)),
    Rule("TD-ENV-072", _ALL, Verdict.DEGRADED, Severity.WARNING, _not_for_it),
    Rule("TD-ENV-073", _ALL, None, Severity.INFO, _no_gil),
    Rule("TD-ENV-074", _ALL, None, Severity.WARNING, _before_release),
)


def _known(readings: Readings) -> str | None:
    """The core for this very Python is there, and the version's limit is known and not reached."""
    extension, torch, own = text(readings, "torch.extension"), text(readings, "torch.version"), _python(readings)
    if not extension or own is None or key(torch) is None:
        return None
    python = text(readings, "python.version")
    limit = _limit(readings)
    if limit is None or own[:2] >= limit.python:
        return None
    return (
        f"Python {python} and torch {torch}: {extension} is there, and torch.compile takes Python up to "
        f"{limit.python[0]}.{limit.python[1] - 1}"
    )


POSITIVE: Positive = {"env.python": _known}
