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


def holds_daemon():
    """It lives on beside its daemon, until somebody ends both."""
    leaves_daemon()
    time.sleep(600)


def fork_storm():
    """A chain of sessions, each child making the next and dying, as far as it is let."""
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()


def storm_of_sessions():
    """Six makers, each in a session of its own, make short-lived sessions as fast as they can."""
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()
            while True:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(0.05)
                    os._exit(0)
                while True:
                    try:
                        if os.waitpid(-1, os.WNOHANG)[0] == 0:
                            break
                    except ChildProcessError:
                        break
                time.sleep(0.002)
    time.sleep(600)


def spawns_by_name():
    """A spawned child finds the payload by its module's name, as a DataLoader's worker has to."""
    import multiprocessing

    import torchdoctor_payload

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        kit.figure("answer", float(pool.apply(torchdoctor_payload.twice, (21,))), "s")


def prints_where_it_is():
    kit.fact("cwd", os.getcwd())
    kit.fact("path", "|".join(sys.path))
    kit.fact("triton", os.environ["TRITON_CACHE_DIR"])
    kit.fact("inductor", os.environ["TORCHINDUCTOR_CACHE_DIR"])
    kit.fact("stdin", os.readlink("/proc/self/fd/0"))
    os.makedirs(os.environ["TRITON_CACHE_DIR"])


def prints_what_binds_it():
    import resource

    kit.fact("cores", str(sorted(os.sched_getaffinity(0))))
    kit.fact("files", str(resource.getrlimit(resource.RLIMIT_NOFILE)))
    kit.fact("core", str(resource.getrlimit(resource.RLIMIT_CORE)))
    kit.fact("own", os.environ.get("OF_THE_JOB"))
    kit.fact("ours", os.environ.get("OF_THE_SHELL"))


prints_what_binds_it_too = prints_what_binds_it


def not_numbers():
    kit.figure("nan", float("nan"), "GB/s")
    kit.figure("fine", 2.0, "GB/s")


def closes_its_files():
    os.closerange(0, 256)


def imports_torch():
    """The fault of the tests of starters is in what they give for torch."""
    import torch

    kit.fact("torch", getattr(torch, "__version__", ""))
    kit.fact("autoload", os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD"))


imports_torch_again = imports_torch_too = imports_torch


def leaves_files():
    sizes = {"artifacts/a.bin": 100_000, "compile/torch_compile_debug/run/code.py": 10, "compile/inductor/x.so": 9}
    for name, size in sizes.items():
        path = os.path.join(os.path.dirname(kit.request.artifacts), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x" * size)
    kit.fact("home", os.path.expanduser("~"))
    kit.fact("place", os.getcwd())


def waits_for_a_file():
    while not os.path.exists("go"):
        time.sleep(0.01)


def twice(number):
    return 2 * number


def run(request):
    fault = request.params["fault"]
    if fault.startswith("imports_torch"):
        kit.import_torch()
    else:
        kit.started()
    globals()[fault]()
