"""A command line that somebody wants captured: which Python runs it, if that can be seen, and where torchrun stands.

Nothing is run. What stands behind a shell, a container, ssh or srun is not seen through: `python` is then "".
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WRAPPERS: Final = frozenset({
    "env", "nice", "ionice", "chrt", "taskset", "numactl", "time", "stdbuf", "timeout", "nohup", "setsid", "strace",
    "ltrace", "perf", "nsys", "ncu", "catchsegv",
})  # fmt: skip
"""Programs that run the rest of their words here, in this file system and this environment."""

LAUNCHER_MODULES: Final = frozenset({"torch.distributed.run", "torch.distributed.launch"})
LAUNCHER_FLAGS: Final = frozenset({"standalone", "module", "no-python", "run-path", "virtual-local-rank", "use-env"})
"""Options of torchrun without a value."""

LOGGING: Final = ("log-dir", "redirects", "tee")
"""Options of torchrun that say where ranks write: where one is given, nothing of ours is."""

_PYTHON: Final = re.compile(r"(python|pypy)(\d(\.\d+)*)?t?(-dbg|d)?")
_EXEC: Final = re.compile(rb"""^'''exec' "?([^"\n]{1,1000}?)"? "\$0" "\$@"$""", re.MULTILINE)
"""How pip writes the first lines of a script whose interpreter's path is too long for `#!`, or has a blank in it."""

_HEAD_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, read."""

    argv: tuple[str, ...]
    """As it will run."""
    python: str = ""
    """The interpreter that runs it, "" if that cannot be seen."""
    needs_python: bool = False
    """It begins with a Python file that is no program, or with -m: the target's interpreter is to go before it."""
    torchrun: int = 0
    """Where torchrun's own options begin in `argv`; 0 if it is no torchrun."""
    logs_ranks: bool = False
    """Whether torchrun was told by the person where its ranks write."""

    def run_by(self, python: str) -> Command:
        """The same with the interpreter before it, where it needs one."""
        if not self.needs_python:
            return self
        launcher = self.torchrun and self.torchrun + 1
        return Command((python, *self.argv), python, False, launcher, self.logs_ranks)

    def logging_ranks(self, folder: str) -> Command:
        """The same with each rank's output in a file of its own below `folder`, unless torchrun was told where."""
        if not self.torchrun or self.logs_ranks:
            return self
        ours = (f"--log-dir={folder}", "--redirects=3")
        argv = (*self.argv[: self.torchrun], *ours, *self.argv[self.torchrun :])
        return Command(argv, self.python, self.needs_python, self.torchrun, True)


def read(words: Sequence[str], environ: Mapping[str, str], cwd: str) -> Command:
    """Read a command line as it would be run in `cwd` with this environment."""
    argv = tuple(words)
    if _needs_python(argv[0], cwd, environ):
        return _with_launcher(Command(argv, needs_python=True), 0, environ)
    for at, word in enumerate(argv):
        program = os.path.basename(word)
        python = _interpreter(word, environ, cwd)
        if python:
            command = Command(argv, python)
            return _with_launcher(command, at + 1, environ, script=program == "torchrun")
        if at == 0 and program not in WRAPPERS:
            break
    return Command(argv)


def program_missing(command: Command, environ: Mapping[str, str], cwd: str) -> str:
    """Why the first word cannot be run, "" if it can be."""
    word = command.argv[0]
    if "/" not in word:
        return "" if shutil.which(word, path=environ.get("PATH", "")) else f"there is no program {word!r} on PATH"
    path = os.path.join(cwd, word)
    if not os.path.exists(path):
        return f"there is no {word}"
    return "" if os.access(path, os.X_OK) and not os.path.isdir(path) else f"{word} is not executable"


# --- which Python ------------------------------------------------------------------------------------------------


def _needs_python(word: str, cwd: str, environ: Mapping[str, str]) -> bool:
    """`train.py` and `-m pkg.train`, as `launch` takes them too."""
    if word == "-m":
        return True
    path = os.path.join(cwd, word)
    runs = os.access(path, os.X_OK) if "/" in word else shutil.which(word, path=environ.get("PATH", "")) is not None
    return word.endswith(".py") and not runs


def _interpreter(word: str, environ: Mapping[str, str], cwd: str) -> str:
    """The Python that a word names or, as a script, names in its first lines; "" if it does neither."""
    if word.startswith("-") or "=" in word:
        return ""
    path = os.path.join(cwd, word) if "/" in word else shutil.which(word, path=environ.get("PATH", "")) or ""
    if not path or os.path.isdir(path):
        return ""
    return path if _PYTHON.fullmatch(os.path.basename(word)) else _of_script(path, environ)


def _of_script(path: str, environ: Mapping[str, str]) -> str:
    head = _head(path)
    if not head.startswith(b"#!"):
        return ""
    if found := _EXEC.search(head):
        named = [os.fsdecode(found[1])]
    else:
        named = os.fsdecode(head[2:].partition(b"\n")[0]).split()
    if named and os.path.basename(named[0]) == "env":
        named = [word for word in named[1:] if not word.startswith("-") and "=" not in word]
    if not named or not _PYTHON.fullmatch(os.path.basename(named[0])):
        return ""
    return named[0] if "/" in named[0] else shutil.which(named[0], path=environ.get("PATH", "")) or ""


def _head(path: str) -> bytes:
    """The first bytes of a regular file; a pipe or a device has none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(fd, _HEAD_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


# --- torchrun ----------------------------------------------------------------------------------------------------


def _with_launcher(command: Command, after: int, environ: Mapping[str, str], *, script: bool = False) -> Command:
    """Where torchrun's options begin, if the words from `after` on run it; `script`: they are its own already."""
    begin = after if script else _after_module(command.argv, after)
    if not begin:
        return command
    logs = _logs_ranks(command.argv[begin:], environ)
    return Command(command.argv, command.python, command.needs_python, begin, logs)


def _after_module(argv: Sequence[str], after: int) -> int:
    """The place behind `-m torch.distributed.run`, 0 if a Python's options lead to something else."""
    rest = iter(range(after, len(argv)))
    for at in rest:
        if argv[at] == "-m":
            return at + 2 if at + 1 < len(argv) and argv[at + 1] in LAUNCHER_MODULES else 0
        if argv[at] in ("-W", "-X"):
            next(rest, None)
        elif not argv[at].startswith("-") or argv[at] == "-c":
            return 0
    return 0


def _logs_ranks(words: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the person said where ranks write: by an option before the script, or by torchrun's own variables."""
    if any(environ.get("PET_" + name.replace("-", "_").upper()) for name in LOGGING):
        return True
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "--":
            return False
        name, joined, _ = word.lstrip("-").replace("_", "-").partition("=")
        if name in LOGGING or (word[:2] in ("-r", "-t") and not word.startswith("--")):
            return True
        if not joined and name not in LAUNCHER_FLAGS and word != "-m":
            next(rest, None)
    return False


def shown(cwd: str, env: Mapping[str, str], argv: Sequence[str]) -> str:
    """The line that a person would type in a shell for the same."""
    words = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
    return f"{shlex.join(['cd', cwd])} && {shlex.join([*words, *argv])}"
