"""Faults of what torch.compile calls: compilers, headers, run-time libraries and the folders for its code."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
from fault import Change, Fault, State, in_memory, mounted, setting, write

from torchprobes.model import Verdict

_PROBE = "compile.toolchain"
_PASS, _DEGRADED, _FAIL = Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL
_COMPILES = (
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): its faults were not put in"),
)

# --- compilers -------------------------------------------------------------------------------------------------------


def _compiler(text: str) -> Change:
    """CXX names a program of these words."""
    return lambda folder: State(environ={"CXX": str(write(folder / "bin" / "g++", f"#!/bin/sh\n{text}\n", 0o755))})


def _named(_folder: Path) -> State:
    return State(environ={"CXX": str(shutil.which("g++"))})


def _no_assembler(folder: Path) -> State:
    """g++ alone on PATH, as where it was copied in without binutils."""
    (folder / "bin").mkdir()
    for name in ("g++", "gcc"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    return State(environ={"PATH": str(folder / "bin")})


def _no_header(folder: Path) -> State:
    """A Python without its development files."""
    return State(through=mounted(in_memory(sysconfig.get_paths()["include"], "size=1m")))


def _other_library(folder: Path) -> State:
    """LD_LIBRARY_PATH leads to a libgomp.so.1 of another making, as an old conda environment's is."""
    build = folder / "lib"
    source = write(build / "gomp.c", "int an_old_libgomp(void) { return 0; }\n")
    command = [_c_compiler(), "-shared", "-fPIC", "-Wl,-soname,libgomp.so.1", "-o", str(build / "libgomp.so.1")]
    subprocess.run([*command, str(source)], check=True)
    return State(environ={"LD_LIBRARY_PATH": str(build)})


@lru_cache(maxsize=1)
def _c_compiler() -> str:
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        pytest.skip("LOUD: no C compiler, so this fault was not put in")
    return found


TOOLS = (
    Fault("a PATH without compilers", _PROBE, "TD-CMP-001", _FAIL, setting(PATH="/nowhere"), setting(),
          "apt-get install g++", _COMPILES),
    Fault("CXX names a missing file", _PROBE, "TD-CMP-001", _FAIL, setting(CXX="/nowhere/g++"),
          _named, "export CXX=/path/to/g++", _COMPILES),
    Fault("a g++ that fails", _PROBE, "TD-CMP-001", _FAIL, _compiler("echo 'cc1plus: out of memory' >&2; exit 1"),
          _named, "export CXX=/path/to/g++", _COMPILES),
    Fault("a g++ that writes nothing", _PROBE, "TD-CMP-001", _FAIL, _compiler("exit 0"), setting(),
          "apt-get install g++", _COMPILES),
    Fault("a g++ without an assembler", _PROBE, "TD-CMP-001", _FAIL, _no_assembler, setting(), "apt-get install g++",
          _COMPILES),
    Fault("no Python.h", _PROBE, "TD-CMP-003", _FAIL, _no_header, setting(), "apt-get install python3-dev", _COMPILES),
    Fault("a libgomp of another making", _PROBE, "TD-CMP-104", _FAIL, _other_library, setting(),
          "unset LD_LIBRARY_PATH", _COMPILES),
    Fault("a count of workers that is no number", _PROBE, "TD-CMP-108", _FAIL,
          setting(TORCHINDUCTOR_COMPILE_THREADS="many"), setting(), "unset TORCHINDUCTOR_COMPILE_THREADS", _COMPILES),
)  # fmt: skip

# --- folders ---------------------------------------------------------------------------------------------------------


def _cache_on(options: str) -> Change:
    """The cache directory lies on a file system of these options."""

    def change(folder: Path) -> State:
        mount = in_memory(folder / "place", options)
        return State(user={"TORCHINDUCTOR_CACHE_DIR": str(folder / "place" / "inductor")}, through=mounted(mount))

    return change


def _cache_at(prepare: Callable[[Path], Path]) -> Change:
    return lambda folder: State(user={"TORCHINDUCTOR_CACHE_DIR": str(prepare(folder))})


def _strangers(folder: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("LOUD: only root gives a folder to another user")
    (folder / "theirs").mkdir(mode=0o777)
    os.chown(folder / "theirs", 12345, 12345)
    return folder / "theirs"


def _taken(folder: Path) -> Path:
    return write(folder / "taken", "") / "cache"


def _elsewhere(folder: Path) -> State:
    """A writable folder on an exec mount with room: one for all faults that are cured by it."""
    return State(user={"TORCHINDUCTOR_CACHE_DIR": str(folder.parent / "room" / "inductor")})


def _temporary(options: str, full: bool = False) -> Change:
    """TMPDIR is a file system of its own, read-only, or so full that nothing can be written."""

    def change(folder: Path) -> State:
        place = folder / "tmp"
        fill = [f"dd if=/dev/zero of={shlex.quote(str(place / 'core'))} bs=4k 2>/dev/null || true"] if full else []
        return State(environ={"TMPDIR": str(place)}, through=mounted(in_memory(place, options), *fill))

    return change


def _read_only_root(folder: Path) -> State:
    """No folder for temporary files at all, as in `docker run --read-only`: the probe's own stays writable."""
    own = shlex.quote(str(folder))
    places = [place for place in ("/tmp", "/var/tmp", "/usr/tmp") if Path(place).is_dir()]
    seal = [f"mount --rbind {place} {place} && mount -o remount,bind,ro {place}" for place in places]
    through = mounted(f"mount --bind {own} {own}", *seal, f"cd {own} && cd /proc")
    return State(environ={"TMPDIR": "/proc"}, through=through)


def _given_root(folder: Path) -> State:
    state = _read_only_root(folder)
    (folder / "mine").mkdir()
    return State(environ={"TMPDIR": str(folder / "mine")}, through=state.through)


FOLDERS = (
    Fault("noexec cache directory", _PROBE, "TD-CMP-005", _FAIL, _cache_on("size=64g,mode=1777,noexec"), _elsewhere,
          "export TORCHINDUCTOR_CACHE_DIR=<folder on an exec mount>", _COMPILES, says="failed to map segment"),
    Fault("read-only cache directory", _PROBE, "TD-CMP-010", _FAIL, _cache_on("size=64g,mode=1777,ro"), _elsewhere,
          "export TORCHINDUCTOR_CACHE_DIR=<writable folder>", _COMPILES),
    Fault("a file in the place of the cache", _PROBE, "TD-CMP-010", _FAIL, _cache_at(_taken), _elsewhere,
          "export TORCHINDUCTOR_CACHE_DIR=<writable folder>", _COMPILES),
    Fault("a small disk under the cache", _PROBE, "TD-CMP-107", _DEGRADED, _cache_on("size=16m,mode=1777"), _elsewhere,
          "export TORCHINDUCTOR_CACHE_DIR=<folder with room>", _COMPILES),
    Fault("somebody else's cache directory", _PROBE, "TD-CMP-106", _PASS, _cache_at(_strangers), _elsewhere,
          "export TORCHINDUCTOR_CACHE_DIR=<folder of your own>", _COMPILES),
    Fault("a full TMPDIR", _PROBE, "TD-CMP-102", _FAIL, _temporary("size=256k,mode=1777", full=True),
          _temporary("size=64g,nr_inodes=1m,mode=1777"), "export TMPDIR=<writable folder>", _COMPILES),
    Fault("a read-only root without TMPDIR", _PROBE, "TD-CMP-102", _FAIL, _read_only_root, _given_root,
          "export TMPDIR=<writable folder>", _COMPILES),
)  # fmt: skip

FAULTS = TOOLS + FOLDERS
