"""Faults of what runs beside, and of ranks that must meet."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from env_folders import environment, kernelspec
from fault import Change, Fault, State, write

from torchprobes.model import Verdict

_DEGRADED, _FAIL = Verdict.DEGRADED, Verdict.FAIL

_KERNEL = """
import os, sys, time
parent = os.getppid()
open(sys.argv[2] + ".up", "w").close()
while os.getppid() == parent:
    time.sleep(0.05)
"""
"""It runs as long as who started it, as a kernel does."""


def _running(torch: str) -> Change:
    """A kernel runs in an environment with that torch, while the probe looks; an installed one has the target's."""

    def change(folder: Path) -> State:
        place = folder / torch
        python = environment(place, torch)
        write(place / "lib/python3.11/site-packages/ipykernel_launcher.py", _KERNEL)
        kernelspec(folder / torch / "data", "work", [sys.executable])
        connection = place / "kernel-0a1b.json"
        kernel = shlex.join([python, "-m", "ipykernel_launcher", "-f", str(connection)])
        up = shlex.quote(f"{connection}.up")
        script = f'{kernel} </dev/null >/dev/null 2>&1 & until [ -e {up} ]; do sleep 0.02; done; exec "$@"'
        environ = {"JUPYTER_PATH": str(place / "data"), "HOME": str(folder), "JUPYTER_DATA_DIR": str(folder / "none")}
        return State(environ=environ, through=("bash", "-c", script, "bash"))

    return change


def _ranks(**environ: str) -> Change:
    return lambda _folder: State(environ=environ, params={"part": "init", "cycles": 3})


def _own_torch() -> str:
    from importlib.metadata import version

    return version("torch")


FAULTS = (
    Fault("a running kernel of another torch", "env.jupyter", "TD-ENV-087", _DEGRADED, _running("1.13.1"),
          _running(_own_torch()), "choose the target's kernel, then: Kernel > Restart"),
    Fault("ranks on an interface that is not there", "ddp.init", "TD-DDP-002", _FAIL,
          _ranks(GLOO_SOCKET_IFNAME="nowhere0"), _ranks(GLOO_SOCKET_IFNAME="lo"), "GLOO_SOCKET_IFNAME=lo",
          (pytest.mark.trials,)),
)  # fmt: skip
