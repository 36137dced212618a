"""Rules of `env.packages`: one PyTorch, as it was recorded, with what it requires and nothing that overwrites it."""

from __future__ import annotations

import re

from ...model import Fact, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, line, number, text
from ..rules import Positive, Rule
from .versions import key, satisfies
from .words import several

_ALL = ("env.packages",)
_SUFFIX = re.compile(r"(.+)-cu(\d+)")


def _copies(readings: Readings) -> str | None:
    fact = readings.fact("torch.copies")
    if fact is not None and isinstance(fact.value, int) and fact.value > 1:
        return f"{fact.value} on sys.path, the first is imported: {line(fact.evidence)}"
    user = readings.fact("torch.from_user_site")
    return f"torch comes from the user site: {user.evidence}" if user is not None and user.value is True else None


def _recorded(readings: Readings) -> str | None:
    """torch/version.py against the record beside it; a torch that another record's files have overwritten differs."""
    records = readings.fact("torch.records")
    version = text(readings, "torch.version")
    if records is None or not isinstance(records.value, int) or not version:
        return None
    if records.value > 1:
        return f"{records.value} records of torch stand beside it: {line(records.evidence)}; its files say {version}"
    recorded = text(readings, "torch.recorded")
    if recorded and key(recorded) != key(version):
        return f"the record says {recorded}, the files say {version}"
    return None


def _unrecorded(readings: Readings) -> str | None:
    records = readings.fact("torch.records")
    if records is None or records.value != 0:
        return None
    return f"torch {text(readings, 'torch.version')} in {text(readings, 'torch.folder')} has no dist-info beside it"


def _leftovers(readings: Readings) -> str | None:
    return several([f"{f.value}" for f in facts(readings, "leftover")])


def _unmet(readings: Readings) -> str | None:
    words = []
    for fact in facts(readings, "requires."):
        name = fact.name.partition(".")[2]
        found = readings.fact(f"found.{name}")
        if found is None:
            continue
        if found.value is None:
            words.append(f"{fact.evidence} requires {name}{fact.value}, which is not installed")
        elif satisfies(str(found.value), str(fact.value or "")) is False:
            words.append(f"{fact.evidence} requires {name}{fact.value}, and {found.value} is installed")
    return several(words)


def _other_torch_wanted(readings: Readings) -> str | None:
    version = text(readings, "torch.version")
    wrong = [f for f in facts(readings, "wants.") if version and satisfies(version, str(f.value)) is False]
    return several([f"{f.evidence} requires torch{f.value}, and {version} is installed" for f in wrong])


def _by_library(readings: Readings) -> dict[str, dict[int, Fact]]:
    """`nvidia-cudnn` -> CUDA major -> the fact that its wheel for it is installed."""
    found: dict[str, dict[int, Fact]] = {}
    for fact in facts(readings, "installed.nvidia-"):
        named = _SUFFIX.fullmatch(fact.name.partition(".")[2])
        if named:
            found.setdefault(named[1], {})[int(named[2])] = fact
    return found


def _overwritten(readings: Readings) -> str | None:
    """nvidia-cudnn-cu12 and -cu13 own the same files: the one installed last is there, the other one believes so."""
    return several(
        [
            f"{name} is installed for CUDA {' and '.join(str(major) for major in sorted(majors))}"
            for name, majors in _by_library(readings).items()
            if len(majors) > 1
        ]
    )


def _of_another_cuda(readings: Readings) -> str | None:
    """Wheels of another CUDA than the one that torch requires: left behind by an upgrade, they only take space."""
    required = {m[2] for f in facts(readings, "requires.nvidia-") if (m := _SUFFIX.fullmatch(f.name))}
    left = [
        f"{name}-cu{major}"
        for name, majors in _by_library(readings).items()
        for major in majors
        if required and str(major) not in required
    ]
    needs = ", ".join(sorted(required))
    return several([f"torch requires wheels of CUDA {needs}, left are: {', '.join(sorted(left))}"]) if left else None


def _two_managers(readings: Readings) -> str | None:
    return several([f"{f.name.partition('.')[2]}: {f.evidence}" for f in facts(readings, "managers.")])


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-013", _ALL, Verdict.DEGRADED, Severity.WARNING, _copies),
    Rule("TD-ENV-050", _ALL, Verdict.DEGRADED, Severity.WARNING, _recorded),
    Rule("TD-ENV-051", _ALL, None, Severity.INFO, _unrecorded),
    Rule("TD-ENV-052", _ALL, None, Severity.WARNING, _leftovers),
    Rule("TD-ENV-053", _ALL, Verdict.DEGRADED, Severity.WARNING, _unmet),
    Rule("TD-ENV-054", _ALL, Verdict.DEGRADED, Severity.WARNING, _other_torch_wanted),
    Rule("TD-ENV-055", _ALL, Verdict.DEGRADED, Severity.WARNING, _overwritten, ("TD-ENV-056",)),
    Rule("TD-ENV-056", _ALL, None, Severity.INFO, _of_another_cuda),
    Rule("TD-ENV-057", _ALL, Verdict.DEGRADED, Severity.WARNING, _two_managers),
)


def _alone(readings: Readings) -> str | None:
    """One torch, and each of its requirements compared with what is installed."""
    copies, version = readings.fact("torch.copies"), text(readings, "torch.version")
    if copies is None or copies.value != 1 or not version:
        return None
    compared = [
        satisfies(text(readings, f"found.{f.name.partition('.')[2]}"), str(f.value or ""))
        for f in facts(readings, "requires.")
    ]
    if None in compared or (not compared and text(readings, "torch.records") != "0"):
        return None
    packages = quantity(number(readings, "distributions") or 0, "packages")
    required = quantity(len(compared), "requirements")
    return f"one torch, {version}, among {packages}; {required} compared, all met"


POSITIVE: Positive = {"env.packages": _alone}
