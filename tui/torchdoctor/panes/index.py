"""The panes in the order of their digits. Each is imported when it is first opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

PANES: Final = {
    "gpus": ("GPUs", "GpusPane"),
    "probes": ("Probes", "ProbesPane"),
    "jobs": ("Jobs", "JobsPane"),
    "logs": ("Logs", "LogsPane"),
    "report": ("Report", "ReportPane"),
}
"""Module beside this one -> (title, class)."""

TITLES: Final = {name: title for name, (title, _) in PANES.items()}


def make(name: str) -> Any:
    """A new pane: a widget that keeps the protocol `base.Pane`."""
    module = import_module(f".{name}", __package__)
    return getattr(module, PANES[name][1])()
