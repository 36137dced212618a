"""The child that looks for jobs: run by path, without site-packages; one question on stdin, one answer on stdout.

It answers as `torchprobes.environment.inspector` does. The packages above this one need what the child does not have:
they are put up empty, so that the scan can be imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))

ANSWER_S = 0.05
"""What is kept of the deadline for the answer itself."""


def hollow(name: str, folder: str) -> None:
    """A package of that name whose own code is not run."""
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def answer(question: str, arguments: dict[str, Any], until: float) -> Any:
    """What the question is answered with.

    Raises:
        KeyError: for an unknown question.
    """
    jobs = os.path.dirname(HERE)
    sys.path.insert(0, os.path.dirname(os.path.dirname(jobs)))
    hollow("torchprobes.jobs", jobs)
    hollow("torchprobes.jobs.find", HERE)
    name = {"jobs": "answers", "sources": "facts"}[question]
    module = __import__(f"torchprobes.jobs.find.{name}", fromlist=["answer"])
    return module.answer(until, **arguments)


def main() -> None:
    """Read the request and answer it; the alarm ends this process even when its asker is gone."""
    request = json.loads(sys.stdin.buffer.readline(1 << 20))
    signal.alarm(int(request["deadline_s"]) + 2)
    began = time.monotonic()
    try:
        said: dict[str, Any] = {
            "done": answer(request["question"], request["arguments"], began + request["deadline_s"] - ANSWER_S)
        }
    except Exception as error:  # noqa: BLE001 - the asker gets one line, never a traceback
        said = {"failed": " ".join(f"{type(error).__name__}: {error}".split())}
    data = (json.dumps(said) + "\n").encode()
    while data:
        data = data[os.write(1, data) :]
    os._exit(0)  # a thread that is stuck is not waited for


if __name__ == "__main__":
    main()
