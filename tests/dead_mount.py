"""A file system that gives no answer: a FUSE mount whose server says hello and then nothing, ever.

Two kinds: on a dead one, as on a dead NFS server, whoever waits can be killed; on a frozen one, as with a disk or a
driver that is gone, nobody can (the kernel waits for the answer to a request that was read, whatever happens).
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_FORCE_DETACH = 1 | 2
_NOSUID_NODEV = 2 | 4
_INIT, _ACCESS = 26, 34
"""Opcodes (linux/fuse.h): the first request, and whether somebody may enter."""

_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")


def why_not() -> str:
    """Why no such mount can be made here, "" if it can."""
    if os.geteuid() != 0:
        return "LOUD: needs root to mount; a dead file system is not tested"
    if not os.path.exists("/dev/fuse"):
        return "LOUD: there is no /dev/fuse; a dead file system is not tested"
    return ""


def _init_reply(unique: int) -> bytes:
    """FUSE 7.31, no feature, 64 bytes of fuse_init_out."""
    body = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0)
    return _OUT.pack(_OUT.size + len(body), 0, unique) + body


def _not_known(unique: int) -> bytes:
    """ENOSYS: the kernel does not ask it again, so that a process can have this as its working directory."""
    return _OUT.pack(_OUT.size, -errno.ENOSYS, unique)


_HELLO = {_INIT: _init_reply, _ACCESS: _not_known}


class _Server(threading.Thread):
    """Answers the first two requests; reads the later ones, and answers none, if who asks shall not be killable."""

    def __init__(self, handle: int, frozen: bool) -> None:
        super().__init__(name="dead file system", daemon=True)
        self.said_hello = threading.Event()
        self._handle, self._frozen = handle, frozen
        self._ending, self._end = os.pipe()

    def run(self) -> None:
        while self._frozen or not self.said_hello.is_set():
            ready, _, _ = select.select([self._handle, self._ending], [], [])
            if self._ending in ready:
                return
            try:
                request = os.read(self._handle, 1 << 17)
            except OSError:  # the mount is gone
                return
            _, opcode, unique, *_rest = _IN.unpack_from(request)
            if not self.said_hello.is_set() and opcode in _HELLO:
                os.write(self._handle, _HELLO[opcode](unique))
            if opcode == _ACCESS:
                self.said_hello.set()

    def end(self) -> None:
        """Close the handle, which aborts the connection: whoever still waits has an error."""
        os.close(self._end)
        self.join(5)
        os.close(self._handle)
        os.close(self._ending)


@contextmanager
def mounted(folder: Path, frozen: bool = False) -> Iterator[Path]:
    """A dead file system on `folder`. It is gone at the end whatever happened.

    Raises:
        OSError: if the kernel refuses it.
    """
    handle = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={handle},rootmode=40755,user_id=0,group_id=0,allow_other".encode()
    if _LIBC.mount(b"dead", os.fsencode(folder), b"fuse", _NOSUID_NODEV, options):
        code = ctypes.get_errno()
        os.close(handle)
        raise OSError(code, f"mount: {os.strerror(code)}")
    server = _Server(handle, frozen)
    server.start()
    try:
        os.access(folder, os.X_OK)
        assert server.said_hello.wait(10), "the kernel said nothing to the new mount"
        yield folder
    finally:
        server.end()
        if _LIBC.umount2(os.fsencode(folder), _MNT_FORCE_DETACH):
            code = ctypes.get_errno()
            raise OSError(code, f"umount2 {folder}: {os.strerror(code)}")


def _fixture(folder: Path, frozen: bool) -> Iterator[Path]:
    if cause := why_not():
        pytest.skip(cause)
    folder.mkdir()
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(folder, frozen))
        except OSError as error:
            pytest.skip(f"LOUD: {error}; a dead file system is not tested")
        yield folder


@pytest.fixture
def dead_mount(tmp_path: Path) -> Iterator[Path]:
    """A folder on which every question waits until whoever asks is killed."""
    yield from _fixture(tmp_path / "dead", frozen=False)


@pytest.fixture
def frozen_mount(tmp_path: Path) -> Iterator[Path]:
    """A folder on which every question waits, and not even SIGKILL ends that."""
    yield from _fixture(tmp_path / "frozen", frozen=True)
