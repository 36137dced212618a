"""What probes of the environment read from files: bounded in bytes, in files and in time, nothing imported.

Runs inside the target: standard library only, parses on Python 3.8. The bootstrap loads this file under the name
`torchdoctor_files`; the readers that it builds on are the console's own.
"""

import importlib.util
import os
import sys
import sysconfig
import time

from torchdoctor_shared.environment import interpreters, places


def text(path, most=64 << 10):
    """At most `most` bytes of a regular file as text; "" if it cannot be read."""
    try:
        return places.read_regular(path, most).decode("utf-8", "replace")
    except OSError:
        return ""


def torch_folder():
    """The folder of the torch that this Python would import, "" if it finds none; nothing is imported."""
    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError, AttributeError):
        return ""
    return next(iter(spec.submodule_search_locations or ()), "") if spec else ""


def torch_versions():
    """The plain assignments of the `torch/version.py` that this Python would import; {} without torch."""
    folder = torch_folder()
    return interpreters.torch_versions(folder) if folder else {}


def site_folders():
    """The folders of sys.path that hold packages, in order: neither the standard library nor a script's own."""
    standard = {os.path.realpath(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib")}
    found = []
    for path in sys.path:
        real = os.path.realpath(path or os.curdir)
        inside = any(os.path.dirname(real) == s and os.path.basename(real) == "lib-dynload" for s in standard)
        if os.path.isdir(real) and real not in standard and not inside and real not in found:
            found.append(real)
    return found


class Walk:
    """The files below folders, until `deadline` (time.monotonic()) or `most` names; `cut` says that it ended early.

    Links to folders are not followed. `skip(path)` leaves a folder out. What cannot be read is counted in `unread`.
    """

    def __init__(self, deadline, most=200_000, skip=lambda path: False):
        self.deadline, self.left, self.skip = deadline, most, skip
        self.cut, self.unread = False, 0

    def files(self, folder):
        """(path, os.DirEntry) of every file below `folder`."""
        pending = [folder]
        while pending:
            try:
                entries = list(os.scandir(pending.pop()))
            except OSError:
                self.unread += 1
                continue
            self.left -= len(entries)
            if self.left < 0 or time.monotonic() > self.deadline:
                self.cut = True
                return
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not self.skip(entry.path):
                        pending.append(entry.path)
                else:
                    yield entry.path, entry

    def size(self, folder):
        """Bytes that lie on disk below `folder`, each file once however many names it has."""
        total, seen = 0, set()
        for _, entry in self.files(folder):
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                self.unread += 1
                continue
            if info.st_nlink == 1 or (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * 512
        return total
