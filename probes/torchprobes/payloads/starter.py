"""Starts payloads from one process that is there already: `bootstrap.py --starter warm|bare`.

The warm starter has imported torch once, the bare one nothing. stdin brings one JSON line a payload (`argv env cwd
folder`), stdout one JSON line an answer: first `{"ready": {…}}` or `{"refused": why}`, then for each payload
`{"pid": N}` or `{"refused": why}`. A payload is forked twice, so that its parent is the guardian, which is a
subreaper, and not this process: the guardian waits for it, and the kernel ends it with the guardian, as if the guardian
had started it. Runs inside the target: standard library only, parses on Python 3.8.
"""

import ctypes
import json
import os
import signal
import sys
import time

import torchdoctor_kit as kit

PR_SET_PDEATHSIG = 1
ADOPTION_S = 10.0
MOST_WORDS = 500


def serve(kind):
    """Answer until stdin ends. Comes back in a forked payload alone, with what importing torch cost, or None."""
    orders, answers = _pipes()
    guardian, imported = os.getppid(), None
    try:
        if kind == "warm":
            imported = kit.timed_import()[1]
        _settle()
        refusal = _why_not()
    except BaseException as error:
        refusal = ("importing torch raised %s: %s" % (type(error).__name__, error))[:MOST_WORDS]
    if refusal:
        _say(answers, refused=refusal)
        os._exit(0)
    _say(answers, ready=imported or {})
    with open(orders, encoding="utf-8") as lines:
        for line in lines:
            if _forked(json.loads(line), guardian, answers):
                return imported
    os._exit(0)


def _pipes():
    """Take stdin and stdout away from whatever else runs here: what an import prints goes to stderr."""
    orders, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return orders, answers


def _settle():
    """Fork once for nothing: a library that knows of forks (OpenBLAS) puts its threads away and brings them back."""
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
