"""What rules use to look at readings: each answer is None, or "", when the reading is not there."""

from __future__ import annotations

from ..model import Fact, Figure, Readings


def figure(readings: Readings, name: str, **labels: str) -> Figure | None:
    """The last figure of that name whose labels include `labels`."""
    wanted = labels.items()
    return next((f for f in reversed(readings.figures) if f.name == name and wanted <= f.labels.items()), None)


def number(readings: Readings, name: str, **labels: str) -> float | None:
    """The value of `figure(...)`, or None."""
    found = figure(readings, name, **labels)
    return None if found is None else found.value


def text(readings: Readings, name: str) -> str:
    """The value of a fact as text; "" if it is absent or holds nothing."""
    fact = readings.fact(name)
    return "" if fact is None or fact.value is None else str(fact.value)


def facts(readings: Readings, start: str, end: str = "") -> tuple[Fact, ...]:
    """The facts whose names begin with `start` and end with `end`, in the order in which they were told."""
    return tuple(f for f in readings.facts if f.name.startswith(start) and f.name.endswith(end))


def raised(readings: Readings, name: str) -> str | None:
    """What was raised under that name (`kit.raised`), type and text on one line; None if nothing was."""
    kind = text(readings, name)
    return line(f"{kind}: {text(readings, name + '.message')}") if kind else None


def not_finite(readings: Readings, name: str) -> str:
    """Of which cases the error `name` was NaN or infinite, "" if of none; such an error is no figure."""
    return ", ".join(str(f.value) for f in facts(readings, f"{name}.not_finite"))


def is_true(readings: Readings, name: str) -> bool | None:
    """The value of a fact that is a yes or a no; None if it is absent or neither."""
    fact = readings.fact(name)
    return fact.value if fact is not None and isinstance(fact.value, bool) else None


def line(words: str) -> str:
    """`words` on one line, cut to 300 characters."""
    return " ".join(words.split())[:300]


def on_gpu(readings: Readings) -> bool:
    """Whether the probe ran on anything but the CPU."""
    return readings.device != "cpu"
