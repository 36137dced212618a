"""Rules of `env.abi`: do PyTorch and numpy speak to each other, and has OpenCV the libraries that it needs?"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ..reading import facts, raised, text
from ..rules import Positive, Rule
from .words import several

_ALL = ("env.abi",)


def _numpy(readings: Readings) -> str | None:
    told = text(readings, "numpy.bridge")
    if told in ("", "right"):
        return None
    why = raised(readings, "numpy.bridge") if told != "wrong" else "wrong numbers"
    return f"numpy {text(readings, 'numpy.version')} with torch {text(readings, 'torch.version')}: {why}"


def _opencv(readings: Readings) -> str | None:
    names = [f.name[len("opencv.distribution.") :] for f in facts(readings, "opencv.distribution.")]
    missing = [f.name[len("opencv.missing.") :] for f in facts(readings, "opencv.missing.")]
    said = several(missing)
    return f"{' and '.join(names) or 'cv2'} needs {said}, which cannot be loaded here" if said else None


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-012", _ALL, Verdict.DEGRADED, Severity.WARNING, _numpy),
    Rule("TD-ENV-075", _ALL, Verdict.DEGRADED, Severity.WARNING, _opencv),
)


def _fitting(readings: Readings) -> str | None:
    """Numbers went from PyTorch to numpy and back; without numpy there is nothing that could not fit."""
    torch, numpy = text(readings, "torch.version"), readings.fact("numpy.version")
    if not torch or numpy is None:
        return None
    if numpy.value is None:
        return f"torch {torch} was imported; there is no numpy"
    if text(readings, "numpy.bridge") != "right":
        return None
    opencv = readings.fact("opencv.missing")
    more = "; OpenCV's libraries are all here" if opencv is not None and opencv.value == 0 else ""
    return f"torch {torch} and numpy {numpy.value}: numbers went there and back{more}"


POSITIVE: Positive = {"env.abi": _fitting}
