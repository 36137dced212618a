"""Starts one rank so that it cannot outlive torchrun: `python rank_shim.py RUN_ID PROGRAM ARGS...`.

Ranks are sessions of their own, so neither the terminal nor the process group of torchrun reaches them, and a
SIGKILL of torchrun would leave them running (measured: all of them, for as long as was watched). This asks the
kernel for SIGKILL on the parent's death, looks whether the parent is still torchrun, and becomes the rank. Where
TORCHDOCTOR_INJECT names a folder, the rank's Python finds our sitecustomize there, and only the rank's: this process
becomes it, so its pid tells it from its children. Standard library only; parses on Python 3.8.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NO_PARENT = 76
CANNOT_START = 77


def die_with_parent():
    """Ask for SIGKILL when the thread that started this process ends; "" or why that cannot be had."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            return os.strerror(ctypes.get_errno())
    except (ImportError, OSError, AttributeError) as error:
        return str(error)
    return ""


def parent_names(run_id):
    """Whether the parent's command line names this run: the parent may have died before the request was made."""
    try:
        with open("/proc/%d/cmdline" % os.getppid(), "rb") as file:
            return os.fsencode(run_id) in file.read().split(b"\0")
    except OSError:
        return False


def inject(environ):
    """Put the folder of our sitecustomize before the rank's own PYTHONPATH."""
    folder = environ.get("TORCHDOCTOR_INJECT")
    if folder:
        own = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = folder + os.pathsep + own if own else folder
        environ["TORCHDOCTOR_RANK"] = str(os.getpid())


def main():
    """Become the command that the arguments name."""
    why_not = die_with_parent()
    if why_not:
        sys.stderr.write("this rank may outlive its launcher: prctl: %s\n" % why_not)
    elif not parent_names(sys.argv[1]):
        sys.stderr.write("the launcher of this rank is gone: not started\n")
        sys.exit(NO_PARENT)
    inject(os.environ)
    try:
        os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
    except OSError as error:
        sys.stderr.write("cannot start %s: %s\n" % (sys.argv[2], error.strerror))
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
