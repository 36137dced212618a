"""Which GPUs were seen in this boot, so that one that is gone, or a driver that gives no answer, still has a name.

Three witnesses: a small file that samplers of this user keep (who was healthy, until when), the driver's folder in
/proc, and the PCI bus. The file lies where other users might write, so nothing in it is believed beyond its shape.
Runs in a thread of its own: the driver's files in /proc take the driver's locks, and may never answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...model import Frozen
from .. import hardware
from ..bus import short_bus_id

MAX_BYTES: Final = 64 << 10
MOST_GPUS: Final = 128
MOST_TEXT: Final = 120

NOTE_S: Final = 10.0
"""How often it is said again who is healthy, while nothing else happens."""
SAVE_S: Final = 60.0
"""How old "it was there at" may get in the file."""


class Known(Frozen, frozen=True, kw_only=True):
    """A GPU that somebody saw in this boot.

    `bus_id` is short; `seen` (seconds, wall) is when it last was healthy, 0 if only the kernel shows it.
    """

    bus_id: str
    uuid: str = ""
    index: int | None = None
    name: str = ""
    minor: int | None = None
    seen: float = 0.0

    def when(self) -> str:
        """When it was there, in words."""
        if not self.seen:
            return "the kernel shows it"
        return f"it was there at {time.strftime('%H:%M', time.localtime(self.seen))} in this boot"


class _File(Frozen, frozen=True, kw_only=True):
    boot: str
    module: bool
    """Whether the kernel's module was loaded as one that can be unloaded, as /sys shows it."""
    gpus: tuple[Known, ...]


class Inventory:
    """What is known of this boot's GPUs. `missing` and `note` return at once, on any thread."""

    def __init__(self, root: Path = Path("/"), folder: Path | None = None) -> None:
        self.root = root
        self.known: tuple[Known, ...] = ()
        self.had_module = False
        """Whether the driver's kernel module was seen in this boot."""
        self._file_read = threading.Event()
        self.settled = threading.Event()
        """Set when every witness was asked."""
        self._folder = folder
        self._healthy: dict[str, Known] = {}
        self._saved_at = float("-inf")
        self._noted_at = float("-inf")
        self._wake = threading.Event()
        self._missing: tuple[object, tuple[Known, ...]] | None = None

    def start(self) -> None:
        """Read, then save what is noted."""
        threading.Thread(target=self._run, name="inventory", daemon=True).start()

    def wants_note(self) -> bool:
        """Whether it is time to say again who is healthy."""
        return time.monotonic() - self._noted_at >= NOTE_S

    def note(self, healthy: Iterable[Known]) -> None:
        """These GPUs are healthy now."""
        self._noted_at = time.monotonic()
        now = {known.bus_id: known for known in healthy if known.bus_id}
        new = {(k.bus_id, k.uuid, k.index, k.name, k.minor) for k in now.values()} != {
            (k.bus_id, k.uuid, k.index, k.name, k.minor) for k in self._healthy.values()
        }
        self._healthy = now
        if now and (new or time.monotonic() - self._saved_at > SAVE_S):
            self._saved_at = time.monotonic()
            self._wake.set()

    def missing(self, shown: Sequence[tuple[str, str]]) -> tuple[Known, ...]:
        """GPUs that this process should see beside those (uuid, bus id) that are shown; none where that is not sure."""
        key = (self.known, tuple(shown), int(time.monotonic() // hardware.AGAIN_S))
        if self._missing is None or self._missing[0] != key:
            self._missing = (key, self._find_missing(shown))
        return self._missing[1]

    def _find_missing(self, shown: Sequence[tuple[str, str]]) -> tuple[Known, ...]:
        uuids, buses = {uuid for uuid, _ in shown}, {short_bus_id(bus) for _, bus in shown}
        here = within_reach(self.known, self.root)
        gone = tuple(k for k in here if k.bus_id not in buses and (not k.uuid or k.uuid not in uuids))
        return gone if len(shown) + len(gone) <= max(hardware.count(self.root), len(here)) else ()

    def was_unloaded(self) -> bool:
        """Whether the driver's module was seen in this boot and is gone: somebody took it away. May wait a moment."""
        self._file_read.wait(0.2)
        return self.had_module and not module_loaded(self.root)

    def _run(self) -> None:
        self._folder = self._folder or place()
        self.read_file()
        self._file_read.set()
        self.known = merged(self.known, from_bus(self.root))
        self.known = merged(self.known, from_proc(self.root))
        self.settled.set()
        while True:
            self._wake.wait()
            self._wake.clear()
            self.save()

    def read_file(self) -> None:
        """Take in what samplers before left of this boot."""
        found = _read(self._folder / FILE) if self._folder is not None else None
        if found is not None and found.boot == boot_id(self.root):
            self.known, self.had_module = merged((), found.gpus), found.module

    def save(self) -> None:
        """Write who is healthy, beside those that were."""
        self.known = merged(tuple(self._healthy.values()), self.known)
        if self._folder is None:
            return
        self.had_module = module_loaded(self.root) or self.had_module
        kept = tuple(known for known in self.known if known.seen)
        content = _File(boot=boot_id(self.root), module=self.had_module, gpus=kept)
        _write(self._folder / FILE, msgspec.json.encode(content))


FILE: Final = "gpus-of-this-boot.json"


def module_loaded(root: Path = Path("/")) -> bool:
    """Whether the kernel has NVIDIA's module."""
    return (root / "sys/module/nvidia").exists()


def boot_id(root: Path = Path("/")) -> str:
    """What names this boot."""
    return _line(root / "proc/sys/kernel/random/boot_id")


def within_reach(known: Sequence[Known], root: Path = Path("/")) -> tuple[Known, ...]:
    """Those of them that this process may use: in a container those with a device file, in a Slurm job none is sure."""
    if hardware.given(os.environ) is not None or hardware.in_slurm_step(root):
        return ()
    if not hardware.in_container(root):
        return tuple(known)
    nodes = {os.path.basename(node) for node in hardware.device_nodes(root / "dev")}
    return tuple(k for k in known if k.minor is not None and f"nvidia{k.minor}" in nodes)


def merged(first: Sequence[Known], second: Sequence[Known]) -> tuple[Known, ...]:
    """Both, each GPU once by its bus id; what the first does not know of it comes from the second."""
    rows = {known.bus_id: known for known in first}
    for other in second:
        mine = rows.get(other.bus_id)
        rows[other.bus_id] = other if mine is None else _filled(mine, other)
    return tuple(sorted(rows.values(), key=lambda k: (k.index is None, k.index or 0, k.bus_id)))[:MOST_GPUS]


def _filled(mine: Known, other: Known) -> Known:
    return Known(
        bus_id=mine.bus_id,
        uuid=mine.uuid or other.uuid,
        index=other.index if mine.index is None else mine.index,
        name=mine.name or other.name,
        minor=other.minor if mine.minor is None else mine.minor,
        seen=max(mine.seen, other.seen),
    )


# --- the witnesses --------------------------------------------------------------------------------------------


def from_bus(root: Path = Path("/")) -> tuple[Known, ...]:
    """NVIDIA's GPUs on the PCI bus."""
    buses = (short_bus_id(name) for name in hardware.pci_gpus(root / "sys/bus/pci/devices"))
    return tuple(Known(bus_id=bus) for bus in buses if bus)


def from_proc(root: Path = Path("/")) -> tuple[Known, ...]:
    """What the driver's folder in /proc tells of each GPU; reading it may wait for the driver."""
    folder = root / "proc/driver/nvidia/gpus"
    try:
        names = sorted(os.listdir(folder))[:MOST_GPUS]
    except OSError:
        return ()
    found = ((bus, _fields(folder / name / "information")) for name in names if (bus := short_bus_id(name)))
    return tuple(_from_fields(bus, fields) for bus, fields in found)


def _from_fields(bus: str, fields: Mapping[str, str]) -> Known:
    uuid, minor = fields.get("GPU UUID", ""), fields.get("Device Minor", "")
    return Known(
        bus_id=bus,
        uuid="" if "?" in uuid else uuid,
        name=fields.get("Model", ""),
        minor=int(minor) if minor.isdecimal() and len(minor) < 6 else None,
    )


def _fields(path: Path) -> dict[str, str]:
    try:
        with path.open(errors="replace") as file:
            text = file.read(MAX_BYTES)
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): plain(value) for key, _, value in pairs}


def plain(text: str) -> str:
    """One bounded line that holds nothing but printable characters."""
    return "".join(c for c in text.strip() if c.isprintable())[:MOST_TEXT]


# --- the file -------------------------------------------------------------------------------------------------


def place(environ: Mapping[str, str] = os.environ) -> Path | None:
    """A folder of this user's own, mode 0700, made if need be; None if there is none that can be trusted."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    rows = [Path(runtime) / "torchdoctor"] if runtime.startswith("/") else []
    rows.append(Path(f"/tmp/torchdoctor-{os.getuid()}"))  # noqa: S108 - owner and mode are checked
    return next((folder for folder in rows if _is_ours(folder)), None)


def _is_ours(folder: Path) -> bool:
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _read(path: Path) -> _File | None:
    """The file's content if it is ours, of the right shape, and small."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_size > MAX_BYTES:
            return None
        content = msgspec.json.decode(os.read(handle, MAX_BYTES), type=_File)
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    finally:
        os.close(handle)
    gpus = tuple(_checked(known) for known in content.gpus[:MOST_GPUS] if short_bus_id(known.bus_id))
    return msgspec.structs.replace(content, gpus=gpus)


def _checked(known: Known) -> Known:
    index = known.index if known.index is not None and 0 <= known.index < 1024 else None
    seen = known.seen if 0 <= known.seen <= time.time() + 60 else 0.0
    bus, uuid, name = short_bus_id(known.bus_id), plain(known.uuid), plain(known.name)
    return Known(bus_id=bus, uuid=uuid, index=index, name=name, minor=known.minor, seen=seen)


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one step; a full or read-only file system is no fault of a GPU."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(scratch, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(scratch)


def _line(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.readline(MOST_TEXT).strip()
    except OSError:
        return ""
