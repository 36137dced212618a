"""The run directory: where one check, job or capture keeps everything that it said.

The layout is the interface between processes (one writer a file, `run.json` excepted; readers never lock):

    runs/<UTC>-<host>-<6 hex>/  run.json  results.jsonl  report.json  telemetry.jsonl
      probes/<name>/  request.json stdout.log stderr.log guardian.jsonl events/ artifacts/ compile/
      starters/<kind>/  stderr.log guardian.err: what importing torch once for all warm probes said
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from .. import schemas
from ..model import SCHEMA, Frozen, Target

RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[\w.-]{1,64}-[0-9a-f]{6}")

LOCK_WAIT_S = 2.0
"""A lock on run.json is held for the time of one write: one that is not given then belongs to a stopped process."""

Kind = Literal["check", "job", "capture"]

_T = TypeVar("_T")


class RunError(Exception):
    """A run directory cannot be made, opened or read; the text is one line for the person."""


class Owner(Frozen, frozen=True, kw_only=True):
    """The process that writes the run: a pid means nothing without its start time and the boot."""

    pid: int
    start_ticks: int
    boot_id: str


class RunInfo(Frozen, frozen=True, kw_only=True):
    """`run.json`."""

    schema: int = SCHEMA
    kind: Kind = "check"
    name: str
    host: str
    started: str
    owner: Owner
    target: Target | None = None
    tier: str = ""
    device: str = ""
    probes: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    title: str = ""
    baseline: str = ""
    entry: str = ""
    entry_folder: str = ""
    graph: str = ""
    inject: bool = False
    finished: str | None = None
    seconds: float | None = None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step, private to the user; readers see the old or the new file whole."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def boot_id() -> str:
    """The kernel's random id of this boot, "" where /proc has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot (proc(5) field 22); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def this_owner() -> Owner:
    """This process as the owner of a run."""
    return Owner(pid=os.getpid(), start_ticks=start_ticks(os.getpid()) or 0, boot_id=boot_id())


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run directory, opened; its paths, and `run.json` as `info`."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.path.name

    @property
    def info(self) -> RunInfo:
        """`run.json` as it stands now.

        Raises:
            RunError: if it is missing, broken, or of a later schema.
        """
        try:
            raw = (self.path / "run.json").read_bytes()
        except OSError as error:
            raise RunError(f"{self.path} is not a run directory: run.json: {error.strerror}") from None
        return decode(raw, RunInfo, f"{self.path}/run.json")

    def write_info(self, info: RunInfo) -> None:
        """Replace `run.json`."""
        write_atomically(self.path / "run.json", msgspec.json.encode(info))

    def change(self, **fields: Any) -> RunInfo:
        """Replace some fields of `run.json`, and keep what others write there at the same time.

        Raises:
            RunError: if it cannot be read.
            OSError: if it cannot be written.
        """
        with _alone(self.path):
            info = msgspec.structs.replace(self.info, **fields)
            self.write_info(info)
        return info

    @property
    def results(self) -> Path:
        """`results.jsonl`: a line a finished probe, appended by the runner alone."""
        return self.path / "results.jsonl"

    @property
    def report(self) -> Path:
        """`report.json`."""
        return self.path / "report.json"

    @property
    def locks(self) -> Path:
        """Locks around what is timed, shared by all runs of this user on this node."""
        return self.path.parent / ".locks"

    def probe(self, name: str) -> Path:
        """The folder of one probe."""
        return self.path / "probes" / name

    def alive(self) -> bool:
        """Whether the process that owns this run still lives, on this boot."""
        owner = self.info.owner
        return owner.boot_id == boot_id() and start_ticks(owner.pid) == owner.start_ticks


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes the run meanwhile. It is held for a moment: who cannot have it, or gets no lock, goes on."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_WAIT_S
        while not _locked(handle) and time.monotonic() < deadline:
            time.sleep(0.005)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether there is nothing to wait for: the lock is ours, or the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def decode(raw: bytes, kind: type[_T], where: str) -> _T:
    """Read a JSON document of ours, checking its schema first; one of an earlier schema is migrated.

    Raises:
        RunError: one line: it is of a later schema, or what in it is broken.
    """
    newest = schemas.newest(kind)
    try:
        schema = msgspec.json.decode(raw, type=_Head).schema
        if schema > newest:
            raise RunError(f"{where} has schema {schema}, this torchdoctor reads up to {newest}: upgrade torchdoctor")
        if schema < schemas.FIRST:
            raise RunError(f"{where} has schema {schema}, which no torchdoctor wrote")
        if schema < newest:
            document = msgspec.json.decode(raw, type=dict[str, Any])
            return msgspec.convert(schemas.migrated(document, kind, schema), kind)
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{where} cannot be read: {error}") from None


class _Head(msgspec.Struct):
    schema: int


def new_name(now: float | None = None) -> str:
    """A name for a run: UTC second, host, six random hex digits."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    host = re.sub(r"[^\w.-]", "-", socket.gethostname())[:64] or "host"
    return f"{stamp}-{host}-{os.urandom(3).hex()}"


def create(place: Path, kind: Kind, *, name: str | None = None, **fields: Any) -> RunDir:
    """Make a new run directory (mode 0700) below `place` and write its `run.json`.

    Raises:
        RunError: if it cannot be written.
    """
    path = place / (name or new_name())
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(mode=0o700)
        (path / "probes").mkdir()
        (place / ".locks").mkdir(exist_ok=True, mode=0o700)
        run = RunDir(path)
        host = socket.gethostname()
        run.write_info(RunInfo(kind=kind, name=path.name, host=host, started=started, owner=this_owner(), **fields))
    except OSError as error:
        raise RunError(f"cannot write a run below {place}: {error.strerror}; choose another place with --out") from None
    return run


def list_runs(place: Path) -> list[RunDir]:
    """All runs below `place`, newest first; what is not a run directory is passed over."""
    try:
        names = [e.name for e in os.scandir(place) if RUN_NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [RunDir(place / name) for name in sorted(names, reverse=True)]
