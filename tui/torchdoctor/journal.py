"""The own log: what went wrong in torchdoctor itself, in a file for whoever mends it.

It lies beside the runs, rotates, and holds uncaught exceptions of every thread and what children say on stderr.
Records are written by a thread of their own: a file system that hangs holds no one else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from logging.handlers import QueueHandler, RotatingFileHandler
from pathlib import Path

NAME = "torchdoctor.log"
MAX_BYTES = 1 << 20
KEPT = 3
QUEUE = 10_000
"""Records that wait for a slow disk; later ones are dropped."""

_log = logging.getLogger("torchdoctor")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class _Private(RotatingFileHandler):
    """A rotating file that only its owner may read, and that never speaks on stderr."""

    def _open(self):  # type: ignore[no-untyped-def]
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags | os.O_NOFOLLOW, 0o600)

        return open(self.baseFilename, self.mode, encoding="utf-8", errors="backslashreplace", opener=opener)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A full disk under the own log is no reason to disturb anybody."""


class _Dropping(QueueHandler):
    """Never waits: a full queue loses the record."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Lose it."""


class Journal:
    """The own log of this process, open until `stop`; `folder` is asked for its place in the log's own thread.

    What is said before the place is known is kept, and lost if there is none.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self.path: Path | None = None
        self._folder = folder
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE)
        self._sender = _Dropping(self._records)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)

    def start(self) -> Journal:
        """Begin to take records, and catch what no thread caught; returns at once."""
        _log.addHandler(self._sender)
        _log.setLevel(logging.INFO)
        threading.excepthook = _thread_died
        self._thread.start()
        return self

    def stop(self, wait_s: float = 1.0) -> None:
        """Write what waits, and close; a disk that gives no answer in `wait_s` is left alone."""
        _log.removeHandler(self._sender)
        threading.excepthook = threading.__excepthook__
        with contextlib.suppress(queue.Full):
            self._records.put_nowait(None)
        self._thread.join(wait_s)

    def _write(self) -> None:
        try:
            path = self._folder() / NAME
        except Exception:  # noqa: BLE001 - no place for the own log: it is done without
            return
        self.path = path
        file = _Private(path, maxBytes=MAX_BYTES, backupCount=KEPT, delay=True)
        file.setFormatter(logging.Formatter("%(asctime)s %(process)d %(threadName)s %(levelname)s %(message)s"))
        while (record := self._records.get()) is not None:
            file.handle(record)
        file.close()


def child_said(name: str, line: str) -> None:
    """Keep a line that a child wrote on stderr."""
    _log.warning("%s: %s", name, line.rstrip())


def keep_traceback(error: BaseException) -> str:
    """Write an unforeseen error with its traceback into the own log; in words, where it is.

    It goes beside the runs, or, if nothing can be written, the place of the error alone is told.
    """
    own = Journal(_default_folder).start()
    _log.error("internal error", exc_info=error)
    own.stop()
    written = own.path is not None and own.path.exists()
    return f"the details are in {own.path}" if written else _where(error)


def folder_beside_runs(out: str | None) -> Path:
    """The folder of the own log: beside the runs.

    Raises:
        RunError: if there is no place for runs.
    """
    from torchprobes.rundir import choose_place

    return Path(choose_place(out).path).parent


def _default_folder() -> Path:
    return folder_beside_runs(None)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "an unknown place"
    return f"it was raised at {at}"


def _thread_died(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is not SystemExit:
        name = arguments.thread.name if arguments.thread else "a thread"
        _log.error("thread %s died", name, exc_info=arguments.exc_value)
