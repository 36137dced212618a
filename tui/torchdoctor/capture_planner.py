"""Plans a capture while its form is filled in, and starts it: in threads, the form takes what was answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchprobes.runner.capture_plan import Plan


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of a form: its plan, or why there is none."""

    form: Mapping[str, Any]
    plan: Plan | None = None
    line: str = ""
    error: str = ""


class CapturePlanner:
    """Plans the newest form; what is asked meanwhile replaces it."""

    def __init__(self, out: str | None) -> None:
        self._out = out
        self._form: Mapping[str, Any] | None = None
        self._changed, self._stopped = threading.Event(), False
        self.planned = Planned({})
        self.run = ""
        """The run directory, once it was started."""
        self.starting = False
        threading.Thread(target=self._work, name="torchdoctor-capture-form", daemon=True).start()

    def ask(self, form: Mapping[str, Any]) -> None:
        """Another form is the newest."""
        self._form = form
        self._changed.set()

    def forget(self) -> None:
        """There is nothing to plan."""
        self._form, self.planned = None, Planned({})

    def stop(self) -> None:
        """Nobody asks any more."""
        self._stopped = True
        self._changed.set()

    def start(self, form: Mapping[str, Any]) -> None:
        """Start it."""
        self.starting = True
        threading.Thread(target=self._start, args=(form,), name="torchdoctor-capture-start", daemon=True).start()

    def _work(self) -> None:
        from . import capture_desk as desk  # here, in the thread: the runner is not loaded before a capture is wanted

        while not self._stopped:
            self._changed.wait()
            self._changed.clear()
            if (form := self._form) is None or self._stopped:
                continue
            try:
                planned = Planned(form, desk.planned(form), desk.line_of(form))
            except Exception as error:  # noqa: BLE001 - one line for the person
                planned = Planned(form, error=str(error) or type(error).__name__)
            if self._form is form:
                self.planned = planned

    def _start(self, form: Mapping[str, Any]) -> None:
        from . import capture_desk as desk

        try:
            self.run = desk.start(form, self._out)
        except Exception as error:  # noqa: BLE001 - one line for the person
            self.planned = Planned(form, error=str(error) or type(error).__name__)
        self.starting = False
