"""Makes one rank diagnosable: faulthandler on a private signal, a heartbeat, later torch's worker server.

Everything that it tells goes to the rank's own event file; a part that cannot be had is a fact with the reason. A
process that is forked from the rank inherits none of it: the thread does not come along, and no event is written under
another pid. Standard library only; parses on Python 3.8.
"""

import atexit
import faulthandler
import json
import os
import signal
import sys
import threading
import time

MAX_LINE = 4000
PRIVATE = range(signal.SIGRTMIN + 9, signal.SIGRTMAX - 1)
"""Real-time signals to choose from: not the first ones, which runtimes and threading libraries take."""

END_S = 0.5


class Events:
    """This rank's event file: one write a line, and none from another process than the one that opened it."""

    def __init__(self, environ):
        self.pid = os.getpid()
        self.rank, self.attempt = int(environ["RANK"]), int(environ.get("TORCHELASTIC_RESTART_COUNT") or 0)
        self.name = "%d.r%d.a%d" % (self.pid, self.rank, self.attempt)
        self.node = environ["TORCHDOCTOR_NODE"]
        path = os.path.join(self.node, "events", self.name + ".jsonl")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    @property
    def ours(self):
        """Whether this is still the process that opened it."""
        return os.getpid() == self.pid

    def write(self, ev, **fields):
        """Append one event; nothing is written by a fork, and a disk that is full stops no rank."""
        if not self.ours:
            return
        head = {"v": 1, "t_ns": time.time_ns(), "m_ns": time.monotonic_ns(), "pid": self.pid}
        head.update(rank=self.rank, attempt=self.attempt, ev=ev)
        head.update((k, v) for k, v in fields.items() if v is not None)
        line = json.dumps(head).encode() + b"\n"
        if len(line) > MAX_LINE:
            line = json.dumps(dict(head, labels={}, evidence="", error="[cut]")).encode() + b"\n"
        try:
            os.write(self._file, line)
        except OSError:
            return

    def fact(self, name, why):
        """A part that is not there, and why."""
        self.write("fact", name="inject." + name, value=None, evidence=str(why)[:300])


def begin(environ, load):
    """Start everything that needs no torch; the heartbeat does the rest once torch is there."""
    events = Events(environ)
    events.write("start", labels={"python": "%d.%d.%d" % sys.version_info[:3]})
    number, why = handle_stacks(events)
    if number is None:
        events.fact("faulthandler", why)
    else:
        events.write("init", labels={"stack_signal": str(number)})
    record = load("torchdoctor_record")
    groups = load("torchdoctor_groups").Groups(events, record.newest)
    beat = load("torchdoctor_beat").Beat(events, load("torchdoctor_server").start, groups)
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(beat, stop, events), name="torchdoctor", daemon=True)
    thread.start()
    atexit.register(end, events, beat, stop, thread, record)


def handle_stacks(events):
    """Let faulthandler write all stacks into the rank's file on a signal that nobody else uses: (number, why not)."""
    number = next((n for n in PRIVATE if signal.getsignal(n) is signal.SIG_DFL), None)
    if number is None:
        return None, "every real-time signal has a handler"
    path = os.path.join(events.node, "stacks", events.name + ".txt")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # faulthandler keeps the number of the descriptor, which stays open for the life of the rank.
        faulthandler.register(number, file=os.open(path, flags, 0o600), all_threads=True)
    except (OSError, RuntimeError, ValueError) as error:
        return None, error
    return number, ""


def run(beat, stop, events):
    """The heartbeat's thread; signals are left to the others, and so are those of threads that are started here."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pause = 0.0
    while not stop.wait(pause):
        if not events.ours:
            return
        pause = beat.beat()


def end(events, beat, stop, thread, record):
    """The interpreter ends: say how and with which collectives, and let no thread of ours meet its finalization.

    What is registered first comes last: all that the script has for its end is over, its groups may be destroyed.
    """
    if not events.ours:
        return
    stop.set()
    thread.join(END_S)
    raised = getattr(sys, "last_value", None)
    dumps = record.newest(beat.socket)
    beat.close(dumps)
    record.keep(events, dumps)
    if raised is None:
        events.write("end", name="atexit")
    else:
        events.write("end", name="raised", ok=False, error=("%s: %s" % (type(raised).__name__, raised))[:500])
