"""As root: nothing that another user could have written is run, and nothing that they planted blocks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchprobes.environment.ownership import why_foreign
from torchprobes.target import find_targets

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="LOUD: needs root to plant another user's files")

STRANGER = 4242


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder of another user, with a canary that whatever runs would touch."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    yield folder
    assert not (folder / "ran").exists(), "code of another user was run as root"


def planted_script(home: Path) -> Path:
    python = home / "python3"
    python.write_text(f'#!/bin/sh\ntouch {home}/ran\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def own(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def planted_venv(home: Path) -> Path:
    """A virtual environment of the stranger's whose sitecustomize leaves a trace; its python is the real one."""
    site = home / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "torch").mkdir(parents=True)
    (site / "torch" / "version.py").write_text("__version__ = '9.9'\n")
    (site / "sitecustomize.py").write_text(f"open({str(home / 'ran')!r}, 'w')\n")
    (home / "venv" / "bin").mkdir()
    (home / "venv" / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    python = home / "venv" / "bin" / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    return python


def test_a_planted_python_on_path_is_looked_at_and_not_run(home: Path) -> None:
    planted_script(home)
    own(home)
    choice = find_targets(None, environ={"PATH": str(home)})
    assert choice.chosen is None or choice.chosen.python != str(home / "python3")
    (found,) = (c for c in choice.candidates if c.origin == "python3 on PATH")
    assert "uid 4242" in (found.refusal or "")


def test_a_planted_python_that_was_named_is_refused_with_what_to_do(home: Path) -> None:
    python = planted_script(home)
    own(home)
    chosen = find_targets(str(python)).chosen
    assert chosen is not None
    assert "--as-root" in (chosen.refusal or "")


def test_a_planted_environment_with_a_real_python_is_refused(home: Path) -> None:
    python = planted_venv(home)
    own(home)
    choice = find_targets(None, environ={"VIRTUAL_ENV": str(home / "venv"), "PATH": ""})
    (found,) = (c for c in choice.candidates if c.origin == "VIRTUAL_ENV")
    assert (found.python, found.torch) == (str(python), "9.9")
    assert found.refusal
    assert choice.chosen is not None
    assert choice.chosen.python == sys.executable, "the first that may be run is taken instead"


@pytest.mark.parametrize("planted", ["lib/python3.{minor}/site-packages/sitecustomize.py", "pyvenv.cfg", "bin/python"])
def test_one_foreign_file_in_roots_own_environment_is_enough(home: Path, planted: str) -> None:
    planted_venv(home)
    path = home / "venv" / planted.format(minor=sys.version_info.minor)
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    choice = find_targets(None, environ={"VIRTUAL_ENV": str(home / "venv"), "PATH": ""})
    (found,) = (c for c in choice.candidates if c.origin == "VIRTUAL_ENV")
    assert str(path) in (found.refusal or "")


def test_a_symlink_of_the_strangers_is_refused_although_it_leads_to_root(home: Path) -> None:
    (home / "python3").symlink_to(os.path.realpath(sys.executable))
    own(home)
    (found,) = (c for c in find_targets(None, environ={"PATH": str(home)}).candidates if "python3" in c.origin)
    assert found.refusal or found.torch is None
    assert found.refusal


def test_a_fifo_among_the_interpreters_blocks_nothing(home: Path) -> None:
    os.mkfifo(home / "python3", 0o755)
    (home / "venv" / "bin").mkdir(parents=True)
    os.mkfifo(home / "venv" / "pyvenv.cfg")
    shutil.copy("/bin/true", home / "venv" / "bin" / "python")
    own(home)
    choice = find_targets(None, deadline_s=5, environ={"PATH": str(home), "VIRTUAL_ENV": str(home / "venv")})
    notes = {c.origin: c.note for c in choice.candidates}
    assert "FIFO" in notes["python3 on PATH"]
    assert not any("hung" in note for note in notes.values())


def test_pythonpath_of_a_stranger_makes_every_interpreter_theirs(home: Path) -> None:
    (home / "sitecustomize.py").write_text(f"open({str(home / 'ran')!r}, 'w')\n")
    own(home)
    chosen = find_targets(None, environ={"PATH": "", "PYTHONPATH": str(home)}).chosen
    assert chosen is not None
    assert str(home) in (chosen.refusal or "")


def test_what_everybody_can_write_is_nobodys(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "x").write_text("")
    assert why_foreign([str(folder / "x")]) == ""
    folder.chmod(0o777)
    assert "everybody" in why_foreign([str(folder / "x")])
    folder.chmod(0o1777)
    assert why_foreign([str(folder / "x")]) == ""
