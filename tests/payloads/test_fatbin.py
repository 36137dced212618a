"""GPU architectures read from the bytes of libraries, whole ones and hostile ones."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import ModuleType

import pytest
from elf_file import fat_binary, library
from payload_modules import load


@pytest.fixture
def fatbin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "fatbin", "elf")


def soon() -> float:
    return time.monotonic() + 10


def test_architectures_and_links_are_read(fatbin: ModuleType, tmp_path: Path) -> None:
    binaries = [["sm_80", "sm_90a", "compute_90a"], ["sm_80", "sm_90a", "compute_90a"], ["sm_100f", "sm_120"]]
    path = library(tmp_path / "op.so", ["libtorch.so", "libcudart.so.12"], nv_fatbin=binaries)
    found = fatbin.read(str(path), soon())
    assert found.architectures == ["sm_80", "sm_90a", "sm_100f", "sm_120", "compute_90a"]
    assert sum(found.images.values()) == 3
    assert found.needed == ["libtorch.so", "libcudart.so.12"]
    assert found.cut is False


def test_code_that_is_to_be_linked_counts_where_nothing_was(fatbin: ModuleType, tmp_path: Path) -> None:
    both = library(tmp_path / "a.so", nv_relfatbin=[["sm_70", "compute_70"]], nv_fatbin=[["sm_90"]])
    alone = library(tmp_path / "b.so", nv_relfatbin=[["sm_70"]])
    assert fatbin.read(str(both), soon()).architectures == ["sm_90"]
    assert fatbin.read(str(alone), soon()).architectures == ["sm_70"]


def test_a_library_without_gpu_code_has_none(fatbin: ModuleType, tmp_path: Path) -> None:
    found = fatbin.read(str(library(tmp_path / "c.so", ["libc.so.6"])), soon())
    assert (found.architectures, found.needed, found.cut) == ([], ["libc.so.6"], False)


def test_work_is_bounded_and_says_so(fatbin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(library(tmp_path / "d.so", nv_fatbin=[["sm_80"]] * 50))
    assert fatbin.read(path, time.monotonic() - 1).cut is True
    monkeypatch.setattr(fatbin, "MOST_ENTRIES", 10)
    found = fatbin.read(path, soon())
    assert found.cut is True
    assert 0 < sum(found.images.values()) <= 10


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01\x01" + b"\0" * 80, b"\x7fELF\x02\x02" + b"\0" * 80]
)
def test_what_is_no_such_elf_file_is_refused_in_words(fatbin: ModuleType, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "e.so"
    path.write_bytes(data)
    with pytest.raises(fatbin.elf.NotElf, match=r"it (is no|ends)"):
        fatbin.read(str(path), soon())


def test_broken_libraries_end_in_words_or_in_nothing(fatbin: ModuleType, tmp_path: Path) -> None:
    """Cut anywhere, and with any bytes turned: never another error, never endless."""
    whole = library(tmp_path / "f.so", ["libtorch.so"], nv_fatbin=[["sm_80", "sm_90a"]] * 3).read_bytes()
    draw = random.Random(7)
    for turn in range(400):
        data = bytearray(whole if turn % 2 else whole[: draw.randrange(len(whole))])
        for _ in range(draw.randrange(1, 12)):
            if data:
                data[draw.randrange(len(data))] = draw.choice([0, 1, 0x7F, 0xFF, draw.randrange(256)])
        path = tmp_path / "g.so"
        path.write_bytes(data)
        try:
            fatbin.read(str(path), soon())
        except fatbin.elf.NotElf:
            continue


def test_an_entry_that_promises_more_than_there_is_ends_the_reading(fatbin: ModuleType, tmp_path: Path) -> None:
    path = library(tmp_path / "h.so", nv_fatbin=[["sm_80", "sm_90"]])
    data = path.read_bytes()
    second = data.index(fat_binary(["sm_80", "sm_90"])) + 16 + 64 + 120
    path.write_bytes(data[: second + 8] + b"\xff" * 8 + data[second + 16 :])
    assert fatbin.read(str(path), soon()).architectures == ["sm_80"]
