"""How NVML is asked: one function, several of them in one row, and what is made of a single answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import pynvml

from ....cells import Absent, Cell, CellState
from ...readings import Device, Memory, Reading
from .codes import NOT_SUPPORTED, OF_THE_DEVICE, UNKNOWN, TooOld, absent, code_of

Call = Callable[[Device], Any]
Take = Callable[[Any], Cell]

MOST_TEXT: Final = 120

_NOT_AVAILABLE: Final = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""What the driver writes where it has no figure (nvml.h, NVML_VALUE_NOT_AVAILABLE), and what a dead bus reads as."""

_ODD: Final = (TypeError, ValueError, AttributeError, LookupError, OverflowError)
"""What comes of an answer that is not what it should be, be it only absent."""

NO_FIGURE: Final = Absent(state=CellState.ERROR, why="the driver has no figure for it")


def function(name: str) -> Callable[..., Any]:
    """A function of pynvml.

    Raises:
        TooOld: the installed pynvml does not have it.
    """
    known = getattr(pynvml, name, None)
    if known is None:
        raise TooOld(name)
    return known  # type: ignore[no-any-return]


def call(name: str, *arguments: Any) -> Call:
    """Ask one function of a device."""
    return lambda device: function(name)(device.handle, *arguments)


def error(code: int) -> Exception:
    """The exception that pynvml raises for a return code."""
    made: Exception = pynvml.NVMLError(code)
    return made


def number(value: Any) -> Cell:
    """An integer, or that the driver has no figure."""
    whole = int(value)
    return NO_FIGURE if whole in _NOT_AVAILABLE else whole


def thousandth(value: Any) -> Cell:
    """Watts of milliwatts, joules of millijoules."""
    cell = number(value)
    return cell if isinstance(cell, (Absent, str)) else cell / 1000


def text(value: Any) -> Cell:
    """A text of the driver's, bounded and printable."""
    words = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    shown = "".join(c if c.isprintable() else "?" for c in words.strip())[:MOST_TEXT]
    return shown or Absent(state=CellState.NOT_SUPPORTED, why="the driver answers an empty text")


def first(take: Take) -> Take:
    """The first of several answers."""
    return lambda answer: take(answer[0])


def word_of(words: Mapping[int, str]) -> Take:
    """An enumeration in words; a value that no header knows is told as it is."""
    return lambda value: words.get(int(value), f"unknown ({int(value)})")


def finite(value: float) -> Cell:
    """A floating-point number, or that the driver has no figure."""
    return value if math.isfinite(value) else NO_FIGURE


def first_known(*calls: Call) -> Call:
    """The answer of the first call that this driver knows and this GPU supports."""

    def ask(device: Device) -> Any:
        for one in calls[:-1]:
            try:
                return one(device)
            except Exception as failed:
                if code_of(failed) not in (*UNKNOWN, NOT_SUPPORTED):
                    raise
        return calls[-1](device)

    return ask


def each(*calls: Call) -> Call:
    """Several calls of one row: a tuple of answers, in which each failure is its own cell.

    What is wrong with the whole device is raised at once, and so is "not supported" if all of them say it.
    """

    def ask(device: Device) -> tuple[Any, ...]:
        answers: list[Any] = []
        for one in calls:
            try:
                answers.append(one(device))
            except Exception as failed:
                if code_of(failed) in OF_THE_DEVICE:
                    raise
                answers.append(absent(failed))
        raise_if_final(answers)
        return tuple(answers)

    return ask


def raise_if_final(answers: list[Any]) -> None:
    """So that a row of which nothing will ever be answered is not asked again.

    Raises:
        NVMLError: all answers are absent and say that they will stay so.
    """
    if all(isinstance(a, Absent) and a.state is CellState.NOT_SUPPORTED for a in answers):
        raise error(NOT_SUPPORTED if any(a.code == NOT_SUPPORTED for a in answers) else 13)


def reading(name: str, every_s: float, calls: tuple[Call, ...], cells: Mapping[str, Take]) -> Reading:
    """A row whose cells are each taken from the one answer."""
    rows = tuple(cells.items())

    def fill(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
        try:
            return {cell: take(answer) for cell, take in rows}
        except _ODD:
            return {cell: taken(take, answer) for cell, take in rows}

    return Reading(name, every_s, calls, tuple(cells), fill)


def one(cell: str, every_s: float, *calls: Call, take: Take = number) -> Reading:
    """A row of one cell."""
    return reading(cell, every_s, calls, {cell: take})


def columns(name: str, every_s: float, calls: tuple[Call, ...], cells: tuple[str, ...]) -> Reading:
    """A row whose answer is a tuple, one element a cell; an element that is absent stays so."""

    def fill(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
        try:
            return dict(zip(cells, map(number, answer), strict=True))
        except _ODD:
            return {cell: taken(number, value) for cell, value in zip(cells, answer, strict=True)}

    return Reading(name, every_s, calls, cells, fill)


def taken(take: Take, answer: Any) -> Cell:
    """What `take` makes of an answer; an answer that it does not understand is told as such."""
    if isinstance(answer, Absent):
        return answer
    try:
        return take(answer)
    except _ODD as odd:
        return Absent(state=CellState.ERROR, why=f"the driver answered {answer!r}: {odd}"[:200])
