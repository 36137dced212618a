"""Reports, comparisons and pictures as files, masked at the level that somebody chose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from torchprobes.desks import DeskError, With

from . import keeping
from .export import EXPORTERS

MOST: Final = 1000
"""Names that are tried."""

COMPARED: Final = ("json", "markdown", "html")
"""The forms of a comparison: JUnit knows no two machines."""


def write(arguments: With, compared: Any, folder: Path) -> str:
    """Write one file, private to its owner and never over another; a line that says where, and what was masked.

    `arguments`: the `path` of the report, none with `compared`, a held comparison; `form` and `level`; `to` is a path,
    or a name in `folder`; `given` says that nobody typed it, so that another may be taken where it is in use; for the
    form "svg" the `text` of the picture, masked already, with `masked`.

    Raises:
        DeskError: if the file is there already, or cannot be written.
    """
    form, level = str(arguments["form"]), str(arguments["level"])
    if form == "svg":
        data, masked = str(arguments["text"]).encode(), str(arguments.get("masked") or "")
    elif compared is not None:
        data, masked = _comparison(form, compared), compared.masked
    else:
        report, masked = keeping.masked(str(arguments["path"]), level)
        data = EXPORTERS[form](report, masked)
    to = _new_file(folder / Path(str(arguments["to"])).expanduser(), data, tries=MOST if arguments.get("given") else 1)
    return f"{to}  ({masked or 'nothing was masked'})"


def _comparison(form: str, compared: Any) -> bytes:
    if form == "markdown":
        from .markdown import comparison_markdown

        return comparison_markdown(compared.comparison, compared.masked).encode()
    if form == "html":
        from .html import comparison_html

        return comparison_html(compared.comparison, compared.masked)
    if form == "json":
        import msgspec

        from .comparison.document import document

        return (
            msgspec.json.format(msgspec.json.encode(document(compared.comparison, compared.masked)), indent=2) + b"\n"
        )
    raise DeskError(f"a comparison has no form {form!r}: choose one of {', '.join(COMPARED)}")


def _new_file(path: Path, data: bytes, tries: int) -> Path:
    """Write a file that is not there yet: `name-2.html` and so on where the name is taken, `tries` of them."""
    for number in range(1, tries + 1):
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            free.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(free, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise DeskError(f"{free} cannot be written: {error.strerror}") from None
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return free
    raise DeskError(f"{path} is there already: choose another name")


def mask_texts(arguments: With) -> dict[str, Any]:
    """{"texts": lines as they may be shown at a level, "masked": what was masked}.

    `arguments` may have `names`, as {"host": name} or {"user": name} each: a screen does not say which of its words one
    is.
    """
    mask = keeping.redactor(str(arguments["level"]))
    mask.learn(arguments.get("names") or [])
    return {"texts": [mask.text(str(text)) for text in arguments["texts"]], "masked": str(mask.masked)}
