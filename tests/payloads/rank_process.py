"""Start a payload in ranks as a check does: the builder's command, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torchprobes
from torchprobes.catalogue import PROBES
from torchprobes.jobs import BUILDERS
from torchprobes.model import Target
from torchprobes.runner.command import Plan

PAYLOADS = Path(torchprobes.__file__).parent / "payloads"
DDP = next(p for p in PROBES if p.name == "ddp.allreduce")


@dataclass(frozen=True)
class Started:
    """torchrun as a process, and the folder of its probe."""

    process: subprocess.Popen[bytes]
    folder: Path
    ranks: int

    @property
    def events(self) -> Path:
        """Where its ranks write."""
        return self.folder / "events"


def plan_in(
    folder: Path, payload: str, device: str = "cpu", gpus: tuple[str, ...] = (), python: str = sys.executable
) -> Plan:
    """A plan whose places lie in `folder`."""
    return Plan(
        python=python,
        bootstrap=str(PAYLOADS / "bootstrap.py"),
        payload=payload,
        request=str(folder / "request.json"),
        events=str(folder / "events"),
        artifacts=str(folder / "artifacts"),
        compile_dir=str(folder / "compile"),
        payloads=str(PAYLOADS),
        device=device,
        gpus=gpus,
    )


def start_ranks(
    folder: Path,
    payload: str = str(PAYLOADS / "ddp.py"),
    device: str = "cpu",
    gpus: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    params: Mapping[str, object] | None = None,
    python: str = sys.executable,
    torch: str = version("torch"),
) -> Started:
    """Start `payload` in the ranks that the builder of ddp.allreduce chooses, with `params` over two CPU ranks.

    `python` is the target's interpreter and `torch` the version of its PyTorch.
    """
    for part in ("events", "artifacts", "compile", "locks"):
        (folder / part).mkdir(parents=True)
    plan = plan_in(folder, payload, device, gpus, python)
    request: dict[str, object] = {"probe": DDP.name, "device": device}
    request["params"] = {**({} if gpus else {"ranks": 2}), **(params or {})}
    request |= {"artifacts": plan.artifacts, "compile_dir": plan.compile_dir, "locks": str(folder / "locks")}
    Path(plan.request).write_text(json.dumps(request))
    target = Target(python=python, torch=torch)
    command = BUILDERS["torchrun"](DDP, target, request, plan)
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "GLOO_SOCKET_IFNAME")}
    env |= {"TORCHDOCTOR_REQUEST": plan.request, "TORCHDOCTOR_EVENTS": plan.events, **command.env}
    with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
        process = subprocess.Popen(
            command.argv, env=env | dict(environ or {}), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    return Started(process, folder, command.ranks)
