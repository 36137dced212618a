"""Starts one rank so that it cannot outlive torchrun: `python rank_shim.py COMMAND ARGS...`.

Ranks are sessions of their own, so neither the terminal nor the process group of torchrun reaches them, and a
SIGKILL of torchrun would leave them running (measured: all of them, for as long as was watched). This asks the
kernel for SIGKILL on the parent's death, looks whether the parent is still torchrun, and becomes the rank. Standard
library only; parses on Python 3.8.
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


def parent_is(run_id):
    """Whether the parent's command line names this run: the parent may have died before the request was made."""
    try:
        with open("/proc/%d/cmdline" % os.getppid(), "rb") as file:
            return run_id.encode() in file.read().split(b"\0")
    except OSError:
        return False


def main():
    """Become the command that the arguments name."""
    why_not = die_with_parent()
    if why_not:
        sys.stderr.write("this rank may outlive its launcher: prctl: %s\n" % why_not)
    elif not parent_is(os.environ.get("TORCHELASTIC_RUN_ID", "")):
        sys.stderr.write("the launcher of this rank is gone: not started\n")
        sys.exit(NO_PARENT)
    try:
        os.execve(sys.argv[1], sys.argv[1:], os.environ)
    except OSError as error:
        sys.stderr.write("cannot start %s: %s\n" % (sys.argv[1], error.strerror))
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
