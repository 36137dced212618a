"""Answers a form while it is filled in, and starts what it comes to: in threads, the form takes what was answered."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

Form = Mapping[str, Any]


class FormPlanner(ABC):
    """Answers the newest form; what is asked meanwhile replaces it. `name` is that of its threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._form: Form | None = None
        self._changed, self._stopped = threading.Event(), False
        self.run = ""
        """The run directory, once it was started."""
        self.starting = False
        threading.Thread(target=self._work, name=f"torchdoctor-{name}-form", daemon=True).start()

    def ask(self, form: Form) -> None:
        """Another form is the newest."""
        self._form = form
        self._changed.set()

    def forget(self) -> None:
        """There is nothing to answer."""
        self._form = None
        self.clear()

    def stop(self) -> None:
        """Nobody asks any more."""
        self._stopped = True
        self._changed.set()

    def start(self, form: Form) -> None:
        """Start it."""
        self.starting = True
        threading.Thread(target=self._start, args=(form,), name=f"torchdoctor-{self._name}", daemon=True).start()

    @abstractmethod
    def clear(self) -> None:
        """Answer nothing."""

    @abstractmethod
    def answer(self, form: Form) -> None:
        """Answer `form`; in a thread, for as long as it takes."""

    @abstractmethod
    def begin(self, form: Form) -> str:
        """Start it, in a thread; the run directory.

        Raises:
            Exception: why it was not started.
        """

    @abstractmethod
    def refuse(self, form: Form, why: str) -> None:
        """It was not started."""

    def _work(self) -> None:
        while not self._stopped:
            self._changed.wait()
            self._changed.clear()
            if (form := self._form) is not None and not self._stopped:
                self.answer(form)

    def _start(self, form: Form) -> None:
        try:
            self.run = self.begin(form)
        except Exception as error:  # noqa: BLE001 - one line for the person
            self.refuse(form, said(error))
        self.starting = False


def said(error: Exception) -> str:
    """One line for the person."""
    return str(error) or type(error).__name__
