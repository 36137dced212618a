"""Where the output of a process goes: the files behind its descriptors 1 and 2, or why there are none to read.

Standard library only. Nothing is opened: a log may lie on a file system that gives no answer.
"""

from __future__ import annotations

import os
import stat

from . import reading
from .reading import Seen
from .scan import Census

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

KEEP: Final = "start it through torchdoctor to keep it"


def places(census: Census, seen: Seen) -> dict[str, Any]:
    """`stdout`, `stderr` and `log_why` of a rank."""
    found, causes = {}, {}
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        path, why = _place(census, seen, descriptor)
        found[name] = path
        if why:
            causes[name] = why
    same = len(set(causes.values())) == 1 and len(causes) == 2
    why = f"its output {causes['stdout']}" if same else "; ".join(f"its {name} {why}" for name, why in causes.items())
    return {**found, "log_why": why}


def _place(census: Census, seen: Seen, descriptor: int) -> tuple[str, str]:
    """The path of a regular file, or why there is none."""
    link = f"{census.proc}/{seen.pid}/fd/{descriptor}"
    try:
        target = os.readlink(link)
    except PermissionError:
        return "", "is not shown to us: it belongs to another user; run as root: sudo torchdoctor jobs"
    except OSError:
        return "", "is closed, or it has just ended"
    shown = reading.printable(os.fsencode(target))
    if target.startswith("pipe:["):
        return "", f"goes to a pipe{_reader(census, seen, target)}: {KEEP}"
    if target.startswith("socket:["):
        return "", f"goes to a socket: {KEEP}"
    if target.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
        return "", f"goes to the terminal {shown}: {KEEP}"
    if target == "/dev/null":
        return "", f"is thrown away (/dev/null): {KEEP}"
    if target.endswith(" (deleted)"):
        return "", f"goes to {shown}, a file that was deleted"
    return _file(link, shown)


def _file(link: str, target: str) -> tuple[str, str]:
    """Whether the end of a link is a regular file. The file itself is open: asking for its kind does not reach out."""
    try:
        mode = os.stat(link).st_mode
    except OSError as error:
        return "", f"goes to {target}, which cannot be looked at: {error.strerror}"
    return (target, "") if stat.S_ISREG(mode) else ("", f"goes to {target}, which is no regular file: {KEEP}")


def _reader(census: Census, seen: Seen, pipe: str) -> str:
    """` of pid N (name)`: the ancestor that holds the other end of a pipe, usually a launcher that tees; else ""."""
    for above in census.ancestors(seen)[:4]:
        folder = f"{census.proc}/{above.pid}/fd"
        try:
            names = os.listdir(folder)[: reading.MOST_FILES]
        except OSError:
            continue
        if any(reading.link(f"{folder}/{name}") == pipe for name in names):
            return f" of pid {above.pid} ({above.name})"
    return ""
