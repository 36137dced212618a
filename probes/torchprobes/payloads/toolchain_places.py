"""Part of compile.toolchain: the directories in which compiled code would be written and from which it is loaded.

Those of the user's environment, not the fresh ones that the runner makes for a probe. Each is tried: a file is
written, mapped executable as the loader maps it, and removed. Loaded as `torchdoctor_toolchain_places`; standard
library only, parses on Python 3.8.
"""

import ctypes
import getpass
import mmap
import os
import re
import shutil
import tempfile

import torchdoctor_kit as kit
import torchdoctor_looks as looks

NETWORK = re.compile(
    r"^(nfs\d?|cifs|smb\d?|lustre|gpfs|beegfs|ceph|afs|9p|pvfs2|orangefs|weka\w*|panfs|fuse\.(?!fuse-overlayfs).*)$"
)
"""File system types whose files live on another machine; fuse too, but for rootless overlays."""

_MOUNTS = "/proc/self/mountinfo"
PLACE_S = 3.0

HUNG = ""
"""In place of a folder: the one that was asked for gives no answer."""


def tell(request, torch, temporary, library):
    """Tell every place; `library` is a shared object that was built and loaded, or None."""
    user = request.data.get("user_environ") or {}
    inductor, origin = _inductor(user, temporary, torch)
    if inductor is not None:
        _tell_place("inductor", inductor, origin, library)
    if user.get("TRITON_CACHE_DIR"):
        _tell_place("triton", user["TRITON_CACHE_DIR"], "TRITON_CACHE_DIR", library)
    if temporary is not None:
        _tell_place("tmp", temporary, "tempfile.gettempdir()", None)
    _tell_place("home", os.path.expanduser("~"), "the home directory", None)


def temporary():
    """The folder for temporary files; None, or HUNG, and a fact that says so, where there is none to be had."""
    try:
        return looks.within(PLACE_S, tempfile.gettempdir)
    except looks.Hung as error:
        kit.fact("toolchain.place.tmp", os.environ.get("TMPDIR"), "TMPDIR")
        kit.fact("toolchain.place.tmp.state", "hung", str(error))
        return HUNG
    except OSError as error:
        kit.fact("toolchain.tmp", "none", str(error)[:300])
        return None


def _inductor(user, temporary, torch):
    """Inductor's cache directory for this user, by its own rule; None if that rule itself fails."""
    named = user.get("TORCHINDUCTOR_CACHE_DIR")
    if named:
        return named, "TORCHINDUCTOR_CACHE_DIR"
    try:
        name = getpass.getuser()
    except Exception as error:  # KeyError, ImportError or OSError, by version of Python
        kit.fact("toolchain.user", None, "user id %d: %s" % (os.getuid(), error))
        kit.fact("toolchain.user.needed", not torch.survives_unknown_user, "torch/_inductor/runtime/cache_dir_utils.py")
        name = "uid_%d" % os.getuid()
    if temporary is None:
        return None, ""
    return os.path.join(temporary, "torchinductor_" + re.sub(r'[\\/:*?"<>|]', "_", name)), "Inductor's default"


def _tell_place(key, path, origin, library):
    path = os.path.abspath(path)
    start = "toolchain.place.%s" % key
    kit.fact(start, path, origin)
    looks.bounded(start, PLACE_S, _examine, key, start, path, library)


def _examine(key, start, path, library):
    nearest = _nearest(path)
    kind, flags = _mount(nearest)
    kit.fact(start + ".filesystem", kind, flags)
    kit.fact(start + ".network", bool(NETWORK.match(kind)), kind)
    _tell_owner(start, nearest)
    _tell_space(key, nearest)
    _try(start, nearest, library)


def _nearest(path):
    """The path itself, or the nearest directory above it that is there: what would have to be created in."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _mount(path):
    """(file system type, mount point and options) of what a path lies on, from the kernel's own list."""
    found = ("unread", "")
    real = os.path.realpath(path)
    best = -1
    try:
        with open(_MOUNTS, encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 6 or not kinds:
            continue
        point = fields[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), (kinds[0], "%s %s" % (point, fields[5]))
    return found


def _tell_owner(start, path):
    try:
        owner = os.stat(path).st_uid
    except OSError as error:
        kit.fact(start + ".owner", "unread", str(error))
        return
    own = owner == os.geteuid() or path == "/" or bool(os.stat(path).st_mode & 0o1000)  # sticky: made for all
    kit.fact(start + ".own", own, "%s belongs to user id %d, this is %d" % (path, owner, os.geteuid()))


def _tell_space(key, path):
    try:
        space = os.statvfs(path)
    except OSError:
        return
    kit.figure("free_bytes", space.f_bavail * space.f_frsize, "B", place=key)
    if space.f_files:  # 0 where the file system has no fixed number of them
        kit.figure("free_inodes", space.f_favail, "inodes", place=key)


def _try(start, nearest, library):
    """Write and map a file there; the folder made for it is removed again."""
    try:
        folder = tempfile.mkdtemp(prefix=".torchdoctor-", dir=nearest)
    except OSError as error:
        kit.fact(start + ".writable", False, "%s: %s" % (nearest, error.strerror or error))
        return
    try:
        path = os.path.join(folder, "code.so")
        with open(path, "wb") as file:
            file.write(b"\x7fELF" + bytes(mmap.PAGESIZE))
            file.flush()
            os.fsync(file.fileno())
        kit.fact(start + ".writable", True, nearest)
        problem = _not_mapped(path) or (library and _not_loaded(library, path))
        kit.fact(start + ".executable", problem is None, problem or "mapped with PROT_EXEC, as the loader does")
    except OSError as error:
        kit.fact(start + ".writable", False, "%s: %s" % (nearest, error.strerror or error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_mapped(path):
    """Why a file cannot be mapped executable (noexec, SELinux); None if it can."""
    if not hasattr(mmap, "PROT_EXEC"):
        return None
    with open(path, "rb") as file:
        try:
            mmap.mmap(
                file.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC
            ).close()
        except OSError as error:
            return "failed to map segment: %s" % (error.strerror or error)
    return None


def _not_loaded(library, path):
    """Why the library that was built is not loaded from there; None if it is."""
    shutil.copyfile(library, path)
    try:
        ctypes.CDLL(path)
    except OSError as error:
        return str(error)[:300]
    return None
