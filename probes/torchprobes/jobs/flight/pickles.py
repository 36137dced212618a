"""Pickles as data: the flight recorder's files, read without ever running what they name.

Nothing but the plain types that pickle builds by itself can come out (dict, list, tuple, str, bytes, numbers, None); a
pickle that names any function or class is refused. What comes out may still be hostile in shape: one list can stand in
itself a million times. So nobody may walk it whole.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final, NoReturn

MOST_BYTES: Final = 64 << 20


class NotData(Exception):
    """The bytes are no pickle of plain data; the text says why."""


class _DataOnly(pickle.Unpickler):
    """Refuses every name that a pickle wants looked up: that is how pickles run code."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        """Never look anything up."""
        raise NotData(f"the pickle names {module[:40]}.{name[:40]}: it is not plain data")

    def persistent_load(self, pid: Any, /) -> NoReturn:
        """Never fetch anything."""
        raise NotData("the pickle refers to something outside itself")


def load(data: bytes) -> object:
    """The data of a pickle.

    Raises:
        NotData: it is damaged, larger than MOST_BYTES, or more than data.
    """
    if len(data) > MOST_BYTES:
        raise NotData(f"the pickle is larger than {MOST_BYTES >> 20} MiB")
    try:
        return _DataOnly(io.BytesIO(data)).load()
    except NotData:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises whatever it likes
        raise NotData(f"the pickle is damaged: {type(error).__name__}") from None
