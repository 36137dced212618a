"""A launch as a form asks for it: words of a person, made into options, shown, looked at beforehand, and started."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from .. import rundir
from ..model import Finding, Target
from ..rundir import RunDir
from .launch import LaunchError, LaunchOptions, check, plan, start
from .preflight import preflight

NOWHERE: Final = "RUN"
"""The name of the run directory in a command that is only shown."""

With = Mapping[str, Any]


def options_of(form: With) -> LaunchOptions:
    """What a form asks for: `script` (a path, or `-m` and a module), `arguments`, `ranks`, `torchrun`, and switches.

    Raises:
        LaunchError: one line: what of it cannot be.
    """
    ranks = str(form.get("ranks") or "").strip()
    torchrun = _words(form, "torchrun")
    preset = "ddp" if form.get("ddp") else ""
    alone = bool(form.get("alone")) and not preset
    if ranks and not alone and not any(word.startswith(("--nproc-per-node", "--nproc_per_node")) for word in torchrun):
        torchrun = (f"--nproc-per-node={ranks}", *torchrun)
    return LaunchOptions(
        torchrun=torchrun,
        command=() if preset else (*_words(form, "script"), *_words(form, "arguments")),
        launcher="command" if alone else "torchrun",
        preset=preset,
        inject=bool(form.get("inject", True)),
        compile_debug=bool(form.get("compile_debug")),
        torch_logs=str(form.get("torch_logs") or ""),
        nccl_debug=str(form.get("nccl_debug") or ""),
        distributed_debug=str(form.get("distributed_debug") or ""),
        cwd=str(form.get("cwd") or ""),
        as_root=bool(form.get("as_root")),
    )


def _words(form: With, name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(str(form.get(name) or "")))
    except ValueError as error:
        raise LaunchError(f"{name}: {str(error).lower()}") from None


def _target(form: With) -> Target:
    if not form.get("target"):
        raise LaunchError("no Python with torch is known yet")
    return msgspec.convert(form["target"], Target)


def shown(form: With) -> dict[str, Any]:
    """The command that would run, what is put into the ranks, and what was changed of what the person wrote.

    Raises:
        LaunchError: one line: what of it cannot be.
    """
    options = options_of(form)
    if not options.command and not options.preset:
        raise LaunchError("name a script, or -m and a module")
    made = plan(_target(form), options, RunDir(Path(NOWHERE)))
    return {
        "line": shlex.join(command_line(options)), "argv": list(made.argv), "env": made.env,
        "injected": list(made.injected), "notes": list(made.notes),
    }  # fmt: skip


def command_line(options: LaunchOptions) -> list[str]:
    """The command of ours that does the same."""
    switches = {
        "--as-is": options.launcher == "command", "--no-inject": not options.inject,
        "--compile-debug": options.compile_debug, "--as-root": options.as_root,
    }  # fmt: skip
    values = {
        "--preset": options.preset, "--torch-logs": options.torch_logs, "--nccl-debug": options.nccl_debug,
        "--distributed-debug": options.distributed_debug,
    }  # fmt: skip
    words = [name for name, on in switches.items() if on]
    words += [word for name, value in values.items() if value for word in (name, value)]
    return ["torchdoctor", "launch", *options.torchrun, *words, *(("--", *options.command) if options.command else ())]


def looked(form: With, deadline_s: float) -> tuple[Finding, ...]:
    """What stands in the way here, the gravest first.

    Raises:
        LaunchError, OptionError: one line: what of the options cannot be.
    """
    options = options_of(form)
    if not options.command and not options.preset:
        return ()
    return preflight(options, _target(form), os.environ, form.get("gpus"), deadline_s)


def launched(place: Path, form: With) -> Path:
    """Launch it; its run directory.

    Raises:
        LaunchError, RunError: one line: why it was not. Nothing is left of it then.
    """
    target, options = _target(form), options_of(form)
    check(plan(target, options, RunDir(place / NOWHERE)))
    run = rundir.create(place, "job", target=target)
    try:
        start(run, plan(target, options, run))
    except LaunchError:
        if not (run.path / "nodes").exists():
            rundir.delete(run)
        raise
    return run.path
