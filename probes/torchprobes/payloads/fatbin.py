"""Which GPU architectures an ELF library holds code for, read from its bytes: no toolkit, nothing is loaded.

nvcc puts device code into the section `.nv_fatbin`, code that is still to be linked into `__nv_relfatbin`: one fat
binary after another, each a header (magic 0xBA55ED50) and its entries, each of one architecture. Entries may be
compressed, their headers are not. NVIDIA documents no layout; this one was held against `cuobjdump --list-elf` and
`torch._C._cuda_getArchFlags()` on the wheels of torch 2.1.2, 2.6.0 and 2.14.1, and against nvcc 13.0 for the suffixes.
Standard library, parses on Python 3.8.
"""

import os
import struct
import time
from collections import Counter

import torchdoctor_elf as elf

MAGIC = 0xBA55ED50
KINDS = {1: "compute", 2: "sm"}
"""Kind of an entry: PTX, which a driver compiles, and machine code."""

THIS_DEVICE_ONLY = 1 << 20
FAMILY = 1 << 21
"""Flags of an entry: the suffixes `a` and `f`."""

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
MOST_ENTRIES = 50_000
MOST_NEEDED = 200

_HEADER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQIIHHIIIQ")
"""kind, version, header size, size, compressed size, options' offset, minor, major, arch, name's offset and length,
flags."""


class Library:
    """What one library says: `needed` (sonames that it links), `images` (architectures of a fat binary -> count).

    `cut` says that not all of it was read: its entries, or the time, ran out.
    """

    def __init__(self):
        self.needed = []
        self.images = Counter()
        self.cut = False

    @property
    def architectures(self):
        """Every architecture of it, sorted by kind and number."""
        return sorted({arch for image in self.images for arch in image}, key=_order)


def _order(arch):
    kind, _, number = arch.partition("_")
    digits = number.rstrip("af")
    return kind != "sm", int(digits), number


def read(path, deadline):
    """Read the library at `path` until `deadline` (time.monotonic()).

    Raises:
        OSError: it cannot be read; elf.NotElf: it is none.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return _library(elf.File(fd), deadline)
    finally:
        os.close(fd)


def _library(file, deadline):
    found = Library()
    sections = elf.sections(file)
    found.needed = elf.dynamic(file, sections).get(elf.NEEDED, [])[:MOST_NEEDED]
    code = sorted((s for s in sections if s[0] in SECTIONS), key=lambda s: SECTIONS.index(s[0]))
    for name, _, offset, size, _ in code:
        # What is to be linked counts only where nothing was: it can run nowhere by itself.
        if name == SECTIONS[0] or not found.images:
            _images(file, offset, min(size, file.size - offset), deadline, found)
    return found


def _images(file, offset, size, deadline, found):
    end, left = offset + size, MOST_ENTRIES
    while offset + _HEADER.size <= end:
        magic, _, head, length = file.unpack(_HEADER, offset)
        if magic != MAGIC or head < _HEADER.size:
            offset += 8  # fat binaries begin at multiples of eight; padding lies between them
            left -= 1
        else:
            image = _entries(file, offset + head, min(offset + head + length, end))
            found.images[image] += 1
            left -= max(1, len(image))
            offset += head + length
        if left <= 0 or time.monotonic() > deadline:
            found.cut = True
            return


def _entries(file, offset, end):
    """The architectures of one fat binary, in its order."""
    found = []
    while offset + _ENTRY.size <= end and len(found) < 256:
        entry = file.unpack(_ENTRY, offset)
        kind, head, size, arch, flags = entry[0], entry[2], entry[3], entry[8], entry[11]
        if head < _ENTRY.size or size > end - offset:
            break
        if kind in KINDS and arch:
            found.append(KINDS[kind] + "_%d" % arch + _suffix(flags))
        offset += head + size
    return tuple(found)


def _suffix(flags):
    return "a" if flags & THIS_DEVICE_ONLY else "f" if flags & FAMILY else ""
