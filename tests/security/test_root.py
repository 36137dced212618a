"""As root: nothing that another user could have written is run, and nothing that they planted blocks."""

from __future__ import annotations

import grp
import os
import pwd
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


def test_a_group_with_members_can_write_and_an_empty_one_cannot(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("")
    path.chmod(0o664)
    with_members = next((g.gr_gid for g in grp.getgrall() if g.gr_gid and set(g.gr_mem) - {"root"}), None)
    primary = next(user.pw_gid for user in pwd.getpwall() if user.pw_gid)
    for gid in filter(None, (with_members, primary)):
        os.chown(path, 0, gid)
        assert f"group {gid}" in why_foreign([str(path)])
    taken = {user.pw_gid for user in pwd.getpwall()}
    empty = next((g.gr_gid for g in grp.getgrall() if g.gr_gid and not g.gr_mem and g.gr_gid not in taken), None)
    assert empty is not None, "every system has a group without members"
    os.chown(path, 0, empty)
    assert why_foreign([str(path)]) == ""


def test_a_link_of_roots_into_a_strangers_folder_is_the_strangers(home: Path, tmp_path: Path) -> None:
    planted_venv(home)
    os.chown(home, STRANGER, STRANGER)
    (tmp_path / "env").symlink_to(home / "venv")
    choice = find_targets(None, environ={"VIRTUAL_ENV": str(tmp_path / "env"), "PATH": ""})
    (found,) = (c for c in choice.candidates if c.origin == "VIRTUAL_ENV")
    assert str(home) in (found.refusal or "")


def test_a_standard_library_of_a_strangers_is_refused(home: Path, tmp_path: Path) -> None:
    (home / "lib" / "python3.12").mkdir(parents=True)
    own(home)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    shutil.copy("/bin/true", python)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {home / 'bin'}\nversion = 3.12.1\n")
    chosen = find_targets(str(python)).chosen
    assert chosen is not None
    assert str(home) in (chosen.refusal or "")


def test_packages_in_a_strangers_home_are_refused(home: Path, tmp_path: Path) -> None:
    site = home / ".local" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(f"open({str(home / 'ran')!r}, 'w')\n")
    own(home)
    python = tmp_path / "bin" / f"python3.{sys.version_info.minor}"
    python.parent.mkdir()
    python.symlink_to(os.path.realpath(sys.executable))
    environ = {"PATH": str(python.parent), "HOME": str(home)}
    choice = find_targets(str(python), environ=environ)
    assert choice.chosen is not None
    assert str(home) in (choice.chosen.refusal or "")
