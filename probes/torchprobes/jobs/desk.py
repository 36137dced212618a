"""The job desk: what a console asks about jobs, answered in a process of its own. `desk.py PLACE`, run by path.

How a desk answers is in `torchprobes.desks`. When its pipe closes it ends at once; what watches a foreign job for it
ends with it, while jobs that it launched belong to their supervisors and go on.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from torchprobes.desks import DeskError, With, serve
from torchprobes.rundir import RunDir

MOST_TAIL_BYTES: Final = 64 << 10
STOP_WAIT_S: Final = 45.0
PREFLIGHT_S: Final = 2.0


def _jobs(name: str) -> Any:
    """A module of the jobs package, imported when it is first asked for."""
    return import_module(f"torchprobes.jobs.{name}")


class Files:
    """How many files the desk may hold open: as many as it can, for the logs of 512 ranks are 1024.

    A job that it launches gets the limit that the desk was given: programs that count on it are not ours.
    """

    def __init__(self) -> None:
        self._given = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lock = threading.Lock()

    def raise_limit(self) -> None:
        """To the hard limit."""
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._given[1], self._given[1]))

    @contextlib.contextmanager
    def as_given(self) -> Iterator[None]:
        """While something is started."""
        with self._lock:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, self._given)
            try:
                yield
            finally:
                self.raise_limit()


class Desk:
    """Answers for one console; `place` is where its runs are kept."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.files = Files()
        self._attached: dict[str, Any] = {}
        """Watchers of foreign jobs, by the path of their run directory."""
        self._logs: dict[str, Any] = {}
        """Readers of merged logs, by run."""

    def answer(self, question: str, arguments: With) -> Any:
        """The answer, as what JSON can hold.

        Raises:
            Exception: why there is none.
        """
        found = ANSWERS.get(question)
        if found is None:
            raise DeskError(f"the desk knows no question {question!r}")
        return found(self, arguments)

    def close(self) -> None:
        """Let the watchers end."""
        for attached in self._attached.values():
            with contextlib.suppress(OSError):
                attached.process.stdin.close()

    # --- looking -----------------------------------------------------------------------------------------------

    def listing(self, _: With) -> Any:
        """All jobs of this node, those with a run directory with the verdict of their newest view; what is unseen."""
        found = _jobs("listing").listing(self.place)
        rows = [msgspec.to_builtins(row) for row in found.jobs]
        return {"jobs": [{**row, **_verdict(row)} for row in rows], "notes": list(found.notes)}

    def view(self, arguments: With) -> Any:
        """The view of a run of several nodes, judged from the evidence of all."""
        view = _jobs("nodes").merged_view(RunDir(Path(arguments["run"])))
        return None if view is None else msgspec.to_builtins(view)

    def attach(self, arguments: With) -> str:
        """Watch a job that torchdoctor did not start; the run directory in which what is seen appears."""
        attached = _jobs("watch").attach(self.place, _jobs("find").find_job(str(arguments["job"])))
        path = str(attached.run.path)
        self._attached[path] = attached
        return path

    def detach(self, arguments: With) -> None:
        """End the watcher that writes into a run directory, if it is ours."""
        attached = self._attached.pop(str(arguments["run"]), None)
        if attached is not None:
            attached.close()

    def watching(self, arguments: With) -> str:
        """Why the watcher that writes into a run directory has ended, if it is ours and has; else ""."""
        attached = self._attached.get(str(arguments["run"]))
        said = attached.last_words() if attached is not None else ""
        return f"no longer watched, the watcher ended: {said}" if said else ""

    def tail(self, arguments: With) -> list[str]:
        """The last lines of a log; it may lie anywhere."""
        return tail(Path(arguments["path"]), int(arguments["lines"]))

    def log(self, arguments: With) -> Any:
        """A page of the merged logs of a run."""
        reader, ranks = self._reader(str(arguments["run"])), arguments.get("ranks")
        return reader.page(int(arguments["first"]), int(arguments["count"]), ranks, hold=bool(arguments["hold"]))

    def find(self, arguments: With) -> int:
        """The place of the next line of the merged logs that holds a text."""
        reader = self._reader(str(arguments["run"]))
        asked = str(arguments["text"]), int(arguments["at"]), int(arguments["by"])
        return int(reader.find(*asked, arguments.get("ranks")))

    def close_log(self, arguments: With) -> None:
        """Nobody reads these logs any more."""
        reader = self._logs.pop(str(arguments["run"]), None)
        if reader is not None:
            reader.close()

    def _reader(self, run: str) -> Any:
        if run not in self._logs:
            self._logs[run] = _jobs("log_desk").LogReader(Path(run))
        return self._logs[run]

    # --- launching ---------------------------------------------------------------------------------------------

    def plan(self, arguments: With) -> Any:
        """The command that a launch would run; nothing is started."""
        return _jobs("launch_form").shown(arguments)

    def preflight(self, arguments: With) -> Any:
        """What stands against a launch."""
        found = _jobs("launch_form").looked(arguments, PREFLIGHT_S)
        return [msgspec.to_builtins(finding) for finding in found]

    def launch(self, arguments: With) -> str:
        """Launch a job; its run directory."""
        with self.files.as_given():
            return str(_jobs("launch_form").launched(self.place, arguments))

    def stop(self, arguments: With) -> str:
        """Stop a job of ours; what came of it, in words."""
        return str(_jobs("control").stop(RunDir(Path(arguments["run"])), STOP_WAIT_S))


def _verdict(row: With) -> dict[str, Any]:
    """What is made of a job of ours; nothing where there is no view yet."""
    views = _jobs("node").views(RunDir(Path(str(row["run"])))) if row.get("run") else []
    if not views:
        return {}
    view = max(views, key=lambda view: (view.verdict.cause != "none", view.verdict.sure, -view.t_ns))
    verdict = view.verdict
    return {"cause": verdict.cause, "sure": verdict.sure, "line": verdict.line}


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a regular file, at most MOST_TAIL_BYTES of it.

    Raises:
        DeskError: if there are none to read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(handle).st_size
            file.seek(max(0, size - MOST_TAIL_BYTES))
            text = file.read(MOST_TAIL_BYTES).decode(errors="replace")
    except OSError as error:
        raise DeskError(f"{path}: {error.strerror}") from None
    found = text.split("\n")
    if size > MOST_TAIL_BYTES:
        found = found[1:]
    return [line for line in found if line.strip()][-lines:]


ANSWERS: Final[dict[str, Callable[[Desk, With], Any]]] = {
    "list": Desk.listing,
    "view": Desk.view,
    "attach": Desk.attach,
    "detach": Desk.detach,
    "watching": Desk.watching,
    "tail": Desk.tail,
    "log": Desk.log,
    "find": Desk.find,
    "close log": Desk.close_log,
    "plan": Desk.plan,
    "preflight": Desk.preflight,
    "launch": Desk.launch,
    "stop": Desk.stop,
}
"""Question -> what answers it."""


def main() -> None:
    """Answer until the console's pipe closes; waits for nobody then."""
    desk = Desk(Path(sys.argv[1]))
    desk.files.raise_limit()
    serve(desk.answer)
    desk.close()
    os._exit(0)


if __name__ == "__main__":
    main()
