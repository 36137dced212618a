"""The lines that are shown, written into a new file: byte for byte, by a child, into a folder that the pane names."""

from __future__ import annotations

import os
import re
import time

from torchprobes.compilelog.document import Document

PROMISED_S = 1.0
"""An export that takes longer says that it has begun."""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def name_for(path: str, now_s: float) -> str:
    """`stderr-20261123-061517-04.log`: a file name that says of what and when; in local time."""
    stem, ending = os.path.splitext(os.path.basename(path))
    told = _UNFIT.sub("_", stem)[:80].lstrip(".") or "log"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_s))
    return f"{told}-{stamp}-{int(now_s % 1 * 100):02d}{_UNFIT.sub('', ending)[:8] or '.log'}"


class Export:
    """One export; `said` is to be asked with every tick."""

    def __init__(self, document: Document, folder: str) -> None:
        """Begin it; an existing file is never written over."""
        self.path = os.path.join(folder, name_for(document.path, time.time()))
        self.over = False
        self._began_s = time.monotonic()
        self._promised = False
        self._exporting = document.export(self.path)

    def said(self) -> str:
        """What there is to tell the person, "" if nothing is new."""
        view = self._exporting.view
        if self.over:
            return ""
        if view.cause:
            self.over = True
            return f"not exported: {view.cause}"
        if view.finished:
            self.over = True
            return f"exported {view.done_rows:,} line{'s' * (view.done_rows != 1)} to {self.path}"
        if not self._promised and time.monotonic() - self._began_s > PROMISED_S:
            self._promised = True
            return f"exporting to {self.path}"
        return ""
