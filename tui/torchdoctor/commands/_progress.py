"""What a headless run says on stderr while it goes on: a line an event, and one live line on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

from torchprobes.reports.text import mask, plain
from torchprobes.runner.snapshot import CheckView, ProbeState, ProbeView

from ._output import note

_AT_WORK = (ProbeState.STARTING, ProbeState.RUNNING)


class Progress:
    """Shows snapshots of a check; a line that was said is not said again."""

    def __init__(self, live: bool | None = None) -> None:
        self._live = _can_rewrite() if live is None else live
        self._said: dict[str, ProbeState] = {}
        self._shown = False
        self._noted = ""

    def show(self, view: CheckView) -> None:
        """Say what is new in `view`, and what runs now."""
        for probe in view.probes:
            if self._said.get(probe.name) is not probe.state:
                self._event(probe, view)
                self._said[probe.name] = probe.state
        if view.note and view.note != self._noted:
            self._noted = view.note
            self._line(view.note)
        if self._live:
            self._rewrite(view)

    def clear(self) -> None:
        """Take the live line away."""
        if self._shown:
            self._shown = False
            with contextlib.suppress(OSError):  # the line dropped
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()

    def _event(self, probe: ProbeView, view: CheckView) -> None:
        if probe.state is ProbeState.DONE and probe.result is not None:
            done = sum(p.state is ProbeState.DONE for p in view.probes)
            result = probe.result
            self._line(f"[{done}/{len(view.probes)}] {result.verdict.value:8} {probe.name}  {result.seconds:.1f} s")
        elif not self._live and probe.state in _AT_WORK and self._said.get(probe.name) not in _AT_WORK:
            self._line(f"      runs     {probe.name}")

    def _line(self, text: str) -> None:
        self.clear()
        note(plain(text))

    def _rewrite(self, view: CheckView) -> None:
        running = [p for p in view.probes if p.state in _AT_WORK]
        text = "  ".join(self._doing(p) for p in running)
        width = shutil.get_terminal_size().columns
        try:
            sys.stderr.write("\r\x1b[K" + plain(mask(text), max(1, width - 1)))
            sys.stderr.flush()
            self._shown = True
        except OSError:
            self._live = False

    @staticmethod
    def _doing(probe: ProbeView) -> str:
        seconds = "" if probe.started_s is None else f" {probe.started_s:.0f} s"
        share = "" if probe.done is None else f" {100 * probe.done:.0f} %"
        return f"{probe.name}{seconds}{share} {probe.progress}".rstrip()


def _can_rewrite() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
