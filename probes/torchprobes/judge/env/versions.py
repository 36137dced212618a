"""Versions of Python packages compared: the part of PEP 440 that requirements of PyTorch use."""

from __future__ import annotations

import re

Key = tuple[tuple[int, ...], int, int, int]

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview)[-_.]?(\d*))?"
                      r"(?:[-_.]?(?:post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+.*)?")  # fmt: skip
_CLAUSE = re.compile(r"(===|==|!=|~=|<=|>=|<|>)(.+)")
_STAGE = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1, "preview": -1}


def key(version: str) -> Key | None:
    """What orders a version: release, stage before it, post-release; None if it is no version. `+cu130` is no part."""
    found = _VERSION.fullmatch(version.strip().lower())
    if found is None:
        return None
    release, stage, number, post, dev, _ = found.groups()
    numbers = tuple(int(n) for n in release.split("."))
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    order = _STAGE[stage] if stage else (-4 if dev else 0)
    return numbers, order, int(number or 0), int(post or 0) if post is not None else -1


def release(version: str) -> tuple[int, int] | None:
    """(2, 13) of "2.13.0+cpu"; None if it is no version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def satisfies(version: str, specifier: str) -> bool | None:
    """Whether a version is within `==12.1.*,>=12.1.3`; None if either cannot be read."""
    answers = [_holds(version, clause.strip()) for clause in specifier.split(",") if clause.strip()]
    if any(answer is None for answer in answers):
        return None
    return all(answers)


def _holds(version: str, clause: str) -> bool | None:
    found = _CLAUSE.fullmatch(clause)
    own = key(version)
    if found is None or own is None:
        return None
    operator, wanted = found.groups()
    if wanted.endswith(".*"):
        inside = _begins(version, wanted[:-2])
        return {"==": inside, "!=": not inside}.get(operator)
    other = key(wanted)
    if other is None:
        return None
    if operator == "~=":
        return own >= other and _begins(version, wanted.rpartition(".")[0])
    return {
        "===": version == wanted, "==": own == other, "!=": own != other,
        "<=": own <= other, ">=": own >= other, "<": own < other, ">": own > other,
    }[operator]  # fmt: skip


def _begins(version: str, start: str) -> bool:
    numbers, wanted = (re.findall(r"\d+", text.partition("+")[0]) for text in (version, start))
    padded = numbers + ["0"] * (len(wanted) - len(numbers))
    return [int(n) for n in padded[: len(wanted)]] == [int(n) for n in wanted]
