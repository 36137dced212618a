"""Cards of the runner: how a probe's processes ended, when they did not say their own end."""

from __future__ import annotations

from ...model import Fix
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-RUN-001",
        title="The probe ran into its time limit",
        why="Everything that it had started was stopped. The limit counts from the end of `import torch`. A busy "
        "machine, a hanging file system and a hanging driver all look like this.",
        fix=Fix(command="torchdoctor check NAME    # again, alone; the last lines of its stderr.log say where it was"),
        source="torchprobes/catalogue.py (limit_s)",
    ),
    Card(
        id="TD-RUN-002",
        title="The probe was killed by a signal",
        why="SIGSEGV, SIGABRT, SIGBUS and SIGILL come from native code: PyTorch, a driver, or a library that does not "
        "fit. SIGKILL that nobody sent is most often the kernel or the cgroup out of memory.",
        fix=Fix(command="dmesg | tail -50    # and, for a crash: PYTHONFAULTHANDLER=1 torchdoctor check NAME"),
        source="signal(7)",
    ),
    Card(
        id="TD-RUN-003",
        title="The probe ended without saying so",
        why="The process exited by itself before its last line: an exit inside native code, or inside a library.",
        fix=Fix(command="torchdoctor report RUN    # its own words are in the probe's stderr.log"),
        source="measured",
    ),
    Card(
        id="TD-RUN-004",
        title="The probe left processes behind",
        why="What it had started outlived it. The guardian stopped these processes; in your own jobs, nobody would.",
        fix=Fix(command="torchdoctor report RUN    # names them by pid and command"),
        source="measured",
    ),
    Card(
        id="TD-RUN-005",
        title="The probe printed too much",
        why="A stream beyond its limit would fill the disk, so the probe was stopped.",
        fix=Fix(command="unset TORCH_LOGS TORCH_CPP_LOG_LEVEL NCCL_DEBUG    # what makes the stack talk"),
        source="the run directory's limits",
    ),
    Card(
        id="TD-RUN-006",
        title="The probe could not be started",
        why="The target's Python could not be run: it is missing, not executable, or refused.",
        fix=Fix(command="torchdoctor check --python PYTHON    # another target"),
        source="execve(2)",
    ),
    Card(
        id="TD-RUN-007",
        title="The probe itself broke",
        why="An error that is not the system's under test: a fault of torchdoctor, or a PyTorch that it does not know.",
        fix=Fix(command="torchdoctor report RUN    # the traceback is in the probe's stderr.log; please report it"),
        source="measured",
    ),
)
