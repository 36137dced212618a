"""Where the flight recorder of this node keeps its files: this user's, or the one that runs as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.rundir import RunError
from torchprobes.telemetry.recording.file import RecordingError
from torchprobes.telemetry.recording.timeline import files_of, segment_ns

SERVICE: Final = Path("/var/lib/torchdoctor/flight")
"""The service's: its unit sets this state directory."""

HOW: Final = "`torchdoctor record --ring 24h --max 200MB` keeps one, `torchdoctor record --unit` makes it a service"


def own_folder(settings: Settings) -> Path:
    """Where this user's recorder writes.

    Raises:
        RunError: if no place can be written.
    """
    return Path(rundir.choose_place(settings.out).path).parent / "flight"


def find_folder(settings: Settings, at_ns: int | None = None) -> Path:
    """The flight recorder that covers a time (None: any time), the service's first.

    Raises:
        RecordingError: if there is none, or none that may be read.
    """
    try:
        folders = [SERVICE, own_folder(settings)]
    except RunError:
        folders = [SERVICE]
    found = [folder for folder in folders if _is_recording(folder)]
    if not found:
        raise RecordingError(f"there is no flight recorder here: looked in {_words(folders)}; {HOW}")
    covering = (folder for folder in found if at_ns is not None and _covers(folder, at_ns))
    return next(covering, found[0])


def _is_recording(folder: Path) -> bool:
    try:
        return bool(files_of(folder))
    except RecordingError:
        return False


def _covers(folder: Path, at_ns: int) -> bool:
    first = segment_ns(files_of(folder)[0].name)
    return first is not None and first <= at_ns


def _words(folders: list[Path]) -> str:
    return " and ".join(map(str, folders))
