"""`fleet --answer`: a node's own end of a fleet; it waits its turn, looks at its node, and says what it saw."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

from torchdoctor.settings import Settings
from torchprobes import __version__
from torchprobes.reports import exit_codes
from torchprobes.reports.fleet.wire import LISTED, Answer, Message, Stage, Voice

from ._interrupts import ENDING
from ._job_program import own_program
from .machine import take_snapshot

LOCAL_RANKS: Final = ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_LOCAL_RANK", "MPI_LOCALRANKID")
"""Of several tasks on a node the first one looks; the variables of Slurm, Open MPI and MPICH that number them."""

NODES: Final = ("SLURM_NNODES", "OMPI_MCA_orte_num_nodes")
PLACES: Final = ("SLURM_NODEID",)

LISTERS: Final = 8
"""So many tasks say a list of nodes that is long; the others would say the same."""

ALIVE_S: Final = 5.0
"""So often it says that it lives, and so learns that nobody listens any more."""

ENDING_S: Final = 20.0
"""A check that is told to end writes the report of what it had finished within so long."""

SECONDS_A_NODE: Final = {False: 0.25, True: 5.0}
"""How long a node loads files from a shared file system: torchdoctor alone, and with PyTorch (`import torch` reads
about 1 GB in 2,000 files)."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a node was asked for.

    `jitter_s` None leaves it to the node, which knows how many there are; `check` are the words of the check that is
    wanted, None for a snapshot.
    """

    token: str
    node: str = ""
    at_once: int = 1
    jitter_s: float | None = None
    deadline_s: float = 60.0
    check: tuple[str, ...] | None = None


def run_errand(settings: Settings, errand: Errand, environ: Mapping[str, str] = os.environ) -> int:
    """Do it; always 0, because a launcher may end all tasks when one fails.

    A signal that ends it ends its check too.
    """
    if any(environ.get(name, "0") != "0" for name in LOCAL_RANKS):
        return exit_codes.OK
    voice = Voice(1, errand.token, errand.node or environ.get("SLURMD_NODENAME") or socket.gethostname())
    for number in ENDING:
        signal.signal(number, _leave)
    try:
        Node(voice, settings, errand, environ).go()
    except OSError:  # nobody reads any more: whoever asked is gone
        return exit_codes.OK
    return exit_codes.OK


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(exit_codes.of_signal(number))


class Node:
    """One errand. Its end comes by itself at the deadline, whatever hangs: nothing of ours stays on a node."""

    def __init__(self, voice: Voice, settings: Settings, errand: Errand, environ: Mapping[str, str]) -> None:
        self._voice, self._settings, self._errand, self._environ = voice, settings, errand, environ
        self._listed = False
        self._checking = errand.check is not None

    def go(self) -> None:
        """Wait, look, say it."""
        wait_s = turn_s(self._errand, self._environ)
        self._alive("waits", wait_s)
        self._wait(wait_s)
        last = threading.Timer(self._errand.deadline_s + (2 * ENDING_S if self._checking else 0), os._exit, (0,))
        last.daemon = True
        last.start()
        try:
            self._voice.answer(self._checked() if self._checking else self._seen())
        finally:
            last.cancel()

    def _alive(self, stage: Stage, wait_s: float = 0.0) -> None:
        task = _count(self._environ, "SLURM_PROCID")
        listed = self._environ.get("SLURM_STEP_NODELIST", "") if stage == "waits" and not self._listed else ""
        self._listed = True
        self._voice.message(
            Message(
                stage=stage,
                torchdoctor=__version__,
                host=socket.gethostname(),
                wait_s=wait_s,
                nodelist=listed if len(listed) <= LISTED or task is None or task < LISTERS else "",
                task=task,
            )
        )

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, ALIVE_S))
            self._alive("waits", seconds)

    def _seen(self, why: str = "") -> Answer:
        self._alive("looks")
        document = msgspec.json.encode(take_snapshot(self._settings))
        return Answer(kind="snapshot", why=why, torchdoctor=__version__, document=msgspec.Raw(document))

    # --- with a check ----------------------------------------------------------------------------------------------

    def _checked(self) -> Answer:
        """The report of a check; where it was refused, why, and a snapshot all the same."""
        with tempfile.TemporaryDirectory(prefix="torchdoctor-fleet-") as folder:
            to, said = Path(folder) / "report.json", Path(folder) / "said"
            words = [*own_program(), "check", *(self._errand.check or ()), "--json", str(to)]
            with said.open("wb") as err:
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
            try:
                ending = self._watch(process)
            finally:
                _end(process)
            try:
                report = to.read_bytes()
            except OSError:
                return self._seen(f"no check: {ending}{_last_line(said)}")
        return Answer(kind="report", why=ending, torchdoctor=__version__, document=msgspec.Raw(report))

    def _watch(self, process: subprocess.Popen[Any]) -> str:
        """Until it ends; at the deadline it is told to, and writes what it has. What was out of order, in words."""
        until = time.monotonic() + self._errand.deadline_s
        while (left := until - time.monotonic()) > 0:
            self._alive("checks")
            try:
                process.wait(min(left, ALIVE_S))
                return "" if process.returncode >= 0 else f"the check was ended by signal {-process.returncode} "
            except subprocess.TimeoutExpired:
                continue
        return f"the check was ended at its deadline of {self._errand.deadline_s:g} s "


def _end(process: subprocess.Popen[Any]) -> None:
    """End a check that still runs, in order first: it cancels its probes and writes its report."""
    for number, patience_s in ((signal.SIGINT, ENDING_S), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read(4096).decode(errors="replace").splitlines()
    return next((line.strip()[:300].removeprefix("torchdoctor: ") for line in reversed(lines) if line.strip()), "")


def turn_s(errand: Errand, environ: Mapping[str, str]) -> float:
    """How long this node waits: its place in a window in which about `at_once` nodes load files at a time."""
    count, place = _count(environ, *NODES), _count(environ, *PLACES)
    window = errand.jitter_s
    if window is None:
        many = count is None or count > errand.at_once
        window = (count or 64) / errand.at_once * SECONDS_A_NODE[errand.check is not None] if many else 0.0
    chance = int.from_bytes(os.urandom(4), "big") / 2**32
    if count and place is not None and place < count:
        return window * (place + chance) / count
    return window * chance


def _count(environ: Mapping[str, str], *names: str) -> int | None:
    found = next((environ[name] for name in names if name in environ), "")
    return int(found) if found.isascii() and found.isdigit() and len(found) < 6 else None
