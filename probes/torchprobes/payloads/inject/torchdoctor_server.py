"""torch's own worker server in a rank, on a unix socket that only this user reaches: stacks and flight recorder.

It is C++ threads of torch's that wait; nothing is asked of the rank until somebody connects. 2.1 has none, 2.4 has.
Standard library only; parses on Python 3.8.
"""

import os
import stat
import sys
import time

LONGEST = 107
"""Bytes of a path that a unix socket can have (unix(7): sun_path)."""

FEWEST_TASKS = 4096
MOST_SWEPT = 256
YOUNG_S = 60.0


class Server:
    """A server that runs, and its socket."""

    def __init__(self, path, server):
        self.path = path
        # Never let go of: its end joins a thread, which in a forked child is not there.
        self._server = server
        _immortal(server)

    def close(self):
        """Take the socket away; the threads end with the process."""
        try:
            os.unlink(self.path)
        except OSError:
            return


def start(events):
    """Start it and tell its socket; None, with a fact that says why, where it cannot be had."""
    make = getattr(sys.modules.get("torch._C._distributed_c10d"), "_WorkerServer", None)
    if make is None:
        events.fact("server", "this torch has no worker server (2.1 has none, 2.4 has)")
        return None
    why = no_room()
    if why:
        events.fact("server", why)
        return None
    try:
        place = folder()
        sweep(place)
        path = os.path.join(place, "%d-%s" % (os.getpid(), os.urandom(4).hex()))
        if len(os.fsencode(path)) > LONGEST:
            raise OSError("its path would be too long: %s" % path)
        server = Server(path, make(path))
        os.chmod(path, 0o600)
    except Exception as error:
        events.fact("server", error)
        return None
    events.write("init", labels={"server": path})
    return server


def no_room():
    """Why its threads, one a core, might not fit, "" if they do: one that cannot be made would end the rank."""
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    except (ImportError, OSError, ValueError):
        return ""
    needed = 16 * (os.cpu_count() or 1)
    if soft != resource.RLIM_INFINITY and soft < max(FEWEST_TASKS, needed):
        return "ulimit -u is %d: too few for its threads" % soft
    left = tasks_left()
    if left is not None and left < needed:
        return "its control group has room for %d more tasks: too few for its threads" % left
    return ""


def tasks_left():
    """How many tasks the nearest control group with a limit still allows, None where none limits or nobody says."""
    try:
        with open("/proc/self/cgroup", encoding="ascii", errors="replace") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return None
    places = ["/sys/fs/cgroup%s" % row[2] for row in rows if row[1] == ""]
    places += ["/sys/fs/cgroup/pids%s" % row[2] for row in rows if "pids" in row[1].split(",")]
    for place in places + ["/sys/fs/cgroup"]:
        most, now = number(place + "/pids.max"), number(place + "/pids.current")
        if most is not None and now is not None:
            return most - now
    return None


def number(path):
    """The number in a file of the kernel's, None if there is none ("max")."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def folder():
    """A folder of this node that is ours alone. /run/user is second: it goes when the last session of the user ends."""
    uid = os.getuid()
    refused = "no folder for a socket"
    for place in ("/tmp", os.environ.get("XDG_RUNTIME_DIR", "")):
        if not place.startswith("/"):
            continue
        path = os.path.join(place, "torchdoctor-%d-ranks" % uid)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            refused = "%s: %s" % (path, error.strerror)
            continue
        seen = os.lstat(path)
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == uid and stat.S_IMODE(seen.st_mode) == 0o700:
            return path
        refused = "%s is not a folder of ours alone" % path
    raise OSError(refused)


def sweep(place):
    """Remove old sockets on which nobody listens: a rank that was killed leaves its own.

    Who lives is asked, not guessed from a pid, which may be of another namespace; a young one may not listen yet.
    """
    import socket

    for name in os.listdir(place)[:MOST_SWEPT]:
        path = os.path.join(place, name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.setblocking(False)
            try:
                seen = os.lstat(path)
                if stat.S_ISSOCK(seen.st_mode) and time.time() - seen.st_mtime > YOUNG_S:
                    client.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            except OSError:
                continue


def _immortal(thing):
    """Keep one reference that nothing takes away, not even the end of the interpreter."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
