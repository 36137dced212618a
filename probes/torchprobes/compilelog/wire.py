"""How the engine's child says its snapshots: frames of msgpack, and of what has rows only those that changed.

A snapshot is a handful of sections, each a list of rows of one type. The child keeps each row as it said it last, as
bytes; a row that is the same bytes again is not said. At most `PATCH_ROWS` rows stand in a frame, so that no decode
holds the console's interpreter for long; a frame COMMIT makes all patches before it count at once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO, Any, Final, get_args, get_type_hints

import msgspec

from . import explanation as _rows
from .artefacts import CompileNode, ProcessNode
from .explanation import NOTHING, Explanation
from .kinds import kind_of
from .marks import Mark
from .tree import FileView

PATCH_ROWS: Final = 200
LONGEST: Final = 64 << 20
"""Bytes of one frame that are believed."""

_SIZE: Final = struct.Struct(">I")
FILES: Final = "files"
GROUPS: Final = "groups"
COMPILES_OF: Final = "compiles of "


def compiles_of(key: str) -> str:
    """The section of a process's compiles; its key may be a file's name."""
    return f"{COMPILES_OF}{_clean(key)}"


class Patch(msgspec.Struct, array_like=True, tag="patch"):
    """Rows of a section that are new or changed; it has `length` rows then, None for a list that is None."""

    section: str
    length: int | None
    at: list[int]
    rows: msgspec.Raw


class Commit(msgspec.Struct, array_like=True, tag="commit"):
    """All that was said so far is one snapshot. `head` is the explanation without its rows."""

    revision: int
    head: Explanation
    tree_revision: int
    left_out: int
    tree_cause: str


class Words(msgspec.Struct, array_like=True, tag="words"):
    """Why the child can do no more."""

    cause: str


Frame = Patch | Commit | Words


def _row_types() -> dict[str, Any]:
    """The row type of each section of an explanation: of the fields that are tuples of a dataclass of its module."""
    hints = get_type_hints(Explanation)
    found: dict[str, Any] = {}
    for name, hint in hints.items():
        for option in (hint, *get_args(hint)):
            row = get_args(option)[0] if getattr(option, "__origin__", None) is tuple else None
            if isinstance(row, type) and row.__module__ == _rows.__name__:
                found[name] = row
    return found


ROW_TYPES: Final[Mapping[str, Any]] = _row_types()
"""Field of `Explanation` → type of its rows."""

NO_ROWS: Final[dict[str, Any]] = {name: getattr(NOTHING, name) for name in ROW_TYPES}


def head_of(explanation: Explanation) -> Explanation:
    """The explanation without its rows."""
    return replace(explanation, **NO_ROWS)


class Sections:
    """The child's side: what was said of each section, and the frames that say what is new."""

    def __init__(self) -> None:
        self._said: dict[str, list[bytes] | None] = {}
        self._encoder = msgspec.msgpack.Encoder()

    def patches(self, section: str, rows: Sequence[Any] | None) -> Iterator[bytes]:
        """The frames that bring the console's rows of `section` to `rows`."""
        before = self._said.get(section, [])
        now = None if rows is None else [self._encoded(row) for row in rows]
        if now == before and section in self._said:
            return
        self._said[section] = now
        old, new = before or [], now or []
        changed = [at for at, row in enumerate(new) if at >= len(old) or old[at] != row]
        length = None if now is None else len(now)
        for start in range(0, max(len(changed), 1), PATCH_ROWS):
            at = changed[start : start + PATCH_ROWS]
            packed = msgspec.Raw(_array_head(len(at)) + b"".join(new[index] for index in at))
            yield self.frame(Patch(section, length, at, packed))

    def frame(self, what: Frame) -> bytes:
        """One frame as bytes."""
        data = self._encoded(what)
        return _SIZE.pack(len(data)) + data

    def _encoded(self, what: object) -> bytes:
        try:
            return self._encoder.encode(what)
        except UnicodeEncodeError:
            return self._encoder.encode(_clean(msgspec.to_builtins(what)))


def _array_head(count: int) -> bytes:
    """The msgpack head of an array of up to 65,535 items."""
    return b"\xdc" + struct.pack(">H", count)


class Frames:
    """The console's side: frames of a pipe, decoded."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._decoder = msgspec.msgpack.Decoder(Frame)

    def __iter__(self) -> Iterator[Frame]:
        """Frame by frame until the pipe ends.

        Raises:
            ValueError: what came is no frame.
        """
        while head := self._pipe.read(_SIZE.size):
            (size,) = _SIZE.unpack(head) if len(head) == _SIZE.size else (LONGEST + 1,)
            data = self._pipe.read(size) if size <= LONGEST else b""
            if len(data) < size:
                raise ValueError("a frame is cut off")
            yield self._decoder.decode(data)


class Rows:
    """The console's side of the sections: all rows as they stand after the patches so far."""

    def __init__(self) -> None:
        self._types: dict[str, Any] = {**ROW_TYPES, FILES: FileRow, GROUPS: ProcessNode}
        self._rows: dict[str, list[Any] | None] = {}
        self._decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

    def take(self, patch: Patch) -> None:
        """Apply one patch."""
        row = CompileNode if patch.section.startswith(COMPILES_OF) else self._types[patch.section]
        decoder = self._decoders.get(row)
        if decoder is None:
            decoder = self._decoders[row] = msgspec.msgpack.Decoder(list[row])  # type: ignore[valid-type]
        if patch.length is None:
            self._rows[patch.section] = None
            return
        rows = self._rows.get(patch.section) or []
        self._rows[patch.section] = rows
        del rows[patch.length :]
        made = map(_file_view, decoder.decode(patch.rows)) if row is FileRow else decoder.decode(patch.rows)
        for at, new in zip(patch.at, made, strict=True):
            if at < len(rows):
                rows[at] = new
            else:
                rows.append(new)

    def of(self, section: str) -> tuple[Any, ...] | None:
        """The rows of a section."""
        rows = self._rows.get(section, [])
        return None if rows is None else tuple(rows)

    def explanation(self, head: Explanation) -> Explanation:
        """`head` with all rows."""
        rows: dict[str, Any] = {name: self.of(name) for name in ROW_TYPES}
        return replace(head, **rows)


class FileRow(msgspec.Struct, array_like=True):
    """A file of the tree as it is said; what the file is, both sides know from its name."""

    path: bytes
    """A name may be no UTF-8, and has to come through so that the file can be opened."""
    name: bytes
    size_bytes: int
    changed_s: float
    gone: bool
    cause: str
    counts: tuple[tuple[str, int], ...]


def _file_view(row: FileRow) -> FileView:
    counts = tuple((Mark(name), count) for name, count in row.counts)
    path, name = os.fsdecode(row.path), os.fsdecode(row.name)
    return FileView(path, name, kind_of(name), row.size_bytes, row.changed_s, row.gone, row.cause, counts)


def file_row(file: FileView) -> FileRow:
    """A file as it is said."""
    counts = tuple((mark.value, count) for mark, count in file.counts)
    path, name = os.fsencode(file.path), os.fsencode(file.name)
    return FileRow(path, name, file.size_bytes, file.changed_s, file.gone, file.cause, counts)


def _clean(value: Any) -> Any:
    """The same without surrogates, which are no UTF-8: those of a file's name, where it stands as evidence."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, list | tuple) else value
