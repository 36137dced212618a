"""Small ELF libraries with GPU code in them, as nvcc lays it out: headers are real, the code behind them is not."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

MAGIC = 0xBA55ED50
KINDS = {"compute": 1, "sm": 2}
SUFFIXES = {"": 0, "a": 1 << 20, "f": 1 << 21}
COMPRESSED = 0x2000
STRINGS, DYNAMIC, PROGRAM = 3, 6, 1


def fat_binary(archs: Sequence[str], code: int = 120) -> bytes:
    """One fat binary with an entry of `code` bytes for each architecture ("sm_90a")."""
    entries = b""
    for arch in archs:
        found = re.fullmatch(r"(sm|compute)_(\d+)([af]?)", arch)
        assert found is not None, arch
        flags = 0x11 | COMPRESSED | SUFFIXES[found[3]]
        head = struct.pack(
            "<HHIQIIHHIIIQ", KINDS[found[1]], 0x101, 64, code, code - 5, 0, 7, 1, int(found[2]), 0, 0, flags
        )
        entries += head.ljust(64, b"\0") + b"\xff" * code
    return struct.pack("<IHHQ", MAGIC, 1, 16, len(entries)) + entries


def library(path: Path, needed: Sequence[str] = (), **code: Sequence[Sequence[str]]) -> Path:
    """Write a library that links `needed`; `nv_fatbin` and `nv_relfatbin` are lists of fat binaries."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    starts = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
    rows = b"".join(struct.pack("<QQ", 1, start) for start in starts) + struct.pack("<QQ", 0, 0)
    sections = [(b"", 0, b"", 0), (b".dynstr", STRINGS, strings, 0), (b".dynamic", DYNAMIC, rows, 1)]
    for name, binaries in code.items():
        data = b"".join(fat_binary(archs) + b"\0" * 8 for archs in binaries)
        sections.append((b"." + name.encode() if name == "nv_fatbin" else b"__" + name.encode(), PROGRAM, data, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_elf(sections))
    return path


def _elf(sections: Sequence[tuple[bytes, int, bytes, int]]) -> bytes:
    names = b"\0" + b"".join(name + b"\0" for name, _, _, _ in sections) + b".shstrtab\0"
    body, rows = b"", b""
    for name, kind, data, link in [*sections, (b".shstrtab", STRINGS, names, 0)]:
        body += b"\0" * (-len(body) % 8)
        start = names.index(b"\0" + name + b"\0") + 1 if name else 0
        rows += struct.pack("<IIQQQQIIQQ", start, kind, 0, 0, 64 + len(body), len(data), link, 0, 8, 0)
        body += data
    body += b"\0" * (-len(body) % 8)
    count = len(sections) + 1
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, count, count - 1)
    return head + body + rows
