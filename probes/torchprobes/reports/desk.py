"""The report desk: runs listed and looked after, reports read, compared and written, in a process of its own.

`desk.py PLACE`, run by path; how it answers is in `torchprobes.desks`. Reading a thousand reports and comparing them
takes seconds of a core: here they hold up no screen, and a home that gives no answer holds up nobody.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from torchprobes.desks import DeskError, With, serve

KEPT: Final = 4
"""How many comparisons are held, the newest ones."""


def _reports(name: str) -> Any:
    """A module of the reports package, imported when it is first asked for."""
    return import_module(f"torchprobes.reports.{name}")


class Desk:
    """Answers for one console; `place` is where its runs are kept."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._keeper: Any = None
        self._compared: dict[str, Any] = {}

    def answer(self, question: str, arguments: With) -> Any:
        """The answer, as what JSON can hold.

        Raises:
            Exception: why there is none.
        """
        found = ANSWERS.get(question)
        if found is None:
            raise DeskError(f"the desk knows no question {question!r}")
        return msgspec.to_builtins(found(self, arguments))

    # --- history -----------------------------------------------------------------------------------------------

    @property
    def keeper(self) -> Any:
        """Lists and looks after the runs."""
        if self._keeper is None:
            self._keeper = _reports("keeping").Keeper(self.place)
        return self._keeper

    def history(self, arguments: With) -> Any:
        """The runs, newest first; with `sizes`, also how much each holds."""
        return self.keeper.history(sizes=bool(arguments.get("sizes")))

    def files(self, arguments: With) -> Any:
        """The reports in a file, a run or a folder, as rows of the history."""
        return self.keeper.files(Path(str(arguments["path"])))

    def rename(self, arguments: With) -> None:
        """Give a run a title; "" takes it away."""
        self.keeper.rename(str(arguments["path"]), str(arguments["title"]))

    def delete(self, arguments: With) -> None:
        """Delete a run that nobody writes any more."""
        self.keeper.delete(str(arguments["path"]))

    def prune(self, arguments: With) -> Any:
        """Delete runs by age and size; the names of those that went."""
        days, quota = arguments.get("days"), arguments.get("bytes")
        return self.keeper.prune(None if days is None else float(days), None if quota is None else int(quota))

    # --- reports -----------------------------------------------------------------------------------------------

    def report(self, arguments: With) -> Any:
        """One report, masked at a level: {"report", "masked"}."""
        report, masked = _reports("keeping").masked(str(arguments["path"]), str(arguments["level"]))
        return {"report": report, "masked": masked}

    def export(self, arguments: With) -> str:
        """Write a report or a comparison as a file; a line that says where, and what was masked."""
        compared = self._of(arguments).at(str(arguments["level"])) if arguments.get("key") else None
        return str(_reports("written").write(arguments, compared, self.place.parent / "exports"))

    def mask(self, arguments: With) -> Any:
        """Texts, masked at a level: {"texts", "masked"}."""
        return _reports("written").mask_texts(arguments)

    # --- comparisons -------------------------------------------------------------------------------------------

    def compare(self, arguments: With) -> Any:
        """The head of a comparison of reports, by their paths."""
        made = _reports("shown").Shown([str(path) for path in arguments["paths"]], str(arguments["level"]))
        self._compared[made.key] = made
        while len(self._compared) > KEPT:
            self._compared.pop(next(iter(self._compared)))
        return made.head()

    def timeline(self, arguments: With) -> Any:
        """Reports of the same nodes, by time."""
        return _reports("shown").time_line([str(path) for path in arguments["paths"]], str(arguments["level"]))

    def cells(self, arguments: With) -> Any:
        """The cells of one row, from one platform on."""
        return self._of(arguments).cells(str(arguments["row"]), int(arguments["first"]), int(arguments["count"]))

    def cause(self, arguments: With) -> Any:
        """Which platform has what of a cause."""
        return self._of(arguments).cause(int(arguments["place"]))

    def _of(self, arguments: With) -> Any:
        made = self._compared.get(str(arguments["key"]))
        if made is None:
            raise DeskError("this comparison is no longer held: compare again")
        return made


ANSWERS: Final[dict[str, Callable[[Desk, With], Any]]] = {
    "history": Desk.history,
    "files": Desk.files,
    "rename": Desk.rename,
    "delete": Desk.delete,
    "prune": Desk.prune,
    "report": Desk.report,
    "export": Desk.export,
    "mask": Desk.mask,
    "compare": Desk.compare,
    "timeline": Desk.timeline,
    "cells": Desk.cells,
    "cause": Desk.cause,
}
"""Question -> what answers it."""


def main() -> None:
    """Answer until the console's pipe closes; waits for nobody then."""
    desk = Desk(Path(sys.argv[1]))
    serve(desk.answer)
    os._exit(0)


if __name__ == "__main__":
    main()
