"""The report desk without a process: the real answers, in the asker's thread, through JSON as over the pipe."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchdoctor.desk import DeskError
from torchprobes.reports.desk import Desk


class FakeReportDesk:
    """Answers from `place`; without one there is no run. `asked` is what it was asked, in order."""

    def __init__(self, place: Path | None = None) -> None:
        self.desk = Desk(place or Path("/nowhere/runs"))
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.held = threading.Event()
        """While it is clear nothing is answered."""
        self.held.set()
        self.stopped = False

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        """What the real one would answer, with its own words where there is none."""
        self.asked.append((question, dict(arguments)))
        assert self.held.wait(deadline_s)
        try:
            return json.loads(json.dumps(self.desk.answer(question, json.loads(json.dumps(arguments)))))
        except Exception as error:
            raise DeskError(str(error)) from None

    def stop(self) -> None:
        """Nothing to end."""
        self.stopped = True
