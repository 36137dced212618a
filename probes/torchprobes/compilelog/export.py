"""The rows of a log written to a new file, by a child that can be killed: what the filter keeps, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .filter import Filter
from .scan import Part
from .spawn import close_all, let_go, spawn


@dataclass(frozen=True, slots=True)
class ExportView:
    """An export at one instant."""

    done_rows: int = 0
    rows: int | None = None
    """How many rows there were to write when it began; None until then."""
    finished: bool = False
    """Whether all of it is in the file."""
    cause: str = ""
    """Why there is no file: one line; "" if all is well."""


class Exporting:
    """One export; `view` may be asked from any thread. What is not finished leaves no file."""

    def __init__(self, path: str, kept: Filter | None) -> None:
        self.path = os.path.abspath(path)
        self.view = ExportView()
        self._filter = kept or Filter()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def begin(self, parts: Sequence[Part], order: bytes | None, rows: int) -> None:
        """Write what the parts hold now, in the `order` of their lines; takes their descriptors over.

        For the document's thread.
        """
        held = [part.fd for part in parts]
        if order is not None:
            held.append(_file_of(order))
        if self._stopped:
            close_all(held)
            self.view = ExportView(cause="given up")
            return
        self.view = ExportView(rows=rows)
        asked = [{"fd": part.fd, "start": part.start, "stop": part.stop, "size": _size(part)} for part in parts]
        request = {
            "parts": asked, "tabs": any(part.tabs for part in parts), "filter": self._filter.asked, "path": self.path,
            "order": None if order is None else held[-1],
        }  # fmt: skip
        try:
            self._child = spawn("export_child.py", json.dumps(request), held=held)
        except (OSError, ValueError) as error:
            self.view = replace(self.view, cause=f"it could not start: {error}")
            return
        finally:
            close_all(held)
        threading.Thread(target=self._listen, args=(self._child,), name="export", daemon=True).start()

    def stop(self) -> None:
        """Give it up; the child removes what it wrote. Does not wait."""
        self._stopped = True
        child = self._child
        if child is not None and child.stdin is not None:
            child.stdin.close()

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self._take(line)
        code = let_go(child)
        if not self.view.finished and not self.view.cause:
            self.view = replace(self.view, cause="given up" if self._stopped else f"it ended early ({code})")

    def _take(self, line: bytes) -> None:
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            return
        if "cause" in told:
            self.view = replace(self.view, cause=str(told["cause"]))
        else:
            self.view = replace(self.view, done_rows=told["rows"], finished=told["finished"])


def _size(part: Part) -> int:
    """Bytes of a part that are there now."""
    return max(0, os.fstat(part.fd).st_size - part.start)


def _file_of(data: bytes) -> int:
    """A descriptor of a file without a name that holds `data`."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.dup(file.fileno())
