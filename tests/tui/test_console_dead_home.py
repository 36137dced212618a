"""The console whose home and working directory are on a file system that gives no answer: it shows, answers, leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from terminal_process import Terminal

PANES = {
    "2": "all of tier standard",
    "3": "distributed job",
    "4": "No run yet",
    "5": "no check has been run here",
    "1": "/dev/shm",
}
"""Key -> words that only its pane shows."""

ENTER = """
import os, sys
os.chdir(sys.argv.pop(1))
sys.path.pop(0)
from torchdoctor.__main__ import main
main()
"""
"""The console script (whose `sys.path` is without the working directory), begun on dead ground."""

QUIT_S = 5.0
"""A hang, not a slow machine: half a second is the aim, and is printed."""


@pytest.mark.parametrize("place", ["dead_mount", "frozen_mount"])
def test_the_console_lives_on_dead_ground(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    dead = str(request.getfixturevalue(place))
    environ = {
        "HOME": dead,
        "TORCHDOCTOR_STATE": "",
        "TMPDIR": str(tmp_path),
        "PYTHONNOUSERSITE": "1",
        "VIRTUAL_ENV": dead,
    }
    with Terminal([sys.executable, "-c", ENTER, dead], (100, 30), environ) as screen:
        first = screen.until("? help")
        for key, word in PANES.items():
            screen.press(key)
            screen.until(word)
        screen.until("torch ")
        screen.press("q")
        code, took = screen.end()
    print(f"\non a {place}: first frame after {first:.2f} s, gone after {took:.2f} s")
    assert code == 0
    assert took < QUIT_S
