"""Asks the desk about a launch while its form is filled in: the command, what stands in its way, and the start."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .widgets.launch_rows import Answers, findings_of

if TYPE_CHECKING:
    from .job_source import JobSource

PLAN_S: Final = 5.0
PREFLIGHT_S: Final = 6.0
LAUNCH_S: Final = 20.0
SETTLED_S: Final = 0.4
"""Pre-flight looks when nobody typed for so long."""


class Planner:
    """Asks the desk about the newest form, in a thread; the form takes what was answered."""

    def __init__(self, source: JobSource) -> None:
        self._source = source
        self._form: Mapping[str, Any] | None = None
        self._changed, self._stopped = threading.Event(), False
        self.answers = Answers()
        self.run = ""
        """The run directory of the job, once it was launched."""
        self.launching = False
        threading.Thread(target=self._work, name="torchdoctor-form", daemon=True).start()

    def ask(self, form: Mapping[str, Any]) -> None:
        """Another form is the newest."""
        self._form = form
        self._changed.set()

    def forget(self) -> None:
        """There is nothing to ask about."""
        self._form, self.answers = None, Answers()

    def stop(self) -> None:
        """Nobody asks any more."""
        self._stopped = True
        self._changed.set()

    def launch(self, form: Mapping[str, Any]) -> None:
        """Start it."""
        self.launching = True
        threading.Thread(target=self._launch, args=(form,), name="torchdoctor-launch", daemon=True).start()

    def _work(self) -> None:
        while not self._stopped:
            self._changed.wait()
            self._changed.clear()
            if (form := self._form) is None or self._stopped:
                continue
            self._plan(form)
            if not self._changed.wait(SETTLED_S):
                self._look(form)

    def _plan(self, form: Mapping[str, Any]) -> None:
        try:
            answers = Answers(self._source.ask("plan", form, PLAN_S))
        except Exception as error:  # noqa: BLE001 - one line for the person
            answers = Answers(error=str(error) or type(error).__name__)
        if self._form is form:
            self.answers = answers

    def _look(self, form: Mapping[str, Any]) -> None:
        planned = self.answers
        if planned.plan is None or self._form is not form:
            return
        try:
            answers = replace(planned, findings=findings_of(self._source.ask("preflight", form, PREFLIGHT_S)))
        except Exception as error:  # noqa: BLE001 - one line for the person
            answers = replace(planned, unlooked=str(error) or type(error).__name__)
        if self._form is form:
            self.answers = answers

    def _launch(self, form: Mapping[str, Any]) -> None:
        try:
            self.run = str(self._source.ask("launch", form, LAUNCH_S))
        except Exception as error:  # noqa: BLE001 - one line for the person
            self.answers = Answers(error=str(error) or type(error).__name__)
        self.launching = False
