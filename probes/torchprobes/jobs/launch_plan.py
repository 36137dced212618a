"""The plan of a launch: from what a person asked to the exact command that runs.

`plan` is pure: what it says is what the form shows, what run.json keeps and what the supervisor runs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..model import Frozen, Target
from ..rundir import RunDir
from ..runner.order import PAYLOADS
from . import torchrun_options
from .node import NodeFolder, node_folder
from .torchrun import SHIM, loopback, release, signals

INJECT = PAYLOADS / "inject"

GRACE_S = 30.0
"""Between the polite request to end and the next step; torchrun itself gives its ranks as long."""

TERM_S = 5.0
"""Between SIGTERM to the process groups of the ranks and SIGKILL to everything."""

_RUN_PATH = (
    "import runpy,sys;from torch.distributed.elastic.multiprocessing.errors import record;del sys.argv[0];"
    "record(runpy.run_path)(sys.argv[0],run_name='__main__')"
)
"""What `--run-path` does (run.py: run_script_path), as a program: torchrun would run it where no shim can."""

PRESETS = ("ddp",)


class LaunchError(Exception):
    """A job cannot be launched; the text is one line with what to do."""


class LaunchOptions(Frozen, frozen=True, kw_only=True):
    """What a person asked for.

    `torchrun` are its options as they were written, `command` the script (module, program) and its arguments. With
    `launcher` "command" it is run as it is, for a script that starts its ranks itself (mp.spawn, accelerate launch).
    `preset` "ddp" runs the built-in DDP probe in the ranks. The switches are set where they are not "" or False.
    `env` is added to the environment and wins over everything of ours. `run_id` is the rendezvous id where the
    agents of several nodes must agree on one that only the caller knows; `owner` says that this node's supervisor
    writes run.json. `grace_s` and `term_s` are GRACE_S and TERM_S of this job.
    """

    torchrun: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    launcher: Literal["torchrun", "command"] = "torchrun"
    preset: str = ""
    inject: bool = True
    compile_debug: bool = False
    torch_logs: str = ""
    nccl_debug: str = ""
    distributed_debug: str = ""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    cwd: str = ""
    run_id: str = ""
    owner: bool = True
    as_root: bool = False
    grace_s: float = GRACE_S
    term_s: float = TERM_S


class LaunchPlan(Frozen, frozen=True, kw_only=True):
    """What will run: `argv` in `cwd`, with `env` set and `unset` taken away. `shown` is the same as a shell line.

    `script` is the file that must be there, "" where none is named by a path. `injected` are words about what is put
    into the ranks, `notes` about what was changed of what the person wrote. `request` is request.json of a preset.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    unset: tuple[str, ...]
    cwd: str
    shown: str
    node: str
    run_id: str
    python: str
    torch: str
    script: str = ""
    inject: bool = True
    injected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    request: dict[str, Any] = msgspec.field(default_factory=dict)
    owner: bool = True
    grace_s: float = GRACE_S
    term_s: float = TERM_S


def plan(
    target: Target,
    options: LaunchOptions,
    run: RunDir,
    environ: Mapping[str, str] | None = None,
    host: str | None = None,
) -> LaunchPlan:
    """The exact command for `options`; nothing is looked at but the arguments and the environment (ours by default).

    Raises:
        LaunchError: one line: what of it cannot be.
    """
    _check_target(target, options)
    base = os.environ if environ is None else environ
    cwd = options.cwd or _here()
    if options.preset and options.preset not in PRESETS:
        raise LaunchError(f"there is no preset {options.preset!r}: {', '.join(PRESETS)}")
    if not options.command and not options.preset:
        raise LaunchError("no script: it goes after `--`, such as `torchdoctor launch --nproc-per-node 2 -- train.py`")
    try:
        return _Build(target, options, node_folder(run, host), {**base, **options.env}, cwd).plan()
    except torchrun_options.OptionError as error:
        raise LaunchError(str(error)) from None


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise LaunchError(f"the folder that this was started in cannot be had: {error.strerror}") from None


def _check_target(target: Target, options: LaunchOptions) -> None:
    if target.prefix:
        raise LaunchError("a job cannot be launched through --target: run torchdoctor in there, or name an interpreter")
    if target.refusal and not options.as_root:
        raise LaunchError(target.refusal)
    if target.torch is None and options.launcher == "torchrun":
        raise LaunchError(f"there is no torch in {target.python}: name another interpreter with --python")


class _Build:
    """One plan being made."""

    def __init__(
        self, target: Target, options: LaunchOptions, node: NodeFolder, environ: Mapping[str, str], cwd: str
    ) -> None:
        self.target, self.options, self.node, self.environ, self.cwd = target, options, node, environ, cwd
        self.given = torchrun_options.read(options.torchrun, environ)
        self.version = target.torch or ""
        self.notes: list[str] = []
        self.script = ""

    def plan(self) -> LaunchPlan:
        """Put it together."""
        whole = self.options.launcher == "command"
        run_id = "" if whole else self.options.run_id or self._run_id()
        program = self._program()
        argv = program if whole else (*self._agent(run_id), *self._shim(run_id), *program)
        env = self._env()
        unset = tuple(name for name in _UNSET if name in self.environ)
        return LaunchPlan(
            argv=argv, env=env, unset=unset, cwd=self.cwd, shown=_shown(self.cwd, unset, env, argv),
            node=str(self.node.path), run_id=run_id, python=self.target.python, torch=self.version, script=self.script,
            inject=self.options.inject, injected=INJECTED if self.options.inject else (), notes=tuple(self.notes),
            request=self._request(), owner=self.options.owner, grace_s=self.options.grace_s, term_s=self.options.term_s,
        )  # fmt: skip

    # --- torchrun --------------------------------------------------------------------------------------------

    def _run_id(self) -> str:
        """The id of the rendezvous: the run's own; on several nodes one that each of them finds by itself.

        Each node has a run directory of its own there, and agents with different ids never meet: it is made of what
        their command lines have in common.
        """
        if torchrun_options.one_node(self.given):
            return f"td-{self.node.path.parent.parent.name[-6:]}"
        names = ("nnodes", "rdzv-endpoint", "master-addr", "master-port")
        slurm = [self.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")]
        common = "|".join([*(self.given.value(name) or "" for name in names), *slurm])
        return f"td-{hashlib.sha256(common.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"

    def _agent(self, run_id: str) -> tuple[str, ...]:
        """The agent's part of the command: the person's options, then ours where there is none of theirs."""
        given = self.given
        torchrun_options.check_nproc(given)
        words = given.words(without=_OURS)
        if given.flag("standalone"):
            self.notes.append("--standalone is spelled out: it would choose a rendezvous id of its own")
        ours = [*self._rendezvous(), "--rdzv-id", run_id, f"--log-dir={self.node.logs}"]
        defaults = {"redirects": "3", "monitor-interval": "0.1"}
        ours += [f"--{name}={value}" for name, value in defaults.items() if not given.has(name)]
        if self.options.preset and not given.has("nproc-per-node"):
            ours.append("--nproc-per-node=2")
            self.notes.append("two ranks: --nproc-per-node chooses more")
        if not given.has("signals-to-handle"):
            ours += signals(self.version)
        return (self.target.python, "-m", "torch.distributed.run", *words, *ours)

    def _rendezvous(self) -> tuple[str, ...]:
        """On one node the loopback, as `--standalone`, but where the person chose; on several it is theirs."""
        given = self.given
        chosen = ("rdzv-backend", "rdzv-endpoint", "rdzv-conf", "master-addr", "master-port", "local-addr")
        if not torchrun_options.one_node(given):
            return ()
        if given.flag("standalone") or not given.has(*chosen):
            return loopback()
        return ()

    def _shim(self, run_id: str) -> tuple[str, ...]:
        return ("--no-python", self.target.python, "-I", "-S", "-B", str(PAYLOADS / SHIM), run_id)

    # --- what each rank runs -----------------------------------------------------------------------------------

    def _program(self) -> tuple[str, ...]:
        if self.options.preset:
            return (self.target.python, "-u", "-B", str(PAYLOADS / "bootstrap.py"), str(PAYLOADS / "ddp.py"))
        command, given = self.options.command, self.given
        if self.options.launcher == "command":
            return self._as_it_is(command)
        module = given.flag("module") or command[0] == "-m"
        command = command[1:] if command[0] == "-m" else command
        if not command:
            raise LaunchError("-m needs the name of a module")
        if given.flag("no-python"):
            if module or given.flag("run-path"):
                raise LaunchError("--no-python runs a program: it goes with neither --module nor --run-path")
            return command
        python = self.environ.get("PYTHON_EXEC") or self.target.python  # torchrun's own variable
        if module:
            return (python, "-u", "-m", *command)
        self.script = os.path.join(self.cwd, command[0])
        if given.flag("run-path"):
            self.notes.append("--run-path: the script runs as a program of its own, so that it ends with its launcher")
            return (python, "-u", "-c", _RUN_PATH, *command)
        return (python, "-u", *command)

    def _as_it_is(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """A command that starts its ranks itself: a Python file and a module get the target's interpreter."""
        if self.given.given:
            raise LaunchError("options of torchrun have no meaning for a command that starts its ranks itself")
        if command[0].endswith(".py"):
            self.script = os.path.join(self.cwd, command[0])
            return (self.target.python, "-u", *command)
        return (self.target.python, "-u", *command) if command[0] == "-m" else command

    def _request(self) -> dict[str, Any]:
        """What the built-in probe reads (payloads/kit.py: Request), {} without a preset."""
        if not self.options.preset:
            return {}
        artifacts = str(self.node.path / "probe" / "artifacts")
        device = "cpu" if self.environ.get("CUDA_VISIBLE_DEVICES") == "" else "cuda"
        params = {"part": "allreduce+training"}
        place = {"artifacts": artifacts, "compile_dir": f"{self.node.path}/probe/compile", "locks": None}
        return {"probe": "ddp.allreduce", "device": device, "params": params, **place}

    # --- the environment -----------------------------------------------------------------------------------------

    def _env(self) -> dict[str, str]:
        options, node = self.options, self.node
        env = {"TORCHDOCTOR_NODE": str(node.path)}
        if options.inject:
            env["TORCHDOCTOR_INJECT"] = str(INJECT)
            if options.launcher == "command":  # no shim will put it there
                env["PYTHONPATH"] = os.pathsep.join([str(INJECT), *filter(None, [self.environ.get("PYTHONPATH")])])
        if options.preset:
            env |= {
                "TORCHDOCTOR_REQUEST": f"{node.path}/probe/request.json",
                "TORCHDOCTOR_EVENTS": f"{node.path}/probe/events",
            }
        debug = options.compile_debug
        switches = {
            "TORCH_COMPILE_DEBUG": "1" if debug else "",
            "TORCH_COMPILE_DEBUG_DIR": f"{node.path}/compile" if debug else "",
            "TORCH_TRACE": f"{node.path}/trace" if debug else "",
            "TORCH_LOGS": options.torch_logs,
            "NCCL_DEBUG": options.nccl_debug,
            "TORCH_DISTRIBUTED_DEBUG": options.distributed_debug,
        }
        env |= {name: value for name, value in switches.items() if value}
        env |= {name: value for name, value in self._recorders().items() if name not in self.environ}
        return {**env, **options.env}

    def _recorders(self) -> dict[str, str]:
        """Where NCCL writes, and the flight recorder of a PyTorch that has it off by default."""
        names = {}
        level = self.options.nccl_debug or self.environ.get("NCCL_DEBUG", "")
        if level and level.upper() not in ("NONE", "VERSION"):
            names["NCCL_DEBUG_FILE"] = f"{self.node.nccl}/nccl.%h.%p.log"
        return {**names, **flight_recorder(self.version, f"{self.node.flight}/rank_", self.environ)}


_OURS = frozenset({"standalone", "module", "no-python", "run-path"})
"""Options that are spelled out otherwise: the shim is a program, which they would not start."""

_UNSET = tuple(torchrun_options.variable(name) for name in sorted(_OURS | {"rdzv-id", "log-dir"}))
"""The same from the environment."""

INJECTED = (
    "faulthandler on a private real-time signal", "torch's worker server on a unix socket",
    "a heartbeat thread, twice a second", "a hook that counts optimizer steps",
)  # fmt: skip
"""What `payloads/inject/sitecustomize.py` puts into a rank."""

FLIGHT_ENTRIES = "2000"


def flight_recorder(version: str, prefix: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that switch the flight recorder on and say where its dumps go, {} where a PyTorch has none.

    The names were seen in the libraries: none in 2.1.2, the TORCH_NCCL ones in 2.4.1 and 2.6.0, both in 2.13 and
    2.14; between them nobody looked, so both are set. What the person set under either name stays.
    """
    old = {"TORCH_NCCL_TRACE_BUFFER_SIZE": FLIGHT_ENTRIES, "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": prefix}
    new = {"TORCH_FR_BUFFER_SIZE": FLIGHT_ENTRIES, "TORCH_FR_DUMP_TEMP_FILE": prefix}
    now = release(version)
    if now < (2, 2) and now != (0, 0):
        return {}
    sets = [old] if (2, 2) <= now <= (2, 6) else [new] if now >= (2, 13) else [old, new]
    found: dict[str, str] = {}
    for size, file in (tuple(one) for one in sets):
        other_size, other_file = tuple(new) if size in old else tuple(old)
        if size not in environ and other_size not in environ:
            found[size] = FLIGHT_ENTRIES
        if file not in environ and other_file not in environ:
            found[file] = prefix
    return found


def _shown(cwd: str, unset: tuple[str, ...], env: Mapping[str, str], argv: tuple[str, ...]) -> str:
    words = [*(word for name in unset for word in ("-u", name)), *(f"{k}={v}" for k, v in env.items())]
    return f"{shlex.join(['cd', cwd])} && {shlex.join([*(['env', *words] if words else []), *argv])}"
