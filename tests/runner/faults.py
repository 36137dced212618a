"""A payload that goes wrong in every way that a payload can; `fault` in its parameters says how."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import torchdoctor_kit as kit


def sound():
    kit.progress("half", done=0.5)
    kit.figure("answer", 42.0, "s")


def raises():
    raise ValueError("bad batch")


def exits_silently():
    os._exit(0)


def exits_3():
    print("the last words", file=sys.stderr, flush=True)
    os._exit(3)


def segfaults():
    ctypes.string_at(0)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    time.sleep(600)


def hangs_deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def stops():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def floods():
    line = b"0123456789 abcdefghij\n" * 1000
    for _ in range(10_000):
        os.write(1, line)
    time.sleep(600)


def floods_events():
    while True:
        kit.progress("x" * 3000)


def one_endless_line():
    for _ in range(64):
        os.write(2, b"x" * (1 << 20))


def broken_json():
    kit.figure("before", 1.0, "s")
    os.write(kit._events.fd, b'{"ev": "figure", "name": \n\xff\xfe\n[[[[\n')


def leaves_children():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def leaves_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            for fd in range(3):
                os.close(fd)
            time.sleep(600)
        os._exit(0)
    time.sleep(0.1)


def fork_storm():
    """A chain of sessions, each child making the next and dying, as far as it is let."""
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()


def closes_its_files():
    os.closerange(0, 256)


def run(request):
    kit.started()
    globals()[request.params["fault"]]()
