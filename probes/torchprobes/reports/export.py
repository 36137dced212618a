"""A report in the forms that other programs and people read; each is in a file of its own, JSON here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from torchprobes.model import Report


def to_json(report: Report) -> bytes:
    """The report as indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _to_markdown(report: Report, masked: str) -> bytes:
    from .markdown import to_markdown  # deferred, as the others: the console, which starts with this, seldom needs them

    return to_markdown(report, masked).encode("utf-8", "backslashreplace")


def _to_html(report: Report, masked: str) -> bytes:
    from .html import to_html

    return to_html(report, masked)


def _to_junit(report: Report, masked: str) -> bytes:
    from .junit import to_junit

    return to_junit(report, masked)


EXPORTERS: Final[dict[str, Callable[[Report, str], bytes]]] = {
    "json": lambda report, masked: to_json(report),
    "markdown": _to_markdown,
    "html": _to_html,
    "junit": _to_junit,
}
"""Every form by the name of its flag: a report that was redacted already, and what the redactor says that it masked."""
