"""Lanes: a starter under a guardian of its own, which serves one probe after another.

What a payload costs before it begins is a guardian, an interpreter and the import of torch; in a lane it is two forks.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

from torchprobes.rundir import RunDir

from . import processes
from .guard import Guard, GuardianProcess
from .order import ALWAYS, PAYLOADS, Job, Prepared, base_environment, process_limits

Kind = Literal["warm", "bare"]

FOLDER: Final = "starters"
"""Below the run directory: what a starter, and the import of torch in it, says."""

WORTH: Final = 2
"""A starter for fewer probes would save nothing."""

END_S: Final = 10.0
_NATIVE: Final = ("cpu", "cuda")
"""Back ends that are part of torch: a foreign one is loaded by `import torch`, which a starter does without it."""


def kind_of(job: Job) -> Kind | None:
    """The starter from which a probe may be forked, None if it needs a process that was started for it."""
    probe = job.probe
    if job.target.prefix or probe.launch != "plain":
        return None
    if probe.bare:
        return "bare"
    return "warm" if probe.warm and job.device.name.partition(":")[0] in _NATIVE else None


class Lane:
    """A starter and its guardian, started with the first probe. One probe at a time: the scheduler keeps `busy`."""

    def __init__(self, kind: Kind, run: RunDir, job: Job) -> None:
        self.busy = False
        self.refusal = ""
        """Why it serves nobody any more, "" while it does."""

        self.kind = kind
        self._folder = run.path / FOLDER / kind
        self._token = secrets.token_hex(16)
        self._starter = _starter_order(kind, self._folder, self._token, job)
        self._guardian: GuardianProcess | None = None

    @property
    def guardian(self) -> int | None:
        """The pid of its guardian, None before it was started."""
        return self._guardian.pid if self._guardian else None

    def guard(self, prepared: Prepared) -> Guard:
        """Give a probe to its guardian.

        Raises:
            OSError: if its folder cannot be written, or no process can be made.
        """
        guardian = self._guardian or self.start()
        order = prepared.order
        marked = {**order["env"], processes.TOKEN: self._token}
        return Guard({**order, "env": marked, "token": self._token, "starter": self._starter}, guardian)

    def start(self) -> GuardianProcess:
        """Start the guardian, and let it start the starter: torch is imported while others run.

        Raises:
            OSError: as `guard`.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._guardian = GuardianProcess(self._folder / "guardian.err")
        self._guardian.send(json.dumps({"starter": self._starter}).encode() + b"\n")
        return self._guardian

    def close(self) -> None:
        """End the starter."""
        if self._guardian is not None and self._guardian.wait(END_S) is None:
            self._guardian.kill()


class Lanes:
    """The lanes of a check: one a kind, where it is worth one."""

    def __init__(self, run: RunDir, jobs: Iterable[Job]) -> None:
        found = list(jobs)
        counted = Counter(map(kind_of, found))
        self._lanes: dict[Kind | None, Lane] = {}
        for job in found:
            kind = kind_of(job)
            if kind is not None and counted[kind] >= WORTH and kind not in self._lanes:
                self._lanes[kind] = Lane(kind, run, job)

    def start(self) -> None:
        """Start what takes long; one that cannot be started says why with its first probe."""
        with contextlib.suppress(OSError):
            if "warm" in self._lanes:
                self._lanes["warm"].start()

    def of(self, job: Job) -> Lane | None:
        """The lane that a probe takes, None if it is started plainly."""
        lane = self._lanes.get(kind_of(job))
        return lane if lane is not None and not lane.refusal else None

    def refusal(self, job: Job) -> str:
        """Why a probe that could be forked is not, "" if it is, or could not be in any case."""
        lane = self._lanes.get(kind_of(job))
        return lane.refusal if lane is not None else ""

    def guardians(self) -> frozenset[int]:
        """The guardians of all lanes."""
        return frozenset(lane.guardian for lane in self._lanes.values() if lane.guardian is not None)

    def close(self) -> None:
        """End all starters."""
        for lane in self._lanes.values():
            lane.close()


def _starter_order(kind: Kind, folder: Path, token: str, job: Job) -> dict[str, Any]:
    """How the starter is started: with the user's environment, but without foreign back ends, which start threads."""
    env = {
        **base_environment(job.options),
        **ALWAYS,
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
        "TORCHDOCTOR_STARTER": os.path.join(folder, kind),
        processes.TOKEN: token,
    }
    bootstrap = str(PAYLOADS / "bootstrap.py")
    argv = [job.target.python, "-B", bootstrap, "--starter", kind]
    return {"argv": argv, "env": env, "cwd": "/", "folder": str(folder), **process_limits(job.options)}
