"""system.disk: are the folders that PyTorch and its caches write to there, writable, executable and not full?

The folders are those of the user's environment, not the fresh ones that a probe is given. Any of them may lie on a
mount whose server is gone, so each is looked at by a child of its own that is killed at its deadline and told as
`hung`. Standard library only; imports no torch; parses on Python 3.8.
"""

import errno
import getpass
import os
import tempfile
import time

import torchdoctor_kit as kit
import torchdoctor_looks as looks

DEADLINE_S = 3.0
OVERRIDDEN = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""The runner gives a probe values of its own for these; the user's come with the request."""


def run(request):
    """The probe."""
    kit.started()
    environ = _user_environ(request)
    places = _places(environ)
    mounts = _mounts()
    waiting = {name: looks.Look(_examine, path, mounts) for name, (path, _origin) in places.items()}
    deadline = time.monotonic() + float(request.params.get("deadline_s", DEADLINE_S))
    for name, (path, origin) in places.items():
        _tell(name, path, origin, _answer(waiting[name], deadline))


def _user_environ(request):
    """The environment as the user has it."""
    user = request.data.get("user_environ", {})
    environ = {k: v for k, v in os.environ.items() if k not in OVERRIDDEN}
    environ.update((k, v) for k, v in user.items() if k in OVERRIDDEN)
    return environ


def _places(environ):
    """By name: (path, where it is from). The defaults are those of torch, huggingface_hub, Inductor and Triton."""
    home = environ.get("HOME") or os.path.expanduser("~")
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    temporary = environ.get("TMPDIR") or "/tmp"
    rows = (
        ("home", "HOME", home),
        ("tmp", "TMPDIR", temporary),
        ("torch_home", "TORCH_HOME", os.path.join(cache, "torch")),
        ("hf_home", "HF_HOME", os.path.join(cache, "huggingface")),
        ("inductor_cache", "TORCHINDUCTOR_CACHE_DIR", os.path.join(temporary, "torchinductor_" + _user())),
        ("triton_cache", "TRITON_CACHE_DIR", os.path.join(home, ".triton", "cache")),
        ("shm", "", "/dev/shm"),
    )
    return {
        name: (environ.get(variable) or default, variable if environ.get(variable) else "default")
        for name, variable, default in rows
    }


def _user():
    try:
        return getpass.getuser()
    except Exception:  # a uid without a name, in a container
        return str(os.getuid())


def _mounts():
    """(mount point, type) of all mounts, from /proc, which never waits for a server."""
    found = []
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                fields, kinds = before.split(" "), after.split(" ")
                if len(fields) > 4:
                    found.append((fields[4].replace("\\040", " "), kinds[0]))
    except OSError:
        pass
    return found


# --- one place, in a child that may be killed ----------------------------------------------------------------------


def _answer(look, deadline):
    """What was found by the deadline, or why nothing was."""
    try:
        return look.answer(deadline)
    except looks.Hung:
        return {"state": "hung"}
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}


def _examine(path, mounts):
    """All that can be known of a folder; of one that is not made yet, of the nearest above it."""
    if not os.path.isabs(path):
        return {"error": "a relative path belongs to no directory that we know"}
    there, missing = path, False
    while not os.path.lexists(there) and there != os.path.dirname(there):
        there, missing = os.path.dirname(there), True
    real = os.path.realpath(there)
    info = os.statvfs(real)
    return {
        "missing": missing,
        "there": real,
        "kind": _kind(real, mounts),
        "total": info.f_blocks * info.f_frsize,
        "free": info.f_bavail * info.f_frsize,
        "inodes": info.f_files,
        "free_inodes": info.f_favail,
        "noexec": bool(info.f_flag & getattr(os, "ST_NOEXEC", 0)),
        "write": _cannot_write(real, bool(info.f_flag & os.ST_RDONLY)),
    }


def _kind(path, mounts):
    best = ("", "")
    for mount, kind in mounts:
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def _cannot_write(folder, read_only):
    """Why nothing can be written there, "" if it can: tried with a block in a file that has no name, if it may."""
    if read_only:
        return "its file system is read-only"
    if not os.path.isdir(folder):
        return "it is not a folder"
    try:
        handle = _nameless_file(folder)
        try:
            os.write(handle, b"\0" * 4096)
        finally:
            os.close(handle)
        return ""
    except OSError as error:
        return error.strerror or str(error)


def _nameless_file(folder):
    """A file in `folder` that nobody else can see; where there are none of that kind, one that is unlinked at once."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is not None:
        try:
            return os.open(folder, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    handle, path = tempfile.mkstemp(prefix=".torchdoctor-", dir=folder)
    os.unlink(path)
    return handle


# --- told ------------------------------------------------------------------------------------------------------------


def _tell(name, path, origin, said):
    here = "%s (%s)" % (path, origin)
    state = said.get("state") or ("unreadable" if "error" in said else "read")
    why = {"hung": "no answer in time from %s" % here, "unreadable": "%s: %s" % (here, said.get("error"))}
    kit.fact("disk.%s.state" % name, state, why.get(state, here))
    if state != "read":
        return
    words = here + (", not made yet: %s is" % said["there"] if said["missing"] else "")
    kit.fact("disk.%s.kind" % name, said["kind"] or None, words)
    kit.fact("disk.%s.writable" % name, not said["write"], "%s: %s" % (here, said["write"] or "written"))
    kit.fact("disk.%s.noexec" % name, said["noexec"], "mount flags of " + here)
    kit.figure("disk_free", said["free"], "B", place=name, path=path)
    kit.figure("disk_total", said["total"], "B", place=name, path=path)
    if said["inodes"]:  # some file systems do not count them
        kit.figure("disk_free_inodes", said["free_inodes"], "inodes", place=name, path=path)
    if name == "shm":
        kit.fact("shm.total_bytes", said["total"], "statvfs /dev/shm")
