"""What all tests share."""

from __future__ import annotations

import os

import pytest

from dead_mount import dead_mount, frozen_mount

__all__ = ["dead_mount", "frozen_mount"]


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
