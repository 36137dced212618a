"""Asks the desk about a launch while its form is filled in: the command, what stands in its way, and the start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .form_planner import Form, FormPlanner, said
from .widgets.launch_rows import Answers, findings_of

if TYPE_CHECKING:
    from .job_source import JobSource

PLAN_S: Final = 5.0
PREFLIGHT_S: Final = 6.0
LAUNCH_S: Final = 20.0
SETTLED_S: Final = 0.4
"""Pre-flight looks when nobody typed for so long."""


class LaunchPlanner(FormPlanner):
    """Asks the desk about the newest form."""

    def __init__(self, source: JobSource) -> None:
        self._source = source
        self.answers = Answers()
        super().__init__("launch")

    def clear(self) -> None:
        """There is nothing to ask about."""
        self.answers = Answers()

    def answer(self, form: Form) -> None:
        """The command at once; what stands in its way when nobody types any more."""
        self._plan(form)
        if not self._changed.wait(SETTLED_S):
            self._look(form)

    def begin(self, form: Form) -> str:
        """Launch the job."""
        return str(self._source.ask("launch", form, LAUNCH_S))

    def refuse(self, form: Form, why: str) -> None:
        """It was not launched."""
        self.answers = Answers(error=why)

    def _plan(self, form: Form) -> None:
        try:
            answers = Answers(self._source.ask("plan", form, PLAN_S))
        except Exception as error:  # noqa: BLE001 - one line for the person
            answers = Answers(error=said(error))
        if self._form is form:
            self.answers = answers

    def _look(self, form: Form) -> None:
        planned = self.answers
        if planned.plan is None or self._form is not form:
            return
        try:
            answers = replace(planned, findings=findings_of(self._source.ask("preflight", form, PREFLIGHT_S)))
        except Exception as error:  # noqa: BLE001 - one line for the person
            answers = replace(planned, unlooked=said(error))
        if self._form is form:
            self.answers = answers
