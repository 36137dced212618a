"""What a process belongs to: its batch job and its container, told from its cgroup and its environment.

Both are told by rows of patterns, compiled when they are first used. The cgroup wins: the kernel keeps it, while an
environment is what the parent said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

MAX_WORD: Final = 120
SHORT_ID: Final = 12
"""So many digits of a container's id are shown, as its own tools do."""

_JobOf = Callable[[re.Match[str]], str]

_SPECIAL_STEPS: Final = {"4294967291": "batch", "4294967292": "extern", "4294967290": "interactive"}
"""SLURM_STEP_ID of the steps without a number (slurm.h: SLURM_BATCH_SCRIPT, SLURM_EXTERN_CONT, …)."""


def _slurm(found: re.Match[str]) -> str:
    job, step = found["job"], found["step"]
    return f"slurm {job}.{step}" if step else f"slurm {job}"


def _pod(found: re.Match[str]) -> str:
    return f"pod {found['uid'].replace('_', '-')}"


def _batch(name: str) -> _JobOf:
    return lambda found: f"{name} {found['job']}"


_GROUP_JOBS: Final[tuple[tuple[str, _JobOf], ...]] = (
    # v1 /slurm/uid_1000/job_12/step_0/task_0, v2 /system.slice/[NODE_]slurmstepd.scope/job_12/step_0/user/task_0
    (
        r"slurm[^/]{0,64}(?:/uid_\d{1,10})?/job_(?P<job>\d{1,12})(?:/step_(?P<step>\w{1,20}))?(?:/|$)",
        _slurm,
    ),
    # cgroupfs .../kubepods/burstable/pod1b2c-…/ID, systemd …/kubepods-burstable-pod1b2c_….slice/cri-containerd-ID.scope
    (r"kubepods.{0,200}?[/-]pod(?P<uid>[0-9a-f][0-9a-f_-]{30,38}[0-9a-f])(?:\.slice)?(?:/|$)", _pod),
    (r"/pbs(?:pro|_jobs)?\.(?:service|slice)/jobid/(?P<job>[\w.\[\]-]{1,64})", _batch("pbs")),
    (r"/lsf/[^/]{1,64}/job\.(?P<job>\d{1,12})", _batch("lsf")),
)

_ID: Final = r"(?P<id>[0-9a-f]{32,64})"
_CONTAINERS: Final[tuple[tuple[str, str], ...]] = (
    ("containerd", rf"(?:cri-containerd|nerdctl)[-:]{_ID}(?:\.scope)?"),
    ("cri-o", rf"/crio-{_ID}(?:\.scope)?"),
    ("docker", rf"/docker[-/]{_ID}(?:\.scope)?"),
    ("podman", rf"/libpod-{_ID}(?:\.scope)?"),
    ("lxc", r"/lxc(?:\.payload)?[./](?P<id>[\w.-]{1,64})"),
    ("nspawn", r"/(?:machine-|systemd-nspawn@)(?P<id>[\w.\\-]{1,64})\.(?:scope|service)"),
    ("apptainer", r"/(?:apptainer|singularity)[-/](?P<id>\w{1,64})(?:\.scope)?"),
    ("container", rf"/{_ID}(?:/|$)"),
)
"""The innermost is taken: a container inside another is the one that a person knows."""

_ENVIRONMENT_JOBS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("slurm", "SLURM_JOB_ID", "SLURM_STEP_ID", ""),
    ("pbs", "PBS_JOBID", "", ""),
    ("lsf", "LSB_JOBID", "LSB_JOBINDEX", "0"),
    ("flux", "FLUX_JOB_ID", "", ""),
    ("sge", "JOB_ID", "SGE_TASK_ID", "undefined"),
)
"""Scheduler, variable of the job, variable of its part, and the value by which that says that there is no part."""

_ENVIRONMENT_CONTAINERS: Final = (
    ("apptainer", "APPTAINER_CONTAINER"),
    ("apptainer", "SINGULARITY_CONTAINER"),
    ("enroot", "ENROOT_ROOTFS"),
)
"""Runtimes that make no cgroup of their own say so here; the value is the image's path."""


def job_of_group(path: str) -> str:
    """The job that a cgroup's path names (`slurm 1234.0`, `pod UID`, `pbs ID`), "" if none."""
    for pattern, words in _GROUP_JOBS:
        if found := re.search(pattern, path):
            return words(found)[:MAX_WORD]
    return ""


def container_of_group(path: str) -> str:
    """The container that a cgroup's path names (`docker 0123456789ab`, `lxc NAME`), "" if none."""
    best = (-1, "")
    for runtime, pattern in _CONTAINERS:
        for found in re.finditer(pattern, path):
            if found.start("id") > best[0]:
                best = found.start("id"), f"{runtime} {_short(found['id'])}"
    return best[1][:MAX_WORD]


def job_of_environment(environment: Mapping[str, str], parent: int) -> str:
    """The job that an environment names; a torchrun that no scheduler started is a job too: its agent's pid."""
    for scheduler, job, part, no_part in _ENVIRONMENT_JOBS:
        if scheduler == "sge" and part not in environment:  # JOB_ID alone may be anybody's
            continue
        if number := _word(environment, job):
            inside = _word(environment, part)
            step = f".{_SPECIAL_STEPS.get(inside, inside)}" if inside not in ("", no_part) else ""
            return f"{scheduler} {number}{step}"[:MAX_WORD]
    run = _word(environment, "TORCHELASTIC_RUN_ID")
    return f"torchrun {run if run != 'none' else parent}"[:MAX_WORD] if run else ""


def pod_name(environment: Mapping[str, str]) -> str:
    """The name of the pod, "" where the environment is not that of a pod."""
    if "KUBERNETES_SERVICE_HOST" not in environment and "POD_NAME" not in environment:
        return ""
    return _word(environment, "POD_NAME") or _word(environment, "HOSTNAME")


def container_of_environment(environment: Mapping[str, str]) -> str:
    """The container that an environment names (`apptainer torch.sif`), "" if none."""
    for runtime, variable in _ENVIRONMENT_CONTAINERS:
        if image := _word(environment, variable):
            return f"{runtime} {image.rstrip('/').rpartition('/')[2]}"[:MAX_WORD]
    return ""


def _word(environment: Mapping[str, str], name: str) -> str:
    """A variable's value as one printable word, whatever somebody wrote into it."""
    return "".join(c for c in environment.get(name, "")[:MAX_WORD] if c.isprintable() and not c.isspace())


def _short(identity: str) -> str:
    return identity[:SHORT_ID] if len(identity) >= 32 else identity
