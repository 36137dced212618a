"""What every payload shares: its events, its request, and the lock around what is timed.

Runs inside the target: standard library only, parses on Python 3.8. The bootstrap loads this file by path under
the name `torchdoctor_kit`, so that a payload says `import torchdoctor_kit as kit` and its folder stays off
`sys.path`. A payload emits figures and facts; it never judges.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback

MAX_LINE = 4000
"""Bytes of one event line, its newline included: one write(2) below PIPE_BUF stays whole."""


class Skip(Exception):
    """Raised by a payload that cannot apply here; the text says why and what would make it apply."""


class Request:
    """What the runner asks of this payload: the JSON object that TORCHDOCTOR_REQUEST names.

    `probe` is its name, `device` a torch device string, `params` the row's parameters, `artifacts` a folder for
    files, `compile_dir` the fresh cache and debug place, `locks` the folder of the timing locks. A `helper` is a
    process that the payload itself started with `spawn_self`; its parameter `role` says what for.
    """

    def __init__(self, data):
        self.probe = data["probe"]
        self.device = data.get("device", "cpu")
        self.params = dict(data.get("params", {}))
        self.artifacts = data.get("artifacts", ".")
        self.compile_dir = data.get("compile_dir", ".")
        self.locks = data.get("locks")
        self.helper = bool(data.get("helper", False))
        self.data = data


def _read_request():
    with open(os.environ["TORCHDOCTOR_REQUEST"], encoding="utf-8") as file:
        return Request(json.load(file))


def _int_env(name):
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else None


class Events:
    """This process's own event file: `<pid>.jsonl`, or `<pid>.r<rank>.a<attempt>.jsonl` for a rank."""

    def __init__(self, folder):
        self.rank = _int_env("RANK")
        self.attempt = _int_env("TORCHELASTIC_RESTART_COUNT")
        self.pid = os.getpid()
        name = str(self.pid)
        if self.rank is not None:
            name += ".r%d.a%d" % (self.rank, self.attempt or 0)
        if folder == "-":  # by hand: the person reads them
            self.path, self.fd = folder, 1
            return
        self.path = os.path.join(folder, name + ".jsonl")
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, ev, **fields):
        """Append one event in one write; a field too long for the line is cut and says so."""
        head = {"v": 1, "t_ns": time.time_ns(), "m_ns": time.monotonic_ns(), "pid": self.pid, "ev": ev}
        if self.rank is not None:
            head["rank"], head["attempt"] = self.rank, self.attempt or 0
        head.update((k, v) for k, v in fields.items() if v is not None)
        line = _encode(head)
        while len(line) > MAX_LINE:
            longest = max((k for k in head if isinstance(head[k], str)), key=lambda k: len(head[k]), default=None)
            if longest is None or len(head[longest]) < 100:
                line = _encode({k: head[k] for k in ("v", "t_ns", "m_ns", "pid", "ev")})
                break
            head[longest] = head[longest][: len(head[longest]) // 2] + " [cut]"
            line = _encode(head)
        os.write(self.fd, line)


def _encode(obj):
    # NaN and Infinity are not JSON: as text they cannot pass for a number.
    try:
        text = json.dumps(obj, ensure_ascii=True, allow_nan=False)
    except ValueError:
        text = json.dumps({k: repr(v) if isinstance(v, float) and v - v != 0 else v for k, v in obj.items()})
    return text.encode() + b"\n"


_events = None
request = None


def open_events():
    """Open the request and the event file of this process; called by the bootstrap, and by a forked rank."""
    global _events, request
    request = _read_request()
    _events = Events(os.environ["TORCHDOCTOR_EVENTS"])


def emit(ev, **fields):
    """Append one raw event."""
    if _events is None or _events.pid != os.getpid():
        open_events()
    _events.write(ev, **fields)


def progress(text, done=None):
    """Tell the person who watches what is being done; `done` is the share from 0 to 1, if it is known."""
    emit("progress", text=text, done=done)


def figure(name, value, unit, n=1, spread=None, **labels):
    """One measured number. `spread` is the half-width of its 95 % interval, in `unit`."""
    emit(
        "figure",
        name=name,
        value=float(value),
        unit=unit,
        n=int(n),
        spread=spread,
        labels={k: str(v) for k, v in labels.items()},
    )


def fact(name, value, evidence=""):
    """One observation without a judgement; `evidence` says in which words or place it was seen."""
    if not isinstance(value, (str, int, float, bool, type(None))):
        value = str(value)
    emit("fact", name=name, value=value, evidence=str(evidence))


def artifact(kind, path, text=""):
    """A file below the probe's folder that a person may want to open."""
    emit("artifact", kind=kind, path=os.path.relpath(path, os.path.dirname(request.artifacts)), text=text)


def _io_wait_seconds():
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[39]) / os.sysconf("SC_CLK_TCK")  # delayacct_blkio_ticks, proc(5) field 42
    except (OSError, IndexError, ValueError):
        return None


imported = None
"""What importing torch cost the starter from which this process was forked, None without one: what `timed_import`
says, and beside it `python` and `costs`, which are figures of `import_cost.py`."""


def timed_import():
    """Import torch: (torch, {"import_s", "io_wait_s"}); a wait that the kernel does not tell is None."""
    begin, waited = time.perf_counter(), _io_wait_seconds()
    import torch

    after = _io_wait_seconds()
    io_wait = None if waited is None or after is None else after - waited
    return torch, {"import_s": time.perf_counter() - begin, "io_wait_s": io_wait}


def lacks(package):
    """Whether this Python has no such package; nothing of it is imported."""
    try:
        return importlib.util.find_spec(package) is None
    except (ImportError, ValueError):
        return True


def tell_shm():
    """Facts of /dev/shm, in which workers hand over batches and NCCL's ranks meet; None where it cannot be read."""
    try:
        shm = os.statvfs("/dev/shm")
        fact("shm.total_bytes", shm.f_blocks * shm.f_frsize, "statvfs /dev/shm")
        fact("shm.free_bytes", shm.f_bavail * shm.f_frsize, "statvfs /dev/shm")
    except OSError as error:
        fact("shm.total_bytes", None, "/dev/shm: %s" % error.strerror)


def import_torch():
    """Import torch, time it, and emit `start`: the time limit of the probe runs from here.

    In a fork of the warm starter torch is there already: its one import is told, and that it was one for all.
    """
    torch, cost = timed_import()
    once = "imported once, by the warm starter" if imported else None
    cost = imported or cost
    if not request.helper:  # the probe's own clock runs already
        emit("start", text=once, import_s=cost["import_s"], io_wait_s=cost["io_wait_s"])
    return torch


def started():
    """Emit `start` for a payload that needs no torch, so that its time limit runs."""
    emit("start", import_s=0.0, io_wait_s=0.0)


def raised(name, error):
    """Emit what the system under test raised, as facts: `<name>` its type, `<name>.message` its text.

    The whole traceback goes into an artifact, for the card and for the person.
    """
    kind = type(error).__module__ + "." + type(error).__qualname__
    fact(name, kind, evidence="exception")
    fact(name + ".message", str(error)[:3000], evidence=kind)
    path = os.path.join(request.artifacts, name + ".traceback.txt")
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    artifact("traceback", path, kind)


@contextlib.contextmanager
def timed(what="cpu"):
    """Hold the lock of `what` ("cpu", or a GPU's) while timing: what is timed never overlaps."""
    import fcntl

    folder = request.locks
    if not folder:
        yield
        return
    name = "".join(c if c.isalnum() else "-" for c in what)
    fd = os.open(os.path.join(folder, name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def start_self(role, **params):
    """Start this payload again in a process of its own, its request's params with `role` and `params` over them.

    The helper writes figures and facts, never `start` or `end`: those are the probe's. What it prints goes where
    this process prints. Returns the `subprocess.Popen`; who starts it must see to its end.
    """
    data = dict(request.data, helper=True, params=dict(request.params, role=role, **params))
    path = os.path.join(request.artifacts, "request.%s.json" % role)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file)
    bootstrap = os.path.abspath(sys.modules["__main__"].__file__)
    command = [sys.executable, "-B", bootstrap, _payload]
    return subprocess.Popen(command, env=dict(os.environ, TORCHDOCTOR_REQUEST=path), stdin=subprocess.DEVNULL)


def spawn_self(role, limit_s, **params):
    """Run a helper (`start_self`) to its end.

    Returns its exit code (negative: a signal), or "timeout" when it was killed at `limit_s`.
    """
    process = start_self(role, **params)
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        process.kill()
        process.wait()


_payload = ""


def main(function):
    """Run a payload's `function(request)` and say its end; the exit code. Called by the bootstrap."""
    global _payload
    _payload = os.path.abspath(function.__code__.co_filename)
    try:
        function(request)
    except Skip as skip:
        _end(ok=True, skip=str(skip))
    except BaseException as error:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        _end(ok=False, error=text)
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    else:
        _end(ok=True)
    return 0


def _end(**said):
    if not request.helper:
        emit("end", **said)
