"""The run directory: where one check, job or capture keeps everything that it said.

The layout is the interface between processes (one writer a file; readers never lock):

    runs/<UTC>-<host>-<6 hex>/  run.json  results.jsonl  report.json  telemetry.jsonl
      probes/<name>/  request.json stdout.log stderr.log guardian.jsonl events/ artifacts/ compile/
      starters/<kind>/  stderr.log guardian.err: what importing torch once for all warm probes said
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from . import child, schemas
from .model import SCHEMA, Frozen, Target

QUOTA_BYTES = 2 << 30
"""All runs together; the oldest finished ones go first, and a person is told before it is full."""

RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[\w.-]{1,64}-[0-9a-f]{6}")

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


def open_run(place: Path | None, name: str) -> RunDir:
    """The run that `name` names: a path, or the name (or an unambiguous beginning of it) below `place`.

    Raises:
        RunError: if there is none, or more than one.
    """
    direct = Path(name)
    if (direct / "run.json").is_file():
        return RunDir(direct)
    found = [] if place is None or "/" in name else [r for r in list_runs(place) if r.name.startswith(name)]
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs are"
        raise RunError(f"{what} named {name!r}: `torchdoctor runs` lists them")
    return found[0]


def list_runs(place: Path) -> list[RunDir]:
    """All runs below `place`, newest first; what is not a run directory is passed over."""
    try:
        names = [e.name for e in os.scandir(place) if RUN_NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [RunDir(place / name) for name in sorted(names, reverse=True)]


def size_bytes(path: Path) -> int:
    """Bytes of all files below `path`, links not followed."""
    return sum(_file_sizes(path))


def _file_sizes(path: Path) -> Iterator[int]:
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                yield os.lstat(os.path.join(folder, file)).st_size
            except OSError:
                continue


def delete(run: RunDir) -> None:
    """Remove a run directory.

    Raises:
        RunError: if its owner still lives, or it cannot be removed.
    """
    if _owned(run):
        raise RunError(f"run {run.name} is still running: stop it first")
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise RunError(f"cannot delete {run.path}: {error.strerror}") from None


def _owned(run: RunDir) -> bool:
    try:
        return run.alive()
    except RunError:  # a broken run.json names no owner
        return False


def prune(place: Path, quota_bytes: int = QUOTA_BYTES, keep: int = 1) -> list[str]:
    """Delete the oldest runs that nobody owns until all fit into `quota_bytes`; the newest `keep` stay.

    Returns:
        The names of the runs that were deleted.
    """
    runs = list_runs(place)
    sizes = {run.name: size_bytes(run.path) for run in runs}
    total, gone = sum(sizes.values()), []
    for run in reversed(runs[keep:]):
        if total <= quota_bytes:
            break
        try:
            delete(run)
        except RunError:
            continue
        total -= sizes[run.name]
        gone.append(run.name)
    return gone


# --- where runs are kept -------------------------------------------------------------------------------------


class Place(Frozen, frozen=True, kw_only=True):
    """Where runs are kept, which rule chose it, and a line for the person where a better place was refused."""

    path: str
    origin: str
    note: str = ""


def candidate_places(environ: Mapping[str, str], uid: int) -> list[tuple[str, str]]:
    """(origin, path) of the places to try, best first: design, "The run directory"."""
    home = environ.get("HOME", "")
    xdg = environ.get("XDG_STATE_HOME") or (home and os.path.join(home, ".local", "state"))
    rows = [
        ("TORCHDOCTOR_STATE", environ.get("TORCHDOCTOR_STATE", "")),
        ("XDG state", xdg and os.path.join(xdg, "torchdoctor")),
        ("XDG_RUNTIME_DIR", _below(environ.get("XDG_RUNTIME_DIR", ""), "torchdoctor")),
        ("TMPDIR", os.path.join(environ.get("TMPDIR") or "/tmp", f"torchdoctor-{uid}")),  # noqa: S108 - owner checked
    ]
    return [(origin, path) for origin, path in rows if path.startswith("/")]


def _below(folder: str, name: str) -> str:
    return folder and os.path.join(folder, name)


def choose_place(out: str | None, environ: Mapping[str, str] = os.environ, deadline_s: float = 1.0) -> Place:
    """The first place that can be written, tried in a killable child.

    Raises:
        RunError: if `out` was given and cannot be written, or if no place can.
    """
    if out is not None:
        path = os.path.join(os.getcwd(), out) if not os.path.isabs(out) else out
        cause = _why_not(path, deadline_s)
        if cause:
            raise RunError(f"--out {out}: {cause}; name a folder that you can write")
        return Place(path=path, origin="--out")
    refused: list[str] = []
    for origin, folder in candidate_places(environ, os.getuid()):
        path = os.path.join(folder, "runs")
        cause = _why_not(path, deadline_s)
        if not cause:
            return Place(path=path, origin=origin, note="; ".join(refused))
        refused.append(f"{origin} {folder}: {cause}")
    raise RunError("no folder for runs can be written: " + "; ".join(refused) + "; give one with --out")


def _why_not(path: str, deadline_s: float) -> str:
    """Why runs cannot be kept in `path`, "" if they can: the child makes it, checks its owner, writes there."""
    try:
        return str(child.ask("writable", {"path": path}, deadline_s) or "")
    except child.Hung:
        return f"hung: its file system gave no answer in {deadline_s:g} s"
    except child.ChildFailed as error:
        return str(error)
