"""Plans a capture while its form is filled in, and starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .form_planner import Form, FormPlanner, said

if TYPE_CHECKING:
    from torchprobes.runner.capture_plan import Plan


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of a form: its plan, or why there is none."""

    form: Form
    plan: Plan | None = None
    line: str = ""
    error: str = ""


class CapturePlanner(FormPlanner):
    """Plans the newest form. The runner is loaded in its threads, not before a capture is wanted."""

    def __init__(self, out: str | None) -> None:
        self._out = out
        self.planned = Planned({})
        super().__init__("capture")

    def clear(self) -> None:
        """There is nothing to plan."""
        self.planned = Planned({})

    def answer(self, form: Form) -> None:
        """Plan it."""
        from . import capture_desk as desk

        try:
            planned = Planned(form, desk.planned(form), desk.line_of(form))
        except Exception as error:  # noqa: BLE001 - one line for the person
            planned = Planned(form, error=said(error))
        if self._form is form:
            self.planned = planned

    def begin(self, form: Form) -> str:
        """Start the capture."""
        from . import capture_desk as desk

        return desk.start(form, self._out)

    def refuse(self, form: Form, why: str) -> None:
        """It was not started."""
        self.planned = Planned(form, error=why)
