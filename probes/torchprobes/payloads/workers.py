"""compile.workers: does compiling work where programs really do it, and does it leave anything behind?

In a thread, in a fresh process, in a daemonic process, in a process forked after the compiler was used, and in a
worker of a DataLoader. Each place has a time limit: a hang is an answer. A forked process may not use an accelerator
that its parent has started, so fork and DataLoader compile for the CPU. Afterwards the compile workers that outlived
their process are counted. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import faulthandler
import multiprocessing
import os
import threading
import time

import torchdoctor_control as control
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

PLACE_LIMIT_S = 40.0
HELPER_LIMIT_S = 200.0
GRACE_S = 20.0
"""What compile workers may take to see that their process is gone; one that has just begun imports torch first."""


def run(request):
    """The probe; with the parameter `role`, one of its helpers."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    if request.params.get("role") is not None:
        _ROLES[request.params["role"]](torch, where)
        return
    control.need_backend(where)
    witness.tell_surroundings(torch, where)
    for role in _ROLES:
        kit.progress("compile in a process that has %s" % _TITLES[role])
        ending = kit.spawn_self(role, HELPER_LIMIT_S)
        kit.fact("workers.%s.ending" % role, ending, "exit code of the helper")
        if ending != 0 and role == "plain":
            return
    begin = time.monotonic()
    left = _left_behind()
    kit.figure("workers_gone_s", time.monotonic() - begin, "s")
    kit.figure("workers_left", len(left), "processes")
    kit.fact("workers.left", "; ".join(left), "compile workers alive %g s after their process ended" % GRACE_S)


def _plain(torch, where):
    """The main thread of a fresh process: where it must work, and what fills the caches for the other places."""
    _tell("process", _compile(torch, where))
    _tell_method()


def _threads(torch, where):
    """A thread that is not the main one: servers compile there."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(_compile(torch, where)), daemon=True)
    thread.start()
    thread.join(PLACE_LIMIT_S)
    _tell("thread", answer[0] if answer else _hung())


def _children(torch, where):
    """Child processes of one that has compiled: daemonic, forked, and a DataLoader's worker."""
    cpu = torch.device("cpu")
    _tell("before fork", _compile(torch, where))
    _tell("daemonic process", _in_child(multiprocessing.get_context("spawn"), _child, (str(where),)))
    if hasattr(os, "fork"):
        stack = os.path.join(kit.request.artifacts, "fork.stack.txt")
        _tell("forked process", _in_child(multiprocessing.get_context("fork"), _child, ("cpu",), stack))
        _tell_stack(stack)
        _tell("DataLoader worker", _in_loader(torch, cpu))


_ROLES = {"plain": _plain, "threads": _threads, "children": _children}
_TITLES = {"plain": "done nothing else", "threads": "a second thread", "children": "children"}


def _compile(torch, where):
    """(state, words, seconds) of compiling the small graph here: "right", "wrong" or what was raised."""
    try:
        torch._dynamo.reset()
        with torch.no_grad():
            seconds, answer = control.compile_small(torch, where)
    except BaseException as error:
        return "raised", measure.first_line(error), None
    return ("wrong" if answer == "wrong" else "right"), answer, seconds


def _child(device, connection, stack=None):
    """A child's whole work; its own name for torch, because a spawned one has imported nothing."""
    import torch
    import torch._dynamo

    if stack is not None:
        faulthandler.dump_traceback_later(0.8 * PLACE_LIMIT_S, file=open(stack, "w"))
    connection.send(_compile(torch, torch.device(device)))
    connection.close()


def _tell_stack(path):
    """Where a child that hangs stands: its innermost frames, and the whole stack as an artifact."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            frames = [line.strip() for line in file.read(1 << 16).splitlines() if line.startswith("  File")]
    except OSError:
        return
    if frames:
        kit.fact("workers.fork.stack", " < ".join(frames[:3]), "innermost frame first")
        kit.artifact("stack", path, "where the forked process stands")


def _in_child(context, work, arguments, stack=None):
    """Run `work` in a daemonic child with a pipe, and wait for its answer for at most the limit."""
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(*arguments, there, stack), daemon=True)
    child.start()
    there.close()
    try:
        if not here.poll(PLACE_LIMIT_S):
            return _hung()
        return here.recv()
    except EOFError:
        child.join(5)
        return "died", "exit code %s" % child.exitcode, None
    finally:
        if child.is_alive():
            child.join(5)
        child.kill()
        child.join()


class _Items:
    """A data set of one item, made by compiled code: what a transform that compiles does."""

    def __init__(self, torch, where):
        self.torch, self.where = torch, where

    def __len__(self):
        return 1

    def __getitem__(self, index):
        state, words, seconds = _compile(self.torch, self.where)
        return [state, words, -1.0 if seconds is None else seconds]


def _in_loader(torch, where):
    loader = torch.utils.data.DataLoader(
        _Items(torch, where), batch_size=None, num_workers=1, timeout=PLACE_LIMIT_S, multiprocessing_context="fork"
    )
    try:
        state, words, seconds = next(iter(loader))
    except Exception as error:
        text = measure.first_line(error)
        return ("hung" if "timed out" in text else "raised"), text, None
    return state, words, None if seconds < 0 else float(seconds)


def _hung():
    return "hung", "no answer within %g s" % PLACE_LIMIT_S, None


def _tell(place, answer):
    state, words, seconds = answer
    kit.fact("workers.in.%s" % place, state, words)
    if seconds is not None:
        kit.figure("first_call_s", seconds, "s", place=place)


def _tell_method():
    """How Inductor itself starts its compile workers here, and how many."""
    import torch._inductor.config as config

    for name in ("worker_start_method", "compile_threads"):
        kit.fact("workers.%s" % name, getattr(config, name, None), "torch._inductor.config.%s" % name)


# --- what is left ----------------------------------------------------------------------------------------------------


def _left_behind():
    """Command lines of our processes that still are compile workers once the grace is over; only /proc tells."""
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and _compile_workers():
        time.sleep(0.1)
    return _compile_workers()


def _compile_workers():
    """Compile workers of the helpers that are gone; those of this process (2.6 starts some early) are no orphans."""
    mine = ("TORCHDOCTOR_EVENTS=" + os.environ.get("TORCHDOCTOR_EVENTS", "?")).encode()
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not entry.isdigit() or os.getpid() in _ancestors(int(entry)):
            continue
        try:
            ours = mine in _read("/proc/%s/environ" % entry).split(b"\0")
            command = _read("/proc/%s/cmdline" % entry).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        if ours and ("compile_worker" in command or "multiprocessing" in command):
            found.append("%s %s" % (entry, command[:120]))
    return found


def _ancestors(pid):
    """The process and those above it, as far as /proc tells."""
    chain = []
    while pid > 1 and pid not in chain:
        chain.append(pid)
        try:
            pid = int(_read("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return chain


def _read(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)
