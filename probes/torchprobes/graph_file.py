"""A graph that torch.compile wrote as a program of its own, read without running it. Standard library, Python 3.8.

`fx_graph_runnable.py` of a debug tree, `minifier_launcher.py`, the checkpoints and `repro.py` of a minifier: told by
what is in them, never by their names (torch/_dynamo/repro/after_aot.py and after_dynamo.py, 2.1 to 2.15). All are a
module `Repro`, a function `load_args` that describes its inputs, and a call of `run_repro` that is not made here.

Such a file embeds the surroundings of the job that wrote it: `os.environ[...] = ...` for all TORCH* variables, and
assignments to the compiler's configurations. They are read here, and taken out of the program.
"""

from __future__ import annotations

import ast
import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    Device = tuple[str, int | None]
    Variable = tuple[str, str | None]

MOST_BYTES: Final = 64 << 20
"""A larger file is not read: the largest graphs that were seen have some megabytes."""

_DEVICE: Final = re.compile(r"\bdevice\(type=['\"](\w{1,32})['\"](?:, index=(\d{1,4}))?\)")
_VERSION: Final = re.compile(r"^# torch version: (\S{1,80})", re.MULTILINE)
_NO_REPRO = "Repro is not generated"
_CONFIGS = ("torch._dynamo.config.", "torch._inductor.config.", "torch._functorch.config.", "torch.fx.experimental.")

GRAPH, LAUNCHER, REPRO = "graph", "minifier launcher", "minifier repro"


class GraphFileError(Exception):
    """The file is no graph that can be run; the text is one line."""


class Setting:
    """One assignment to a configuration of the compiler: `name` in full, `source` of its value, its statement."""

    def __init__(self, name: str, source: str, statement: ast.Assign) -> None:
        self.name, self.source, self.statement = name, source, statement


class GraphFile:
    """What a file says of itself.

    `kind` is GRAPH, LAUNCHER or REPRO. `after` is the layer that wrote it: "aot" (Inductor's own input) or "dynamo" (a
    graph as Dynamo traced it). `devices` are (type, index or None), `environ` the variables of the job as (name,
    value; None: taken away), `settings` of the compiler, `call` the literal arguments of `run_repro`, `groups` those of
    `setup_fake_process_groups`; `ops` counts operators by name. `body` is the program without variables and call.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.kind = kind_of(text)
        self.after = "dynamo" if "torch._dynamo.repro.after_dynamo" in text else "aot"
        self.devices = devices_in(text)
        self.torch = torch_of(text)
        self.environ: list[Variable] = []
        self.settings: list[Setting] = []
        self.body: list[ast.stmt] = []
        self.ops: dict[str, int] = {}
        self.call: dict[str, Any] = {}
        self.groups: Any = None
        for statement in _parsed(text, path).body:
            self._take(statement)
        for node in (inner for statement in self.body for inner in ast.walk(statement)):
            self._count(node)

    def _take(self, statement: ast.stmt) -> None:
        variable, setting = _variable(statement), _setting(statement, self.text)
        if variable is not None:
            self.environ.append(variable)
        elif _is_main(statement):
            self._read_call(statement)
        else:
            self.settings += [] if setting is None else [setting]
            self.body.append(statement)

    def _read_call(self, main: ast.stmt) -> None:
        for node in ast.walk(main):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "run_repro":
                self.call = {k.arg: _literal(k.value) for k in node.keywords if k.arg}
            elif node.func.id == "setup_fake_process_groups" and node.args:
                self.groups = _literal(node.args[0])

    def _count(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name.startswith("torch.ops."):
                self.ops[name[len("torch.ops.") :]] = self.ops.get(name[len("torch.ops.") :], 0) + 1

    def move(self, index: int) -> None:
        """Let every GPU that the program names be the one of this number."""
        mover = _Mover(index)
        self.body = [mover.visit(statement) for statement in self.body]

    def line_of(self, operator: str) -> int:
        """The first line of the program that calls an operator, 0 if none does."""
        wanted = f"torch.ops.{operator}("
        return next((n for n, line in enumerate(self.text.splitlines(), 1) if wanted in line), 0)


class _Mover(ast.NodeTransformer):
    """Replaces the number in `device(type='cuda', index=N)`."""

    def __init__(self, index: int) -> None:
        self.index = index

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """One call."""
        self.generic_visit(node)
        if _dotted(node.func) in ("device", "torch.device"):
            for keyword in node.keywords:
                if keyword.arg == "index":
                    keyword.value = ast.copy_location(ast.Constant(self.index), keyword.value)
        return node


# --- without parsing -------------------------------------------------------------------------------------------------


def read(path: str) -> str:
    """The text of a file that may be a graph.

    Raises:
        GraphFileError: there is none, it is no plain file, or too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise GraphFileError(f"{path} is no file")
            if found.st_size > MOST_BYTES:
                raise GraphFileError(f"{path} has {found.st_size >> 20} MiB: such a graph is not read")
            data = file.read(MOST_BYTES)
    except OSError as error:
        raise GraphFileError(f"{path}: {error.strerror or error}") from None
    return data.decode("utf-8", "replace")


def kind_of(text: str) -> str:
    """What a text is, by its content.

    Raises:
        GraphFileError: no graph that torch.compile wrote.
    """
    if text.lstrip().startswith(_NO_REPRO):
        raise GraphFileError(text.strip().splitlines()[0][:200])
    if "class Repro(" not in text or "run_repro(" not in text:
        raise GraphFileError("this is no graph of torch.compile: it has no module Repro and no run_repro")
    tail = text[text.rindex("run_repro(", 0, text.find("# To run it separately") if "# To run" in text else None) :]
    if re.search(r"command=['\"]minify['\"]", tail):
        return LAUNCHER
    plain = re.search(r"save_dir=None", tail) and "torch._dynamo.repro.after_aot" in text
    return GRAPH if plain and not re.search(r"minifier-query|check_str=['\"]", tail) else REPRO


def devices_in(text: str) -> tuple[Device, ...]:
    """The devices that a text names, as (type, index or None), in order; the CPU alone if it names none."""
    found = [(kind, int(index) if index else None) for kind, index in _DEVICE.findall(text)]
    return tuple(dict.fromkeys(found)) or (("cpu", None),)


def accelerators(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Those that are no CPU (and no `meta`, which computes nothing)."""
    return tuple(device for device in devices if device[0] not in ("cpu", "meta"))


def torch_of(text: str) -> str:
    """The torch that wrote it, "" if it does not say."""
    found = _VERSION.search(text)
    return found.group(1) if found else ""


# --- parts of a program ----------------------------------------------------------------------------------------------


def _parsed(text: str, path: str) -> ast.Module:
    try:
        return ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise GraphFileError(f"{path} is no Python program{where}: {error}") from None


def _variable(statement: ast.stmt) -> Variable | None:
    """(name, value) of `os.environ[name] = value`; the value is None where it is taken away, "?" if not literal."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
        target = statement.targets[0]
        if _dotted(target.value) == "os.environ":
            index = getattr(target.slice, "value", target.slice)  # 3.8 wraps the constant in an Index
            return str(getattr(index, "value", index)), str(_literal(statement.value))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if _dotted(call.func).startswith("os.environ."):
            return str(_literal(call.args[0])) if call.args else "?", None
    return None


def _setting(statement: ast.stmt, text: str) -> Setting | None:
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    name = _dotted(statement.targets[0])
    if not name.startswith(_CONFIGS):
        return None
    return Setting(name, (ast.get_source_segment(text, statement.value) or "")[:300], statement)


def _is_main(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == ...`."""
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return "?"


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute, "" for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *names[::-1]]) if isinstance(node, ast.Name) else ""
