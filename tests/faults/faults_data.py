"""Faults of what feeds and serves a model: loaders, pictures, tables, a web server."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
from fault import Change, Fault, State, customised, in_memory, mounted
from test_data_files import FAKE_FEATURES, FAKE_IMAGE, FAKE_PANDAS, SWAPPED, hidden, package
from test_serving import FAKE_FASTAPI, FAKE_UVICORN, WRONG

from torchprobes.model import Verdict

TRIALS = (pytest.mark.trials,)
_DEGRADED, _FAIL = Verdict.DEGRADED, Verdict.FAIL

# --- pictures and tables: packages of ours, with the real ones out of sight ------------------------------------------


def _place(folder: Path) -> Path:
    shutil.rmtree(folder / "place", ignore_errors=True)
    return folder / "place"


def _pictures(decoder: str = "", cv2: str | None = None) -> Change:
    """A Pillow of ours with a change to it; a cv2 whose module is this text, or none."""

    def change(folder: Path) -> State:
        place = hidden(_place(folder), *(["cv2"] if cv2 is None else []))
        package(place, "PIL", Image=FAKE_IMAGE + decoder, features=FAKE_FEATURES)
        if cv2 is not None:
            package(place, "cv2", __init__=cv2)
        return State(environ={"PYTHONPATH": str(place)})

    return change


def _tables(change_of: str = "") -> Change:
    """A pandas of ours with a change to it, and a small file."""

    def change(folder: Path) -> State:
        place = package(hidden(_place(folder), "pyarrow"), "pandas", __init__=FAKE_PANDAS + change_of + "\n")
        return State(environ={"PYTHONPATH": str(place)}, params={"bytes": 1})

    return change


_LIBGL = "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
_OLD_NUMPY = "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')"
_KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
_WHOLE = "CHANGED = lambda value: value"

FILES = (
    Fault("a cv2 without libGL", "data.image", "TD-DAT-001", _FAIL, _pictures(cv2=_LIBGL), _pictures(),
          "uninstall -y opencv-python"),
    Fault("a decoder that swaps colours", "data.image", "TD-DAT-004", _FAIL, _pictures(SWAPPED), _pictures(),
          "--force-reinstall pillow", TRIALS),
    Fault("pandas that reads other values", "data.csv", "TD-DAT-010", _FAIL,
          _tables("CHANGED = lambda value: value + 1"), _tables(), "--force-reinstall pandas"),
    Fault("pandas for another numpy", "data.csv", "TD-DAT-011", _FAIL, _tables(_OLD_NUMPY), _tables(),
          "--force-reinstall pandas"),
    Fault("a reader that runs out of memory", "data.csv", "TD-DAT-012", _FAIL, _tables(_KILLED), _tables(),
          "read_csv(..., usecols=..., dtype=..., chunksize=1_000_000)"),
)  # fmt: skip

# --- a server --------------------------------------------------------------------------------------------------------

FAILING = """
def ANSWER(body):
    if 'values' in body:
        raise RuntimeError('CUDA error: initialization error')
    return body
"""
REFUSING = "def START(): raise OSError('no sockets today')\n"

BLOCKING = """
import time
real = Server.run
def run(self, sockets):
    routes, lock = self.app.routes, threading.Lock()
    def blocking(function):
        def handler(**given):
            with lock:
                time.sleep(0.1)
                answer = function(**given)
                return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        return handler
    self.app.routes = {path: blocking(function) for path, function in routes.items()}
    real(self, sockets)
Server.run = run
"""
"""One thing at a time, /health too: as inference that keeps Python's lock, or the only thread of a pool."""


def _served(more: str = "") -> Change:
    def change(folder: Path) -> State:
        place = package(_place(folder), "fastapi", __init__=FAKE_FASTAPI)
        package(place, "uvicorn", __init__=FAKE_UVICORN + more)
        return State(environ={"PYTHONPATH": str(place)}, params={"load_s": 0.6})

    return change


SERVER = (
    Fault("a server without sockets", "serving.fastapi", "TD-SRV-001", _FAIL, _served(REFUSING), _served(),
          "--upgrade fastapi uvicorn", TRIALS),
    Fault("requests that fail after a fork", "serving.fastapi", "TD-SRV-003", _FAIL, _served(FAILING), _served(),
          "uvicorn --workers 1", TRIALS),
    Fault("a server with other answers", "serving.fastapi", "TD-SRV-004", _FAIL, _served(WRONG), _served(),
          "without middleware", TRIALS),
    Fault("a blocking handler", "serving.fastapi", "TD-SRV-005", _DEGRADED, _served(BLOCKING), _served(),
          "as many concurrent requests as cores", TRIALS),
)  # fmt: skip

# --- loaders ---------------------------------------------------------------------------------------------------------


def _limited(soft: int, through: tuple[str, ...] = ()) -> tuple[str, ...]:
    return (*through, "prlimit", f"--nofile={min(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1])}:")


def _loader(shm: str = "size=2g", files: int = 4096, **environ: str) -> Change:
    """A loader with this much shared memory, and this many open files."""

    def change(folder: Path) -> State:
        place = in_memory("/dev/shm", shm)
        return State(environ=environ, through=_limited(files, mounted(place)))

    return change


_MUTE = """
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter as Iterator
signal_handling._set_SIGCHLD_handler = lambda: None
real = Iterator._next_data
def next_data(self):
    try:
        return real(self)
    except (RuntimeError, OSError, EOFError):
        if all(worker.is_alive() for worker in self._workers):
            raise
        raise StopIteration from None
Iterator._next_data = next_data
"""
"""A loader that takes the death of a worker for the end of the epoch, as an iterator of one's own may."""


def _mute(folder: Path) -> State:
    state = _loader()(folder)
    return State(environ=customised(folder, _MUTE), through=state.through)


def _deep(folder: Path) -> State:
    """TMPDIR is longer than the 108 bytes of a socket's path, as some schedulers make it."""
    deep = folder / "a-scratch-folder-of-a-job" / ("0123456789" * 8)
    deep.mkdir(parents=True)
    state = _loader()(folder)
    return State(environ={"TMPDIR": str(deep)}, through=state.through)


LOADERS = (
    Fault("/dev/shm of 64 MB", "data.loader", "TD-DTL-006", _DEGRADED, _loader("size=64m"), _loader("size=16g"),
          "--shm-size=16g", TRIALS),
    Fault("256 open files", "data.loader", "TD-DTL-010", _DEGRADED, _loader(files=256), _loader(files=65535),
          "ulimit -n 65535", TRIALS),
    Fault("/dev/shm of 1 MB", "data.loader", "TD-DTL-006", _FAIL, _loader("size=1m"), _loader("size=16g"),
          "--shm-size=16g", TRIALS),
    Fault("24 open files", "data.loader", "TD-DTL-010", _FAIL, _loader(files=24), _loader(files=65535),
          "ulimit -n 65535", TRIALS),
    Fault("a killed worker that nobody notices", "data.loader", "TD-DTL-003", _FAIL, _mute, _loader(),
          "pip install --upgrade torch", TRIALS),
    Fault("a TMPDIR too long for sockets", "data.loader", "TD-DTL-011", _FAIL, _deep, _loader(), "export TMPDIR=/tmp",
          TRIALS),
)  # fmt: skip

FAULTS = FILES + SERVER + LOADERS
