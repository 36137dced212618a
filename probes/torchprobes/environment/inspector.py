"""The program of `torchprobes.child`: answers one question about files, on stdin and stdout, then is gone.

Standard library only (it runs without site-packages), and little of it: it is started for every question. A question
is a function of a module beside this file, named in QUESTIONS; one that returns functions by item is answered item by
item, each in a thread of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

QUESTIONS: dict[str, str] = {
    "writable": "places",
    "readable": "places",
    "read-settings": "places",
    "disk": "places",
    "machine": "identity",
    "interpreters": "interpreters",
    "identify": "interpreters",
    "find-torch": "interpreters",
    "torch-names": "interpreters",
    "which": "interpreters",
    "nccl-version": "interpreters",
    "process": "process",
    "allocations": "allocations",
    "like": "like",
    "launching": "launching",
    "inventory": "inventory",
}
"""Question -> the module in `torchprobes.environment` whose ANSWERS has it."""

_lock = threading.Lock()


def say(message: dict[str, Any]) -> None:
    """Write one line of the answer, whole."""
    data = (json.dumps(message) + "\n").encode()
    with _lock:
        while data:
            data = data[os.write(1, data) :]


def one_line(error: BaseException) -> str:
    """What went wrong, for a person."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def answer(question: str, arguments: dict[str, Any]) -> None:
    """Find the question's function, run it, and say what it returned."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    if question not in QUESTIONS:
        say({"failed": f"unknown question {question!r}"})
        return
    module = __import__(f"torchprobes.environment.{QUESTIONS[question]}", fromlist=["ANSWERS"])
    result = module.ANSWERS[question](**arguments)
    if isinstance(result, dict) and result and all(callable(job) for job in result.values()):
        answer_each(result)
        result = None
    say({"done": result})


def answer_each(jobs: dict[str, Any]) -> None:
    """Run every job in its own thread and say each result when it is there."""
    say({"expects": list(jobs)})
    threads = [threading.Thread(target=answer_item, args=item, daemon=True) for item in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def answer_item(key: str, job: Any) -> None:
    """One item; its failure is its own."""
    try:
        say({"item": key, "value": job()})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's answer
        say({"item": key, "failed": one_line(error)})


def main() -> None:
    """Read the request and answer it; the alarm ends this process even when its asker is gone."""
    request = json.loads(sys.stdin.buffer.readline(16 << 20))
    signal.alarm(int(request["deadline_s"]) + 2)
    try:
        answer(request["question"], request["arguments"])
    except Exception as error:  # noqa: BLE001 - the asker gets one line, never a traceback
        say({"failed": one_line(error)})
    os._exit(0)  # a thread that hangs is not waited for


if __name__ == "__main__":
    main()
