"""Conditions of `compile.*`: which model was examined, what the stack raised, how often compiled code was entered.

Each returns what was seen, or None. `compile_rules` puts them into its table.
"""

from __future__ import annotations

from ...model import Readings
from ..cards.tracebacks import cause
from ..reading import line, number, text
from ..rules import When


def subject(readings: Readings) -> str:
    """The model that these readings are about, as their labels name it: the user's own, or the reference model."""
    labels = {figure.labels.get("model") for figure in readings.figures}
    return "entry" if "entry" in labels else "reference"


def told(readings: Readings, name: str) -> str:
    """The text of the fact `name` about the model that was examined."""
    return text(readings, f"{subject(readings)}.{name}")


def counted(readings: Readings, name: str, **labels: str) -> float | None:
    """The figure `name` of the model that was examined."""
    return number(readings, name, model=subject(readings), **labels)


def calls(readings: Readings) -> float | None:
    """Compiled calls a step, or None if they were not counted."""
    return counted(readings, "compiled_calls_per_step")


def raised_for(card: str | None) -> When:
    """A rule that holds when the stack raised what belongs to `card`; None: what belongs to no card of its own."""

    def when(readings: Readings) -> str | None:
        for name, model in (("compile", subject(readings)), ("compile.toy", "toy")):
            if text(readings, name):
                message = f"{text(readings, name)}: {text(readings, name + '.message')}"
                words = "your model" if model == "entry" else f"{model} model"
                return f"{words}: {line(message)}" if cause(message) == card else None
        return None

    return when
