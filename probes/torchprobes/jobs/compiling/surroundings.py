"""What surrounds a process that may compile: its caches and their growth, its threads against its quota of CPU.

Reading an environment can block, as can a cache on a dead file system: this runs in the child that `look` starts.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ...model import Frozen
from ...telemetry.host import cgroups
from ...telemetry.host.files import Roots

MOST_FILES: Final = 20_000
WALK_S: Final = 0.25
_MAPS_BYTES: Final = 8 << 20
_TORCH: Final = re.compile(rb"/libtorch(?:_cpu|_python|_cuda)?\.so")


class Cache(Frozen, frozen=True, kw_only=True):
    """A folder of compiled code: what is in it and what came during the look. None is unread, and `why` says why."""

    kind: str
    path: str
    files: int | None = None
    bytes: int | None = None
    new_files: int | None = None
    new_bytes: int | None = None
    newest_s: float | None = None
    why: str = ""


class Quota(Frozen, frozen=True, kw_only=True):
    """Cores that the process may use by its cgroup (None: all, or unread, see `why`), and throttled periods since."""

    cores: float | None = None
    throttled: int | None = None
    why: str = ""


def environ(pid: int, proc: Path = Path("/proc")) -> Mapping[str, str] | None:
    """The environment that a process was started with; None if it may not be read."""
    try:
        with (proc / str(pid) / "environ").open("rb") as file:
            data = file.read(1 << 20)
    except OSError:
        return None
    pairs = (part.decode("utf-8", "replace").partition("=") for part in data.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals}


def has_torch(pid: int, proc: Path = Path("/proc")) -> bool | None:
    """Whether libtorch is mapped in it; None if that may not be seen."""
    try:
        with (proc / str(pid) / "maps").open("rb") as file:
            return bool(_TORCH.search(file.read(_MAPS_BYTES)))
    except OSError:
        return None


def threads(pid: int, proc: Path = Path("/proc")) -> int | None:
    """How many threads it has; None if that cannot be read."""
    try:
        return len(os.listdir(proc / str(pid) / "task"))
    except OSError:
        return None


# --- caches ----------------------------------------------------------------------------------------------------------


def cache_places(pid: int, env: Mapping[str, str] | None, proc: Path = Path("/proc")) -> Iterator[Cache]:
    """Where a process keeps compiled code: as its environment says, else as torch and triton default for its user.

    torch/_inductor/runtime/cache_dir_utils.py: <temporary folder>/torchinductor_<user>, with triton's cache below it;
    triton/knobs.py: ~/.triton/cache for kernels of the user's own.
    """
    user, home = _user(pid, proc)
    known = env or {}
    temporary = known.get("TMPDIR") or "/tmp"  # noqa: S108 - where that process looks, not we
    name = re.sub(r"[\\/:*?\"<>|]", "_", known.get("LOGNAME") or known.get("USER") or user)
    inductor = known.get("TORCHINDUCTOR_CACHE_DIR") or f"{temporary}/torchinductor_{name}"
    triton = known.get("TRITON_CACHE_DIR") or f"{known.get('TRITON_HOME') or home}/.triton/cache"
    guess = "" if env is not None else "its environment may not be read: the default of its user"
    root = _root(pid, proc)
    for kind, path in (("inductor", inductor), ("triton", triton)):
        yield Cache(kind=kind, path=root + path, why=guess)


def _user(pid: int, proc: Path) -> tuple[str, str]:
    try:
        found = pwd.getpwuid(os.stat(proc / str(pid)).st_uid)
        return found.pw_name, found.pw_dir
    except (OSError, KeyError):
        return "unknown", "/root"


def _root(pid: int, proc: Path) -> str:
    """Where the files of a process in another mount namespace are seen from here; "" for one in ours."""
    with contextlib.suppress(OSError):
        theirs = os.readlink(proc / str(pid) / "ns" / "mnt")
        if theirs != os.readlink(proc / "self" / "ns" / "mnt"):
            return f"{proc}/{pid}/root"
    return ""


def measured(cache: Cache) -> Cache:
    """The cache with what is in it now."""
    files = size = 0
    newest, until = 0.0, time.monotonic() + WALK_S
    try:
        for info in _walk(cache.path):
            files, size, newest = files + 1, size + info.st_size, max(newest, info.st_mtime)
            if files >= MOST_FILES or time.monotonic() > until:
                return _told(cache, f"more than {files} files: not counted")
    except FileNotFoundError:
        return _told(cache, "there is no such folder", files=0, bytes=0)
    except OSError as error:
        return _told(cache, f"{error.strerror}")
    age = round(max(0.0, time.time() - newest), 1) if files else None
    return _told(cache, "", files=files, bytes=size, newest_s=age)


def _told(cache: Cache, why: str, **cells: float | None) -> Cache:
    words = "; ".join(filter(None, (cache.why, why)))
    return Cache(**{"kind": cache.kind, "path": cache.path, "why": words, **cells})  # type: ignore[arg-type]


def grown(before: Cache, after: Cache) -> Cache:
    """The second look, with what came between the two."""
    if before.files is None or after.files is None or before.bytes is None or after.bytes is None:
        return after
    cells = {"files": after.files, "bytes": after.bytes, "newest_s": after.newest_s}
    more = {"new_files": max(0, after.files - before.files), "new_bytes": max(0, after.bytes - before.bytes)}
    return Cache(kind=after.kind, path=after.path, why=after.why, **cells, **more)  # type: ignore[arg-type]


def _walk(folder: str, depth: int = 0) -> Iterator[os.stat_result]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < 6:
                        yield from _walk(entry.path, depth + 1)
                else:
                    yield entry.stat(follow_symlinks=False)
            except OSError:
                continue


# --- quota -----------------------------------------------------------------------------------------------------------


def quota(pid: int, roots: Roots | None = None) -> Quota:
    """The narrowest quota of its cgroup and those above it, and how many periods ran out so far."""
    roots = roots or Roots()
    try:
        paths = cgroups.paths_of(roots, str(pid))
        version, folders = cgroups.find(roots, "cpu", paths.get("cpu", paths.get("", "/")), pid)
    except OSError as error:
        return Quota(why=f"its cgroup cannot be read: {error.strerror or error}")
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):
            found.append(version.quota(folder))
    limited = [each for each in found if each.cores is not None]
    if not limited:
        return Quota(why="no quota" if found else "its cgroup says nothing of CPU")
    narrowest = min(limited, key=lambda each: each.cores or 0.0)
    return Quota(cores=narrowest.cores, throttled=narrowest.throttled)
