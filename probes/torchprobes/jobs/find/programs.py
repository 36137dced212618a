"""Which program a command line runs: a launcher of ranks, a wrapper around one, a helper of one, Python. Tables.

Standard library only. Everything here is decided by words; what a process does is looked at elsewhere.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .reading import Seen

LAUNCHER_MODULES: Final = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "torch.distributed.elastic.agent": "torchrun",
    "accelerate.commands.launch": "torchrun",
    "accelerate.commands.accelerate_cli": "torchrun",
    "deepspeed.launcher.launch": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
    "torchdoctor.agent": "torchrun",
}  # fmt: skip
"""Modules that start ranks -> what their launcher is called. accelerate runs torch.distributed.run in itself."""

LAUNCHER_NAMES: Final = {
    "torchrun": "torchrun", "accelerate": "torchrun", "accelerate-launch": "torchrun",
    "torchdoctor_agent.py": "torchrun",
    "deepspeed": "deepspeed", "ds": "deepspeed",
    "mpirun": "mpirun", "mpiexec": "mpirun", "mpiexec.hydra": "mpirun", "orterun": "mpirun", "prterun": "mpirun",
    "orted": "mpirun", "prted": "mpirun", "hydra_pmi_proxy": "mpirun", "hydra_bstrap_proxy": "mpirun",
    "horovodrun": "mpirun",
    "srun": "srun", "slurmstepd": "srun", "raylet": "ray",
}  # fmt: skip
"""Programs and scripts that start ranks -> what their launcher is called."""

SHELLS: Final = frozenset({"bash", "sh", "dash", "zsh", "ksh", "ash", "fish", "csh", "tcsh", "busybox"})

WRAPPERS: Final = SHELLS | {
    "env", "numactl", "taskset", "nice", "ionice", "chrt", "timeout", "time", "stdbuf", "setsid", "nohup", "setpriv",
    "sudo", "su", "runuser", "unshare", "nsenter", "chroot", "strace", "ltrace", "perf", "gdb", "valgrind", "script",
    "nsys", "ncu", "rocprof", "rocprofv3", "vtune", "py-spy", "tini", "dumb-init", "catatonit", "docker-init",
    "apptainer", "singularity", "starter", "starter-suid", "enroot", "docker", "podman", "bwrap", "conda", "mamba",
    "micromamba", "uv", "uvx", "poetry", "pipenv", "pdm", "hatch", "rye", "pixi", "rank_shim.py", "debugpy",
}  # fmt: skip
"""Programs that only start another one, which inherits their environment."""

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:-dbg|t|d)?$")
_STEP = re.compile(r"slurmstepd: \[(\d+)\.(\d+)\]")
_VALUED: Final = frozenset({"-W", "-X", "--check-hash-based-pycs"})

HELPERS: Final = (
    "from multiprocessing.resource_tracker import", "from multiprocessing.semaphore_tracker import",
    "from multiprocessing.forkserver import", "_inductor/compile_worker", "torch._inductor.compile_worker",
    "from torch._inductor", "multiprocessing.resource_sharer",
    "-m torchdoctor", "from torchdoctor.__main__", "/bin/torchdoctor ", "/torchprobes/jobs/", "/torchprobes/telemetry/",
    "/torchprobes/environment/",
)  # fmt: skip
"""Words in the command line of what Python, torch and torchdoctor start beside a rank: never a rank.

In a step of Slurm all of them have its SLURM_PROCID: the agent of a node, its watcher, a snapshot over srun.
"""


OURS: Final = "/torchprobes/"
PAYLOADS: Final = "/torchprobes/payloads/"
"""Our own files by their path; those that ranks run lie apart."""


def base(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def is_python(seen: Seen) -> bool:
    """Whether its command line runs a Python interpreter; one that set a title over it is told by `has_title`."""
    if seen.python is None:
        seen.python = bool(seen.words) and bool(_PYTHON.match(base(seen.words[0]).lstrip("-")))
    return seen.python


def has_title(seen: Seen) -> bool:
    """Whether it wrote a title over its command line and environment, as setproctitle does."""
    return seen.denied == "overwritten" and bool(seen.words) and not is_python(seen)


def program(words: tuple[str, ...]) -> str:
    """What a command line runs: the module or script of a Python, "-c" for code, else the program's own name."""
    if not words:
        return ""
    name = base(words[0]).lstrip("-")
    if not _PYTHON.match(name):
        return "slurmstepd" if name.startswith("slurmstepd:") else name.split(":")[0]
    skip = False
    for place, word in enumerate(words[1:], start=1):
        if skip or word in _VALUED:
            skip = not skip
        elif word in ("-m", "-c"):
            return "-c" if word == "-c" else words[place + 1] if place + 1 < len(words) else name
        elif not word.startswith("-"):
            return base(word)
    return name


def launcher(seen: Seen) -> str:
    """What kind of launcher it is, "" if it is none."""
    if seen.kind is None:
        seen.kind = _launcher(seen)
    return seen.kind


def _launcher(seen: Seen) -> str:
    words = seen.words
    if not words:
        return "srun" if seen.name == "slurmstepd" else ""
    name = program(words)
    if name == "accelerate" and "launch" not in words:
        return ""
    return LAUNCHER_NAMES.get(name) or LAUNCHER_MODULES.get(name, "")


def is_wrapper(seen: Seen) -> bool:
    """Whether it only runs another program."""
    return program(seen.words) in WRAPPERS


def is_shell(seen: Seen) -> bool:
    """Whether it is a shell."""
    return program(seen.words) in SHELLS


def is_helper(seen: Seen) -> bool:
    """Whether it is a process that Python or torch keeps for itself."""
    line = " ".join(seen.words[:8])
    return any(words in line for words in HELPERS)


def is_ours(seen: Seen) -> bool:
    """Whether it is a process of torchdoctor's that is no rank: a console, a supervisor, a watcher."""
    if program(seen.words) == "torchdoctor" or program(seen.words).startswith("torchdoctor."):
        return True
    return any(OURS in word and PAYLOADS not in word for word in seen.words[:8])


def is_spawned(seen: Seen) -> bool:
    """Whether multiprocessing started it by `spawn` or through its fork server."""
    return "--multiprocessing-fork" in seen.words or "from multiprocessing.spawn import" in " ".join(seen.words[:8])


def slurm_step(seen: Seen) -> str:
    """The `JOB.STEP` that a slurmstepd serves, as its title says; "" for any other process."""
    found = _STEP.match(seen.words[0]) if seen.words else None
    return f"{found[1]}.{found[2]}" if found else ""


def option(words: tuple[str, ...], *names: str) -> str:
    """The value of an option on a command line, `--name value` or `--name=value`; "-" and "_" are the same."""
    wanted = {name.replace("_", "-") for name in names}
    for place, word in enumerate(words):
        head, equals, value = word.partition("=")
        if head.startswith("-") and head.replace("_", "-") in wanted:
            return value if equals else words[place + 1] if place + 1 < len(words) else ""
    return ""
