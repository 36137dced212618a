"""What all tests share."""

from __future__ import annotations

import os
import signal

import pytest

from dead_mount import dead_mount, frozen_mount

__all__ = ["dead_mount", "frozen_mount"]

TOGETHER = ("runner",)
"""Folders whose files see each other's processes: one worker runs all of a folder, one after another."""


def pytest_configure() -> None:
    """Programs under test heed Ctrl-C and the end of a terminal, also where whoever runs the tests (nohup, a job in the
    background of a script) has both ignored: that is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers of pytest-xdist take a file each, which shares what its fixtures made, or a folder of TOGETHER."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else item.path.name))


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the state, settings or terminal of the person who runs it."""
    ours = ("TORCHDOCTOR_", "TEXTUAL_", "TORCHDYNAMO_")
    for name in [n for n in os.environ if n.startswith(ours) and not n.startswith("TEXTUAL_SNAPSHOT_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY", "TMUX", "COLORTERM", "TORCH_LOGS", "TORCH_COMPILE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("TERM", "xterm-256color")
