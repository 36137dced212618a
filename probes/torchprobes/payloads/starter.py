"""Starts payloads from one process that is there already: `bootstrap.py --starter warm|bare`.

The warm starter has imported torch once, the bare one nothing. stdin brings one JSON line a payload (`argv env cwd
folder`), stdout one JSON line an answer: first `{"ready": {…}}` or `{"refused": why}`, then for each payload
`{"pid": N}` or `{"refused": why}`. A payload is forked twice, so that its parent is the guardian, which is a
subreaper, and not this process: the guardian waits for it, and the kernel ends it with the guardian, as if the guardian
had started it. Runs inside the target: standard library only, parses on Python 3.8.
"""

import atexit
import ctypes
import gc
import json
import os
import signal
import sys
import time

import torchdoctor_import_cost as import_cost
import torchdoctor_kit as kit

PR_SET_PDEATHSIG = 1
ADOPTION_S = 10.0
MOST_WORDS = 500


def serve(kind):
    """Answer until stdin ends. Comes back in a forked payload alone, where `kit.imported` has what the import cost."""
    orders, answers = _pipes()
    guardian = os.getppid()
    try:
        if kind == "warm":
            kit.imported = _import()
        _settle()
        refusal = _why_not()
    except BaseException as error:
        refusal = ("importing torch raised %s: %s" % (type(error).__name__, error))[:MOST_WORDS]
    if refusal:
        _say(answers, refused=refusal)
        os._exit(0)
    _say(answers, ready=kit.imported or {})
    with open(orders, encoding="utf-8") as lines:
        for line in lines:
            if _forked(json.loads(line), guardian, answers):
                return
    os._exit(0)


def _pipes():
    """Take stdin and stdout away from whatever else runs here: what an import prints goes to stderr."""
    orders, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return orders, answers


def _import():
    python, cost = import_cost.python_start(), import_cost.Cost()
    imported = kit.timed_import()[1]
    return dict(imported, python=python, costs=cost.grown())


def _settle():
    """Fork once for nothing: a library that knows of forks (OpenBLAS) puts its threads away and brings them back.

    What is there now stays: a collector that looked through it in each fork would copy its memory.
    """
    gc.collect()
    gc.freeze()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _why_not():
    """Why a fork of this process would not be like a fresh one, "" if it would."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError as error:
        return "its threads cannot be counted: %s" % error.strerror
    if threads > 1:
        return "it has %d threads, and a fork takes only one along" % threads
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "importing torch initialised CUDA, which no fork survives"
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return ""
    return "importing torch started another process"


def _say(answers, **message):
    os.write(answers, json.dumps(message).encode() + b"\n")


def _forked(order, guardian, answers):
    """Fork a payload; whether this is it."""
    refusal = _why_not()
    try:
        child = -1 if refusal else os.fork()
    except OSError as error:
        child, refusal = -1, "it cannot fork: %s" % error.strerror
    if child < 0:
        _say(answers, refused=refusal)
        return False
    if child:
        os.waitpid(child, 0)
        return False
    try:
        if os.fork():
            os._exit(0)
        _become(order, guardian)
        _say(answers, pid=os.getpid())
    except BaseException as error:
        _say(answers, refused="its child failed: %s" % error)
        os._exit(127)
    os.close(answers)
    return True


def _become(order, guardian):
    """What exec and the guardian's own start give to a payload: session, parent, files, folder, environment."""
    os.setsid()
    deadline = time.monotonic() + ADOPTION_S
    while os.getppid() != guardian:
        if time.monotonic() > deadline:
            raise RuntimeError("the guardian did not adopt it")
        time.sleep(0.0005)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guardian:  # it died before the line above took hold
        os._exit(127)
    os.chdir(order["cwd"])
    for fd, name in ((1, "stdout.log"), (2, "stderr.log")):
        log = os.open(os.path.join(order["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, fd)
        os.close(log)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = order["argv"]


def leave(code):
    """End a forked payload: what was registered for the end runs, but the interpreter is not taken down.

    That would touch, and so copy, all of the memory that it shares with the starter: 0.4 s with torch in it.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as Python itself does
    os._exit(code)
