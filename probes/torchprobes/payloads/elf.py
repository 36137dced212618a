"""Headers of ELF libraries, read from their bytes: sections, what is linked, soname, build-id. Nothing is loaded.

Layouts are those of elf(5) and of the GNU gABI's notes. Standard library, parses on Python 3.8.
"""

import os
import struct

LONGEST_NAME = 1024
MOST_SECTIONS = 4096
MOST_DYNAMIC = 64 << 10
MOST_NOTES = 64 << 10
DYNAMIC, NOTE = 6, 7
"""Types of sections."""

NEEDED, SONAME = 1, 14
"""Tags of the dynamic section."""

_BUILD_ID = 3
"""Type of a note named GNU."""


class NotElf(ValueError):
    """It is no 64-bit little-endian ELF file, or a broken one; the text says what is wrong."""


class File:
    """Reads at places of a file; what lies beyond its end is an error, and never a crash as with mmap."""

    def __init__(self, fd):
        self.fd = fd
        self.size = os.fstat(fd).st_size

    def at(self, offset, size):
        """Exactly `size` bytes from `offset` on.

        Raises:
            NotElf: there are fewer.
        """
        data = os.pread(self.fd, size, offset) if 0 <= offset <= self.size else b""
        if len(data) != size:
            raise NotElf("it ends before what its headers promise")
        return data

    def unpack(self, layout, offset):
        """The fields of a `struct.Struct` that stands at `offset`."""
        return layout.unpack(self.at(offset, layout.size))


def sections(file):
    """(name, type, offset, size, link) of every section."""
    head = file.at(0, 64)
    if head[:4] != b"\x7fELF":
        raise NotElf("it is no ELF file")
    if head[4:6] != b"\x02\x01":
        raise NotElf("it is no 64-bit little-endian ELF file")
    table, (size, count, names) = struct.unpack_from("<Q", head, 40)[0], struct.unpack_from("<HHH", head, 58)
    if size < 64 or count > MOST_SECTIONS or names >= max(count, 1):
        raise NotElf("its table of sections makes no sense")
    rows = file.at(table, size * count)
    parsed = [struct.unpack_from("<IIQQQQI", rows, size * n) for n in range(count)]
    words = file.at(parsed[names][4], min(parsed[names][5], 1 << 20)) if parsed else b""
    return [(_word(words, row[0]), row[1], row[4], row[5], row[6]) for row in parsed]


def _word(words, start):
    return words[start : words.find(b"\0", start)] if 0 <= start < len(words) else b""


def dynamic(file, found):
    """{NEEDED: [names], SONAME: [name]} of what the dynamic section says, of the sections `found`."""
    told = {}
    for _, kind, offset, size, link in found:
        if kind != DYNAMIC or link >= len(found):
            continue
        strings = found[link]
        size = min(size, MOST_DYNAMIC)
        rows = file.at(offset, size - size % 16)
        for tag, value in (struct.unpack_from("<QQ", rows, at) for at in range(0, len(rows), 16)):
            if tag in (NEEDED, SONAME):
                told.setdefault(tag, []).append(_name(file, strings, value))
    return told


def _name(file, strings, at):
    """One name of a table of strings; of a large library the table alone has tens of megabytes."""
    left = strings[3] - at
    if left <= 0:
        return ""
    return _word(file.at(strings[2] + at, min(left, LONGEST_NAME)), 0).decode("utf-8", "replace")


def build_id(file, found):
    """What the linker hashed of the content, as hexadecimal digits; "" where it left none."""
    for _, kind, offset, size, _ in found:
        if kind != NOTE or size > MOST_NOTES:
            continue
        data, at = file.at(offset, size), 0
        while at + 12 <= len(data):
            name, length, what = struct.unpack_from("<III", data, at)
            start = at + 12 + _whole(name)
            if what == _BUILD_ID and data[at + 12 : at + 16] == b"GNU\0":
                return data[start : start + min(length, 64)].hex()
            at = start + _whole(length)
    return ""


def _whole(size):
    return (size + 3) & ~3
