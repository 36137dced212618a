"""What a guardian is ordered to do for one probe: its folder made, its request written, its command put together."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchprobes.catalogue import Probe
from torchprobes.model import Target
from torchprobes.rundir import RunDir, boot_id

from . import graphs, places, prefixes, processes
from .command import Command, CommandBuilder, Plan
from .snapshot import Options
from .visible import Seat

PAYLOADS = Path(__file__).parents[1] / "payloads"
FAR_PLACE = "{TORCHDOCTOR_PLACE}"
FAR_PYTHON = "{TORCHDOCTOR_PYTHON}"
LOADER = (
    "import sys;exec(compile(sys.stdin.buffer.read(int(sys.argv[1])),'torchdoctor','exec'),{'__name__':'__main__'})"
)
"""Reads the program's bytes from stdin and runs it; one line, because `conda run` refuses newlines in arguments."""

_PREAMBLE = """
import json, sys, types
for _name, _text in BUNDLE["modules"].items():
    sys.modules[_name] = types.ModuleType(_name)
    exec(compile(_text, _name, "exec"), sys.modules[_name].__dict__)
"""
SHARED = (
    "masking.py",
    "graph_file.py",
    *(f"environment/{name}.py" for name in ("__init__", "families", "interpreters", "ownership", "places")),
)
"""Files of torchprobes that payloads import as `torchdoctor_shared.…`: standard library only, Python 3.8."""

ALWAYS = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
_OVERRIDDEN = ("CUDA_VISIBLE_DEVICES", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""The user's variables that a payload cannot see, because ours stand in their place; its request carries them."""

_PLACE_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Device:
    """Where a probe runs: a torch device string, the UUIDs it may use, and how much memory it may take there.

    `environ` narrows the target's view to them; `seats` are what is watched for others while it runs.
    """

    name: str
    gpus: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    seats: tuple[Seat, ...] = ()
    memory_limit_bytes: int | None = None
    memory_text: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A probe that is ready: the guardian's order, how many ranks say its end, and a line to repeat it by hand."""

    folder: Path
    order: dict[str, Any]
    ranks: int
    command: str
    forkable: bool
    """Whether its command is the plain one, which a starter can stand in for."""


@dataclass(frozen=True, slots=True)
class Job:
    """One probe to prepare."""

    run: RunDir
    probe: Probe
    target: Target
    options: Options
    builder: CommandBuilder
    device: Device


def prepare(job: Job) -> Prepared:
    """Make the probe's folder, write its request, put its order together.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder = job.run.probe(job.probe.name)
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("events", "artifacts", "compile"):
        (folder / name).mkdir(parents=True, mode=0o700)
    far = bool(job.target.prefix)
    compile_dir, remove = (f"{FAR_PLACE}/compile", []) if far else _compile_place(folder)
    plan = _plan(job, FAR_PLACE if far else str(folder), compile_dir)
    request = _request(job, plan)
    (folder / "request.json").write_text(json.dumps(request, indent=1))
    command = job.builder(job.probe, job.target, request, plan)
    env = _assignments(job, plan, command)
    order = _order(job, folder, remove) | (_far if far else _near)(job, folder, request, command, env)
    forkable = command.argv[:3] == (plan.python, "-B", plan.bootstrap) and not command.env
    return Prepared(folder, order, command.ranks, order.pop("by_hand"), forkable)


def base_environment(options: Options) -> dict[str, str]:
    """The environment of the patient, before anything of ours."""
    return {**(os.environ if options.base is None else options.base), **options.env}


def process_limits(options: Options) -> dict[str, Any]:
    """What a process of the target is bound to before it runs."""
    return {"cores": list(options.cores), "rlimits": {name: list(pair) for name, pair in options.rlimits.items()}}


def _plan(job: Job, place: str, compile_dir: str) -> Plan:
    far = place == FAR_PLACE
    payloads = f"{place}/payloads" if far else str(PAYLOADS)
    return Plan(
        python=FAR_PYTHON if far else job.target.python,
        bootstrap=f"{payloads}/bootstrap.py",
        payload=f"{payloads}/{job.probe.payload}.py",
        payloads=payloads,
        request=f"{place}/request.json",
        events=f"{place}/events",
        artifacts=f"{place}/artifacts",
        compile_dir=compile_dir,
        device=job.device.name,
        gpus=job.device.gpus,
    )


def _request(job: Job, plan: Plan) -> dict[str, Any]:
    """What kit.Request reads. The timing locks of this node mean nothing behind a launcher prefix."""
    options = job.options
    own: dict[str, object] = {}
    if job.probe.entry:
        own = {"entry": options.entry, "folder": options.entry_folder}
    elif job.probe.graph:
        own = graphs.params(options.graph, far=bool(job.target.prefix))
    return {
        "probe": job.probe.name,
        "device": plan.device,
        "params": {**job.probe.params, **own},
        "artifacts": plan.artifacts,
        "compile_dir": plan.compile_dir,
        "locks": None if job.target.prefix else str(job.run.locks),
        "gpus": list(plan.gpus),
        "memory_limit_bytes": job.device.memory_limit_bytes,
        "user_environ": {k: v for k, v in base_environment(options).items() if k in _OVERRIDDEN},
    }


def _assignments(job: Job, plan: Plan, command: Command) -> dict[str, str]:
    """What is set over the user's environment: everything else of it is the patient and stays."""
    ours = {
        **ALWAYS,
        "TORCHDOCTOR_REQUEST": plan.request,
        "TORCHDOCTOR_EVENTS": plan.events,
        "TORCHINDUCTOR_CACHE_DIR": f"{plan.compile_dir}/inductor",
        "TRITON_CACHE_DIR": f"{plan.compile_dir}/triton",
    }
    ours |= job.device.environ
    if job.options.compile_debug and not (job.probe.warm or job.probe.bare):  # those compile nothing
        ours |= {"TORCH_COMPILE_DEBUG": "1", "TORCH_COMPILE_DEBUG_DIR": f"{Path(plan.artifacts).parent}/compile"}
    return {**job.options.env, **ours, **command.env}


def _order(job: Job, folder: Path, remove: list[str]) -> dict[str, Any]:
    options = job.options
    return {
        "folder": str(folder),
        "boot_id": boot_id(),
        "limit_s": options.limits.get(job.probe.name, job.probe.limit_s),
        "import_limit_s": options.import_limit_s,
        "grace_s": options.grace_s,
        "kill_s": options.kill_s,
        "stream_bytes": options.stream_bytes,
        "stream_lines": options.stream_lines,
        "remove": remove,
        "cwd": str(folder),
        **process_limits(options),
    }


def _near(job: Job, folder: Path, _request: Mapping[str, Any], command: Command, env: dict[str, str]) -> dict[str, Any]:
    token = secrets.token_hex(16)
    like = job.target.like
    line = _with_env(env, command.argv)
    by_hand = shlex.join(["cd", str(folder)]) + " && " + (_in_environment_of(like.pid, line) if like else line)
    return {
        "argv": list(command.argv),
        "env": {**base_environment(job.options), **env, processes.TOKEN: token},
        "token": token,
        "by_hand": by_hand,
    }


def _far(job: Job, folder: Path, request: Mapping[str, Any], command: Command, env: dict[str, str]) -> dict[str, Any]:
    """The payload travels: one program with all files inside, fed to a loader behind the prefix."""
    token = secrets.token_hex(16)
    marker = f"\x1e{token} "
    program = bundle(request, command, {**env, processes.TOKEN: token}, marker, job.options.grace_s)
    (folder / "program.py").write_bytes(program)
    argv = prefixes.command(job.target.prefix, job.target.python, ["-c", LOADER, str(len(program))])
    outer = {**job.options.env, **job.device.environ}
    return {
        "argv": argv,
        "env": {**base_environment(job.options), **outer, processes.TOKEN: token},
        "token": token,
        "program": str(folder / "program.py"),
        "marker": marker,
        "by_hand": shlex.join(["cat", str(folder / "program.py"), "-"]) + " | " + _with_env(outer, argv),
    }


def bundle(request: Mapping[str, Any], command: Command, env: Mapping[str, str], marker: str, grace_s: float) -> bytes:
    """The program that runs a payload where none of our files are: Python source, standard library only."""
    here = Path(__file__).parent
    package = here.parent
    content = {
        "modules": {f"torchdoctor_{n}": (here / f"{n}.py").read_text("utf-8") for n in ("processes", "places")},
        "files": {f"payloads/{f.name}": f.read_text("utf-8") for f in sorted(PAYLOADS.glob("*.py"))}
        | {name: (package / name).read_text("utf-8") for name in SHARED},
        "request": dict(request),
        "argv": list(command.argv),
        "env": dict(env),
        "marker": marker,
        "grace_s": grace_s,
    }
    remote = (PAYLOADS / "remote.py").read_text("utf-8")
    return f"import json\nBUNDLE = json.loads({json.dumps(content)!r})\n{_PREAMBLE}\n{remote}".encode()


def _with_env(env: Mapping[str, str], argv: tuple[str, ...] | list[str]) -> str:
    """A shell command; events go to the terminal, so that repeating it by hand leaves the finished probe alone."""
    shown = {**env, "TORCHDOCTOR_EVENTS": "-"} if "TORCHDOCTOR_EVENTS" in env else dict(env)
    return shlex.join([*(["env"] if shown else []), *(f"{k}={v}" for k, v in shown.items()), *argv])


def _in_environment_of(pid: int, line: str) -> str:
    """A shell command in the environment of a living process, of which nothing is shown."""
    inner = 'exec env -i "$@" ' + line.removeprefix("env ")
    return f"xargs -0 -a /proc/{pid}/environ sh -c {shlex.quote(inner)} sh"


def _compile_place(folder: Path) -> tuple[str, list[str]]:
    """Where compiled code goes, and what the guardian removes afterwards.

    The probe's own folder where that is local and may hold executable code, else a fresh temporary one; a child
    tries it, because a temporary place is not ours to touch from here.
    """
    fresh = "" if _will_do(folder.parent) else _places(str(folder), "torchdoctor-compile-")
    return (fresh, [fresh]) if fresh else (str(folder / "compile"), [])


@functools.cache
def _will_do(folder: Path) -> bool:
    """Whether compiled code can live below `folder`: one answer for all probes of a run."""
    return not _places(str(folder))


def _places(*arguments: str) -> str:
    """What `places.py` prints; "" where it gives no answer."""
    argv = [sys.executable, "-I", "-S", "-B", places.__file__, *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, cwd="/", timeout=_PLACE_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return os.fsdecode(done.stdout).strip()
