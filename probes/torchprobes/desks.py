"""Desks: processes that answer a console's questions, so that its own stays small and nothing can hold it up.

A JSON line a question (`{"id", "ask", "with"}`), a JSON line an answer (`{"id", "done"}` or `{"id", "failed"}`), each
question in a thread of its own, so that one that a file system holds delays no other.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_LINE: Final = 1 << 20
"""Bytes of a question."""

With = Mapping[str, Any]
Answer = Callable[[str, With], Any]
"""(question, its arguments) -> the answer, as what JSON can hold; raises why there is none."""


class DeskError(Exception):
    """Why a question has no answer: one line for the person."""


class _Mouth:
    """Says one line at a time, whichever thread has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out = os.dup(1)
        os.dup2(2, 1)  # what a library prints is no answer

    def say(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._out, data) :]


def serve(answer: Answer) -> None:
    """Answer the questions on standard input until it closes; waits for no answer then."""
    mouth = _Mouth()
    with open(0, "rb", closefd=False) as questions:
        while line := questions.readline(MOST_LINE):
            with contextlib.suppress(ValueError, RecursionError):
                request = json.loads(line)
                if isinstance(request, dict):
                    threading.Thread(target=_serve, args=(answer, mouth, request), daemon=True).start()


def _serve(answer: Answer, mouth: _Mouth, request: With) -> None:
    number = request.get("id")
    try:
        mouth.say({"id": number, "done": answer(str(request.get("ask")), request.get("with") or {})})
    except Exception as error:  # noqa: BLE001 - the console shows the line, whatever it was
        mouth.say({"id": number, "failed": f"{error}".strip().split("\n")[0][:500] or type(error).__name__})
