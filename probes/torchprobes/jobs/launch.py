"""Launch a job: from its plan to the supervisor that owns it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .. import child
from ..rundir import RunDir, boot_id, write_atomically
from ..runner import processes
from .launch_plan import LaunchError, LaunchOptions, LaunchPlan, plan
from .node import NodeFolder

__all__ = ["LaunchError", "LaunchOptions", "LaunchPlan", "check", "plan", "start", "supervise"]

SUPERVISOR = Path(__file__).with_name("supervisor.py")

START_S = 10.0
"""Within which a supervisor must own its run."""


def check(plan: LaunchPlan, deadline_s: float = 2.0) -> None:
    """See that what is to run is there, in a child that may be killed: a script may lie on a dead file system.

    Raises:
        LaunchError: one line.
    """
    if not plan.script:
        return
    try:
        why = child.ask("readable", {"path": plan.script}, deadline_s)
    except child.Hung:
        raise LaunchError(f"{plan.script}: its file system gave no answer in {deadline_s:g} s") from None
    except child.ChildFailed as error:
        raise LaunchError(f"{plan.script}: {error}") from None
    if why:
        raise LaunchError(f"{plan.script}: {why}")


def start(run: RunDir, plan: LaunchPlan, environ: Mapping[str, str] | None = None) -> int:
    """Start the supervisor, detached from this process and its terminal; its pid, once it owns the run.

    Raises:
        LaunchError: one line: what kept it from starting.
    """
    order = _prepare(run, plan)
    argv = [sys.executable, "-I", "-S", "-B", str(SUPERVISOR)]
    folder = NodeFolder(Path(plan.node))
    try:
        with (folder.path / "supervisor.err").open("ab") as errors:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd="/", start_new_session=True,
                env=dict(os.environ if environ is None else environ),
            )  # fmt: skip
    except OSError as error:
        raise LaunchError(f"cannot start a supervisor: {error.strerror}") from None
    answer = _converse(process, order)
    if "pid" not in answer:
        raise LaunchError(str(answer.get("error") or _last_words(folder)))
    return int(answer["pid"])


def supervise(run: RunDir, plan: LaunchPlan, *, detached: bool = False) -> int:
    """Supervise a job: detached as `start` does, else by becoming the supervisor in the foreground.

    In the foreground it never comes back: the process ends when the job has ended, with the agent's exit code.

    Raises:
        LaunchError: one line: what kept it from starting.
    """
    if detached:
        return start(run, plan)
    order = _prepare(run, plan)
    argv = [sys.executable, "-I", "-S", "-B", str(SUPERVISOR), "--foreground"]
    try:
        with tempfile.TemporaryFile() as file:
            file.write(order)
            file.seek(0)
            os.dup2(file.fileno(), 0)
        os.execve(sys.executable, argv, dict(os.environ))  # noqa: S606 - an argument list, no shell
    except OSError as error:
        raise LaunchError(f"cannot start a supervisor: {error.strerror}") from None


def _prepare(run: RunDir, plan: LaunchPlan) -> bytes:
    """Make the node's folder and keep the plan in run.json; the order as one line."""
    node = NodeFolder(Path(plan.node))
    try:
        for folder in (node.path, node.logs, node.events, node.stacks, node.flight, node.nccl, node.evidence):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if plan.request:
            _write_request(plan)
        if plan.owner:
            run.change(argv=plan.argv, inject=plan.inject)
        write_atomically(node.path / "plan.json", msgspec.json.encode(plan))
    except OSError as error:
        raise LaunchError(f"cannot write to {plan.node}: {error.strerror}") from None
    token = secrets.token_hex(16)
    job = {
        "key": f"torchrun:{plan.run_id}" if plan.run_id else "", "launcher": "torchdoctor", "host": node.host,
        "user": _user(), "command": shlex.join(plan.argv), "run": str(run.path),
    }  # fmt: skip
    order = {
        "run": str(run.path), "node": plan.node, "argv": list(plan.argv), "cwd": plan.cwd, "unset": list(plan.unset),
        "env": {**plan.env, processes.TOKEN: token}, "token": token, "boot_id": boot_id(), "owner": plan.owner,
        "grace_s": plan.grace_s, "term_s": plan.term_s, "job": job, "rlimits": {}, "cores": [],
    }  # fmt: skip
    return json.dumps(order).encode() + b"\n"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _write_request(plan: LaunchPlan) -> None:
    for path in (plan.request["artifacts"], plan.request["compile_dir"], plan.env["TORCHDOCTOR_EVENTS"]):
        Path(path).mkdir(parents=True, exist_ok=True, mode=0o700)
    Path(plan.env["TORCHDOCTOR_REQUEST"]).write_text(json.dumps(plan.request))


def _converse(process: subprocess.Popen[bytes], order: bytes) -> dict[str, Any]:
    """Give the order and hear the answer; the first process leaves at once and is reaped here."""
    if process.stdin is None or process.stdout is None:
        return {}
    with process.stdin, process.stdout, contextlib.suppress(OSError, ValueError):
        process.stdin.write(order)
        process.stdin.flush()
        if select.select([process.stdout], [], [], START_S)[0]:
            answer = json.loads(process.stdout.readline(1 << 16) or b"{}")
            process.wait(START_S)
            return dict(answer)
    process.kill()
    process.wait()
    return {}


def _last_words(folder: NodeFolder) -> str:
    try:
        lines = (folder.path / "supervisor.err").read_bytes()[-2000:].decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    said = lines[-1].strip() if lines else f"it said nothing within {START_S:g} s"
    return f"the supervisor did not start: {said}"
