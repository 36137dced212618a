"""What an environment says of its process's place in a job: one row a launcher's convention. Standard library only."""

from __future__ import annotations

from .reading import Seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

MOST_RANKS: Final = 1 << 20

UNNAMED: Final = frozenset({"", "none"})
"""Run ids that torchrun has when nobody gave it one: they name no job."""


class Scheme:
    """One convention: which variables hold rank, world size and local rank."""

    __slots__ = ("local", "name", "rank", "world")

    def __init__(self, name: str, rank: str, world: tuple[str, ...], local: str) -> None:
        self.name, self.rank, self.world, self.local = name, rank, world, local


SCHEMES: Final = (
    Scheme("torch", "RANK", ("WORLD_SIZE",), "LOCAL_RANK"),
    Scheme("mpi", "OMPI_COMM_WORLD_RANK", ("OMPI_COMM_WORLD_SIZE",), "OMPI_COMM_WORLD_LOCAL_RANK"),
    Scheme("mpi", "HOROVOD_RANK", ("HOROVOD_SIZE",), "HOROVOD_LOCAL_RANK"),
    Scheme("mpi", "PMI_RANK", ("PMI_SIZE",), "MPI_LOCALRANKID"),
    Scheme("slurm", "SLURM_PROCID", ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"), "SLURM_LOCALID"),
    Scheme("lightning", "LOCAL_RANK", ("WORLD_SIZE",), "LOCAL_RANK"),
)
"""Strongest first: mpirun in an allocation hands down the SLURM_PROCID of its daemon, torchrun that of its agent."""


class Told:
    """One environment's word. `rank` of Lightning's is the local one until its siblings are counted."""

    __slots__ = ("environ", "local", "rank", "scheme", "world")

    def __init__(self, scheme: str, rank: int, world: int, local: int | None, environ: Mapping[str, str]) -> None:
        self.scheme, self.rank, self.world, self.local, self.environ = scheme, rank, world, local, environ

    @property
    def attempt(self) -> int:
        """How often torchrun has started this job anew."""
        return number(self.environ, "TORCHELASTIC_RESTART_COUNT") or 0

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal in a rank and in what it starts, which inherits its environment; different in another job's."""
        names = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_ID")
        return (self.scheme, str(self.rank), *(self.environ.get(name, "") for name in names))


def number(environ: Mapping[str, str], *names: str) -> int | None:
    """The first of some variables that is a number small enough to count ranks."""
    for name in names:
        text = environ.get(name, "")
        if text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= MOST_RANKS:
            return int(text)
    return None


def told(seen: Seen) -> Told | None:
    """The place in a job that the environment of a process gives it, None if it gives none."""
    environ = seen.told
    for scheme in SCHEMES:
        rank, world = number(environ, scheme.rank), number(environ, *scheme.world)
        if rank is None or world is None or rank >= world or not _applies(scheme.name, environ, world):
            continue
        return Told(scheme.name, rank, world, number(environ, scheme.local), environ)
    return None


def _applies(scheme: str, environ: Mapping[str, str], world: int) -> bool:
    """Whether a convention means a rank: a shell in an allocation has Slurm's variables too."""
    if scheme == "slurm":  # a batch script has no step, `srun --pty` has a terminal, one task is no distributed job
        return world > 1 and number(environ, "SLURM_STEP_ID") is not None and "SLURM_PTY_PORT" not in environ
    if scheme == "lightning":
        return "NODE_RANK" in environ and "MASTER_PORT" in environ
    return True


def key(told: Told, launcher_pid: int, launcher: str = "") -> str:
    """The name of the job that an environment belongs to; `launcher_pid` names one that has no name."""
    environ = told.environ
    run_id = environ.get("TORCHELASTIC_RUN_ID", "")
    step = f"{environ.get('SLURM_JOB_ID', '')}.{environ.get('SLURM_STEP_ID', '')}"
    if told.scheme == "torch" and run_id not in UNNAMED:
        return f"torchrun:{run_id}"
    if told.scheme in ("torch", "lightning") and environ.get("MASTER_ADDR") and environ.get("MASTER_PORT"):
        return f"master:{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
    if told.scheme == "mpi" and launcher != "srun":  # srun speaks PMI and PMIx too, of its own step
        return f"mpi:{environ.get('PMIX_NAMESPACE') or launcher_pid}"
    if len(step) > 1 and number(environ, "SLURM_PROCID") == told.rank:
        return f"slurm:{step}"
    return f"spawn:{launcher_pid}"
