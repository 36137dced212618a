"""A job that was launched from a terminal lives on when the terminal is dropped, as by a connection that breaks."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

import pytest
from launched_job import until

import torchprobes
from torchprobes.jobs import control
from torchprobes.jobs.node import node_folder
from torchprobes.rundir import create
from torchprobes.runner import processes

ROOT = str(Path(torchprobes.__file__).parents[1])
START = """
import sys
from pathlib import Path
from torchprobes.jobs import launch
from torchprobes.model import Target
from torchprobes.rundir import RunDir
run = RunDir(Path(sys.argv[1]))
text = "import time\\nwhile True: print('step', flush=True); time.sleep(0.02)"
options = launch.LaunchOptions(launcher="command", command=(sys.executable, "-c", text), inject=False, grace_s=1.0)
print("launched", launch.start(run, launch.plan(Target(python=sys.executable, torch="2.13.0"), options, run)))
"""


def shell_on_a_terminal() -> tuple[int, int]:
    """An interactive bash with a terminal of its own: (pid, the terminal's other end)."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], os.environ | {"PYTHONPATH": ROOT, "PS1": "$ "})
    return pid, master


def type_and_wait(master: int, line: str, said: str, deadline_s: float = 60.0) -> None:
    """Type a line, and read until the answer is there."""
    os.write(master, line.encode() + b"\n")
    text, end = "", time.monotonic() + deadline_s
    while said not in text:
        assert select.select([master], [], [], max(0.0, end - time.monotonic()))[0], f"only said: {text!r}"
        text += os.read(master, 4096).decode("utf-8", "replace")


def drop_once(folder: Path) -> None:
    """Launch from a terminal, drop it, see that the job steps on, and end it."""
    run = create(folder / "runs", "job")
    script = folder / "start.py"
    script.write_text(START)
    shell, master = shell_on_a_terminal()
    type_and_wait(master, f"{sys.executable} {script} {run.path}", "launched ")
    node = node_folder(run)
    until(lambda: node.agent_log.exists() and node.agent_log.stat().st_size > 0)
    os.close(master)  # the kernel hangs the terminal up: SIGHUP to the shell, and by it to its jobs
    _, status = os.waitpid(shell, 0)
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGHUP, 129, 0)
    size = node.agent_log.stat().st_size
    try:
        until(lambda: node.agent_log.stat().st_size > size + 50)  # ten steps more
        begin = time.monotonic()
        assert control.is_alive(run)
        print(f"re-attached in {(time.monotonic() - begin) * 1e3:.2f} ms")
    finally:
        assert control.stop(run, 30.0) == "stopped; nothing is left of it"
    agent = next(record for record in control.records(node) if record["ev"] == "agent")
    entry = processes.read(agent["pid"])
    assert entry is None or entry.start != agent["start"]


def test_a_dropped_terminal_ends_no_job(tmp_path: Path) -> None:
    drop_once(tmp_path)


@pytest.mark.trials
def test_twenty_dropped_terminals(tmp_path: Path) -> None:
    for trial in range(20):
        folder = tmp_path / str(trial)
        folder.mkdir()
        drop_once(folder)
