"""Questions about folders and small files, answered in the inspector child. Standard library only.

It is started for every question, so it imports little: no pathlib, no typing, nothing of cryptography.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Callable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTINGS_MAX_BYTES = 256 << 10

WORDS = {
    errno.ENOENT: "it cannot be made there",
    errno.EROFS: "its file system is read-only",
    errno.ENOSPC: "no space is left on its file system",
    errno.EDQUOT: "your disk quota is used up",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "a part of this path is not a folder",
    errno.EEXIST: "it is not a folder",
    errno.ELOOP: "its symbolic links go in a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ESTALE: "its network file system was unmounted on the server (stale handle)",
    errno.EIO: "its disk reports an input/output error",
    errno.ENOTCONN: "its file system's server is gone (transport endpoint is not connected)",
}


def words(error: OSError) -> str:
    """What an error of the file system means, for a person."""
    return WORDS.get(error.errno or 0, error.strerror or str(error))


def user_name(uid: int) -> str:
    """`bob (uid 1000)`, or `uid 1000` where it has no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def trusted_uids() -> set[int]:
    """Whose folders we may write into: our own, root's, and under sudo those of the person who typed it."""
    uids = {0, os.geteuid()}
    sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and sudo.isdecimal():
        uids.add(int(sudo))
    return uids


def upwards(path: str) -> list[str]:
    """An absolute path and every folder above it, the nearest first."""
    parts = [os.path.abspath(path)]
    while parts[-1] != os.path.dirname(parts[-1]):
        parts.append(os.path.dirname(parts[-1]))
    return parts


def distrust(path: str) -> str:
    """Why another user could put something else in place of what we write below `path`, "" if none could.

    `path` exists. Its links count by who made them, its folders by who may write into them.
    """
    for part in upwards(path):
        info = os.lstat(part)
        if stat.S_ISLNK(info.st_mode) and info.st_uid not in trusted_uids():
            return f"{part} is a link that {user_name(info.st_uid)} made"
    for folder in upwards(os.path.realpath(path)):
        info = os.stat(folder)
        exposed = os.geteuid() == 0 or os.stat(os.path.dirname(folder)).st_mode & stat.S_IWOTH
        if info.st_uid not in trusted_uids() and exposed:
            return f"{folder} belongs to {user_name(info.st_uid)}, who could replace what is written there"
        shared = bool(info.st_mode & stat.S_IWOTH) and not info.st_mode & stat.S_ISVTX
        if shared and info.st_uid != os.geteuid():
            return f"everybody can write to {folder} and it has no sticky bit"
    return ""


def writable(path: str) -> str:
    """Check whose the folder `path` is, make it (new parts mode 0700) and write there: "" or why not."""
    try:
        parts = upwards(path)
        there = next(part for part in parts if os.path.lexists(part))
        if not os.path.isdir(there):
            return WORDS[errno.EEXIST if there == parts[0] else errno.ENOTDIR]
        cause = distrust(there)
        if not cause:
            _make(parts[: parts.index(there)])
            _try_writing(path)
        return cause
    except OSError as error:
        return words(error)


def _make(missing: list[str]) -> None:
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode=0o700)
        except FileExistsError:  # another console made it just now
            if not os.path.isdir(folder):
                raise


def _try_writing(path: str) -> None:
    name = os.path.join(path, f".torchdoctor-{os.urandom(8).hex()}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, b"torchdoctor\n" * 340)  # a block, so that a full file system says so
    finally:
        os.close(handle)
        os.unlink(name)


def read_regular(path: str, limit: int) -> bytes:
    """At most `limit` bytes of a regular file; a FIFO or a device is refused and never blocks.

    Raises:
        OSError: if it cannot be opened, or is no regular file (the text says what it is).
    """
    _refuse_irregular(os.stat(path).st_mode)  # before it is opened: opening a device can do something
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _refuse_irregular(os.fstat(handle).st_mode)
        return b"".join(_chunks(handle, limit))
    finally:
        os.close(handle)


def _refuse_irregular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)}, not a regular file")


def _chunks(handle: int, limit: int) -> Iterator[bytes]:
    while limit > 0 and (chunk := os.read(handle, limit)):
        limit -= len(chunk)
        yield chunk


KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a symbolic link"),
)


def kind_of(mode: int) -> str:
    """What a file of this mode is, in words."""
    return next((name for test, name in KINDS if test(mode)), "of an unknown kind")


def read_settings(path: str) -> str | None:
    """The text of a settings file, None if there is none.

    Raises:
        OSError: if it is there and cannot be read; ValueError: if it is too big or not UTF-8.
    """
    try:
        data = read_regular(path, SETTINGS_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(data) > SETTINGS_MAX_BYTES:
        raise ValueError(f"it is larger than {SETTINGS_MAX_BYTES >> 10} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None


def disk(paths: list[str]) -> dict[str, Any]:
    """Size and free space of the file systems under `paths`, each on its own."""
    return {path: lambda path=path: _statvfs(path) for path in paths}


def _statvfs(path: str) -> dict[str, int]:
    info = os.statvfs(path)
    return {"total_bytes": info.f_blocks * info.f_frsize, "free_bytes": info.f_bavail * info.f_frsize}


def readable(path: str) -> str:
    """Why a regular file cannot be read, "" if it can."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    try:
        return "" if stat.S_ISREG(os.fstat(handle).st_mode) else "it is not a file"
    finally:
        os.close(handle)


ANSWERS: dict[str, Callable[..., Any]] = {
    "writable": writable,
    "readable": readable,
    "read-settings": read_settings,
    "disk": disk,
}
