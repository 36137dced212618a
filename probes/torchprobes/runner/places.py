"""Where compiled code can live: a folder on a local file system whose files may be mapped executable.

Standard library only and Python 3.8 syntax: it also travels behind a launcher prefix. Inductor and Triton write
shared objects into their caches and load them; on a noexec mount the load fails, and on a network file system it
measures the network.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

REMOTE = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "fuse", "wekafs", "pvfs")
"""File system types, by beginning, that are not local: /proc/self/mountinfo names them so."""


def filesystem(path: str) -> str:
    """The type of the file system that `path` lies on, from /proc/self/mountinfo; "" if it cannot be told."""
    best, kind = "", ""
    real = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                mount = before.split(" ")[4].replace("\\040", " ")
                inside = real == mount or real.startswith(mount.rstrip("/") + "/")
                if inside and len(mount) >= len(best):
                    best, kind = mount, after.split(" ")[0]
    except (OSError, IndexError):
        return ""
    return kind


def is_local(path: str) -> bool:
    """Whether `path` lies on a local file system, as far as can be told."""
    return not filesystem(path).startswith(REMOTE)


def can_execute(folder: str) -> bool:
    """Whether a file in `folder` can be mapped executable, as a shared object is; tried, not guessed."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".torchdoctor-exec-") as file:
            file.write(b"\0" * mmap.PAGESIZE)
            file.flush()
            mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


def temporary_places() -> list[str]:
    """Where temporary files go, best first."""
    named = os.environ.get("TMPDIR", "")
    return [p for p in (named, "/tmp", "/var/tmp", "/dev/shm") if p.startswith("/")]  # noqa: S108 - mkdtemp below


def make_exec_place(prefix: str) -> str | None:
    """A fresh private folder that compiled code can live in, None if no place will do."""
    for place in temporary_places():
        try:
            if is_local(place) and can_execute(place):
                return tempfile.mkdtemp(prefix=prefix, dir=place)
        except OSError:
            continue
    return None


def main() -> None:
    """For a child of the runner: print nothing if argv[1] will do, else a fresh folder, named with argv[2], if any."""
    folder, *prefix = sys.argv[1:]
    if not (is_local(folder) and can_execute(folder)):
        print(make_exec_place(*prefix) or "" if prefix else "no", flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
