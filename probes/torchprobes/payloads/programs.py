"""Programs that are, or would start, a Python: which interpreter, which environment, which PyTorch. Nothing is run.

Runs inside the target: standard library only, parses on Python 3.8. The bootstrap loads this file under the name
`torchdoctor_programs`. An interpreter is described by the console's own reader of files.
"""

import os
import re
import shutil

import torchdoctor_files as files
import torchdoctor_looks as looks
from torchdoctor_shared.environment import interpreters

DEADLINE_S = 2.0
MOST_PROCESSES = 50_000
MOST_BYTES = 128 << 10
_PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)*)?t?$")
_BARE = re.compile(r"python(3(\.\d+)?)?$")
_IPYKERNEL = re.compile(r"(^|/)ipykernel(_launcher)?(\.py|/__main__\.py)?$")
_TORCH = re.compile(r"(/.*/torch)/lib/libtorch(?:_cpu|_python)?\.so$")


def is_python(path):
    """Whether a program's name is an interpreter's."""
    return bool(_PYTHON.match(os.path.basename(path)))


def is_kernel(argv):
    """Whether a command line is that of a running IPython kernel: `python -m ipykernel_launcher -f FILE.json`.

    A server names the file kernel-<id>.json, other clients of Jupyter as they like (measured).
    """
    if not argv or not is_python(argv[0]) or not any(_IPYKERNEL.search(word) for word in argv[1:4]):
        return False
    return any(
        word.endswith(".json") and (argv[n - 1] in ("-f", "--f") or word.startswith(("--f=", "-f=")))
        for n, word in enumerate(argv)
    )


class Told:
    """What files say about one interpreter. `state` is "read", "missing" or "hung"; `words` say why, or whence."""

    def __init__(self, path):
        self.path, self.state, self.words = path, "read", ""
        self.real = self.prefix = self.version = ""
        self.torch = None

    def same_as(self, other):
        """Whether both are one interpreter in one environment; None if either could not be read."""
        if not (self.real and other.real):
            return None
        return (self.real, os.path.realpath(self.prefix)) == (other.real, os.path.realpath(other.prefix))


def describe(path, environ):
    """What an interpreter is, and which PyTorch it would import with this environment."""
    told = Told(path)
    try:
        seen = looks.within(DEADLINE_S, interpreters.describe, path, *_places(environ), False, "")
    except looks.Hung as error:
        told.state, told.words = "hung", str(error)
        return told
    except (OSError, ValueError) as error:
        told.state = "missing"
        told.words = "%s: %s" % (path, getattr(error, "strerror", None) or error)
        return told
    told.real, told.prefix, told.version, told.torch = (seen[k] for k in ("real", "prefix", "version", "torch"))
    return told


def _places(environ):
    """(folders of PYTHONPATH, the prefix of `pip install --user` or "")."""
    folders = [p for p in environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(p)]
    home = environ.get("HOME", "")
    base = environ.get("PYTHONUSERBASE") or (home and os.path.join(home, ".local"))
    return folders, base if os.path.isabs(base) and not environ.get("PYTHONNOUSERSITE") else ""


def interpreter(argv, servers, environ):
    """(path, how it was found) of the interpreter that a kernelspec's argv starts; (None, why not).

    Jupyter itself replaces a bare `python`, `python3`, or `python3.11` where the server runs 3.11, by the interpreter
    of its server (jupyter_client/manager.py, `format_kernel_cmd`), whatever PATH says.
    """
    word = argv[0]
    if os.path.basename(word) == "env" and len(argv) > 1:
        words = [w for w in argv[1:] if "=" not in w and not w.startswith("-")]
        found = shutil.which(words[0], path=environ.get("PATH")) if words else None
        return (found, "%s, by env on PATH" % words[0]) if found and is_python(found) else (None, " ".join(argv[:3]))
    if _BARE.match(word) and not servers:
        return None, "a bare %r means the Jupyter server's interpreter, and no Jupyter server is here" % word
    if _BARE.match(word) and _is_servers(word, servers[0]):
        return servers[0], "a bare %r means the Jupyter server's interpreter" % word
    path = word if os.path.isabs(word) else shutil.which(word, path=environ.get("PATH")) or word
    if not is_python(path):
        return None, "%s is no Python interpreter by its name" % word
    return path, path if os.path.isabs(path) else "%s, which is not on PATH" % path


def _is_servers(word, server):
    """Whether a bare name is the server's: one with a minor version must have the server's."""
    wanted = word[len("python") :]
    if "." not in wanted:
        return True
    return describe(server, {}).version.split(".")[:2] == wanted.split(".")


def shebang(path):
    """The interpreter of a script's first line, "" if it has none that is absolute."""
    found = re.match(r"#!\s*(\S+)(?:\s+(\S+))?", files.text(path, 4096).split("\n", 1)[0])
    if found is None:
        return _exec_line(path)
    if os.path.basename(found.group(1)) == "env" and found.group(2):
        return shutil.which(found.group(2)) or ""
    return found.group(1) if is_python(found.group(1)) else _exec_line(path)


def _exec_line(path):
    """Where the first line would be too long, pip and uv write `#!/bin/sh` and `'''exec' "/long path/python" …`."""
    found = re.search(r"^'''exec' [\"']?(/[^\"'\n]+?)[\"']? \"\$0\"", files.text(path, 4096), re.MULTILINE)
    return found.group(1) if found else ""


class Process:
    """One process that runs, by /proc; what cannot be read is None or empty."""

    def __init__(self, pid, argv, proc="/proc"):
        self.pid, self.argv = pid, argv
        self.folder = os.path.join(proc, str(pid))

    def environ(self):
        """Its environment as it was started; None where it may not be read."""
        data = _read(os.path.join(self.folder, "environ"))
        if data is None:
            return None
        rows = (row.partition("=") for row in data.decode("utf-8", "replace").split("\0") if "=" in row)
        return {name: value for name, _, value in rows}

    def python(self, environ):
        """Its interpreter as it was called: the link inside a virtual environment, which /proc/PID/exe resolves."""
        word, real = self.argv[0], self._link("exe")
        named = word if os.path.isabs(word) else os.path.join(self._link("cwd"), word) if "/" in word else None
        named = named or shutil.which(word, path=environ.get("PATH")) or ""
        return named if named and (not real or os.path.realpath(named) == real) else real or word

    def loaded_torch(self):
        """(folder, version) of the PyTorch that is mapped into it; None if none is, or it may not be read."""
        data = _read(os.path.join(self.folder, "maps"), 8 << 20) or b""
        for line in data.decode("utf-8", "replace").splitlines():
            found = _TORCH.search(line)
            if found:
                return found.group(1), interpreters.torch_versions(found.group(1)).get("__version__")
        return None

    def _link(self, name):
        try:
            return os.readlink(os.path.join(self.folder, name))
        except OSError:
            return ""


def listed(proc="/proc"):
    """Every process with a command line, by pid.

    A process that sleeps in the kernel may hold its memory's lock, for which a reader of its command line would wait
    without end: it is left out. Hung: no answer in time all the same.
    """
    return looks.within(DEADLINE_S, _listed, proc)


def _listed(proc):
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        return []
    found = []
    for pid in pids[:MOST_PROCESSES]:
        if (_read(os.path.join(proc, str(pid), "stat")) or b"").rpartition(b")")[2].split()[:1] == [b"D"]:
            continue
        words = (
            (_read(os.path.join(proc, str(pid), "cmdline")) or b"").decode("utf-8", "replace").rstrip("\0").split("\0")
        )
        if words[0]:
            found.append(Process(pid, words, proc))
    return found


def _read(path, most=MOST_BYTES):
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(most)
    except OSError:
        return None
