"""Conditions of `export.modes` and `export.aoti`. Each returns what was seen, or None."""

from __future__ import annotations

import re

from ...model import Fact, Readings
from ...quantity import quantity
from ..reading import facts, figure, line, number, raised, text

AOTI_LIMIT = 1e-4
"""Largest difference from eager, as a share of the largest output: float32 in another order is below 1e-6."""

_BATCHES = ("32", "48")

# --- export.modes ----------------------------------------------------------------------------------------------------


def _modes(readings: Readings) -> list[Fact]:
    told = facts(readings, "modes.")
    return [f for f in told if f.name.count(".") == 1 and f.name != "modes.strict_default"]


def mode_fails(readings: Readings) -> str | None:
    """A sound model is refused, or the program gives another answer."""
    bad = [f"{f.name.partition('.')[2]}: {f.value}, {f.evidence}" for f in _modes(readings) if f.value != "right"]
    return line("; ".join(bad)) if bad else None


def refusal_unnamed(readings: Readings) -> str | None:
    """The refusal does not lead to the line that branches."""
    bad = [f for f in facts(readings, "modes.", ".branch.named") if f.value is False]
    return line("; ".join(f"{f.name.split('.')[1]}: {f.evidence}" for f in bad)) if bad else None


def branch_lost(readings: Readings) -> str | None:
    """A branch on data was exported as if there were one way only."""
    bad = [f for f in facts(readings, "modes.", ".branch.here") if f.value != 0.0]
    return line("; ".join(f"{f.name.split('.')[1]}: difference {f.value} {f.evidence}" for f in bad)) if bad else None


def draft_is_silent(readings: Readings) -> str | None:
    """draft_export calls the model that branches a success."""
    fact = readings.fact("modes.draft.branch.successful")
    return line(fact.evidence) or "no words" if fact is not None and fact.value is True else None


def modes_work(readings: Readings) -> str | None:
    """Every mode exported the sound model right, and the one that branches was refused with its line."""
    modes, named = _modes(readings), facts(readings, "modes.", ".branch.named")
    if not modes or not named or any(f.value != "right" for f in modes) or any(f.value is not True for f in named):
        return None
    names = ", ".join(f.name.partition(".")[2] for f in modes)
    draft = text(readings, "modes.draft.branch.failures")
    return f"exported right: {names}; a branch on data refused with its line" + (f"; draft: {draft}" if draft else "")


# --- export.aoti -----------------------------------------------------------------------------------------------------


def no_cuda_headers(readings: Readings) -> str | None:
    """The C++ that AOTInductor writes for a CUDA device includes headers of a toolkit, and there is none."""
    message = text(readings, "compile.message")
    found = re.search(r"[^\n]*(?:cuda\w*\.h: No such file|cuda\w*\.h' file not found|CUDA_HOME)[^\n]*", message)
    return line(found.group()) if found else None


def package_not_loaded(readings: Readings) -> str | None:
    """The package was made, and a fresh process could not load or run it."""
    words = raised(readings, "aoti.load")
    ending = text(readings, "aoti.load.ending")
    return words or (f"the process that loads ended with {ending}" if ending not in ("", "0") else None)


def package_is_wrong(readings: Readings) -> str | None:
    """The loaded package gives another shape, or other numbers than rounding can explain."""
    shape = readings.fact("aoti.shape")
    if shape is not None:
        return f"shape {shape.value}, {shape.evidence}"
    errors = [(b, number(readings, "aoti_error", batch=b)) for b in _BATCHES]
    bad = [f"batch {batch}: {error:.2g}" for batch, error in errors if error is not None and not error <= AOTI_LIMIT]
    return f"{'; '.join(bad)} of the largest output (limit {AOTI_LIMIT:g})" if bad else None


def package_works(readings: Readings) -> str | None:
    """Both batches were computed by a fresh process from the package, within rounding of eager."""
    errors = [number(readings, "aoti_error", batch=batch) for batch in _BATCHES]
    size, made = figure(readings, "aoti_package_bytes"), number(readings, "aoti_compile_s")
    loaded = number(readings, "aoti_load_s")
    if size is None or made is None or loaded is None or text(readings, "aoti.load.pid") == "":
        return None
    told = [error for error in errors if error is not None]
    if len(told) != len(_BATCHES):
        return None
    return (
        f"package of {quantity(size.value, 'B')} in {quantity(made, 's')}, loaded in {quantity(loaded, 's')} "
        f"by another process, largest difference {max(told):.1g}"
    )
