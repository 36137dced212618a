"""Folders and small files, asked through the child: each refusal has words, and nothing blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torchprobes import child
from torchprobes.environment import places

DEADLINE_S = 20.0
STRANGER = 4242

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="LOUD: needs root to plant another user's files or to mount")


def writable(path: Path | str) -> str:
    return str(child.ask("writable", {"path": str(path)}, DEADLINE_S))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two pages."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k,mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"LOUD: cannot mount a tmpfs here, a full disk is not tested: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_is_made_private_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert writable(folder) == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    assert writable(folder) == "", "asking again changes nothing"


def make_file(path: Path) -> None:
    path.write_text("")


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_broken_link(path: Path) -> None:
    path.symlink_to("/proc/torchdoctor-absent")


@pytest.mark.parametrize(
    ("make", "below", "words"),
    [
        (make_file, "", "it is not a folder"),
        (make_file, "runs", "a part of this path is not a folder"),
        (make_loop, "", "it is not a folder"),
        (make_broken_link, "", "it is not a folder"),
        (os.mkfifo, "", "it is not a folder"),
        (Path.mkdir, "x" * 300, "the name is too long"),
    ],
)
def test_what_is_no_folder_has_words(tmp_path: Path, make: Any, below: str, words: str) -> None:
    path = tmp_path / "place"
    make(path)
    assert words in writable(path / below)


@needs_root
def test_roots_runs_do_not_go_where_another_user_could_replace_them(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    assert f"{folder} belongs to uid {STRANGER}" in writable(folder)
    assert f"{folder} belongs to uid {STRANGER}" in writable(folder / "runs"), "nor below it"
    assert "belongs to" in writable(folder / "runs" / "deep")


@needs_root
def test_under_sudo_the_folder_of_the_person_who_typed_it_is_theirs_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(tmp_path, STRANGER, STRANGER)
    assert "belongs to" in writable(tmp_path)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert writable(tmp_path) == ""
    monkeypatch.setenv("SUDO_UID", "x")
    assert "belongs to" in writable(tmp_path)


@needs_root
def test_a_folder_that_everybody_writes_is_trusted_only_of_ourselves(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    os.chown(tmp_path / "open", 0, 0)
    mine = tmp_path / "open" / "mine"
    mine.mkdir(mode=0o700)
    assert writable(mine) == "", "our own open folder is our own risk"
    os.chown(tmp_path / "open", STRANGER, STRANGER)
    assert "belongs to" in writable(mine)


@needs_root
def test_a_link_that_another_user_made_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    assert writable(tmp_path / "link" / "runs") == ""
    os.chown(tmp_path / "link", STRANGER, STRANGER, follow_symlinks=False)
    assert "link that uid 4242 made" in writable(tmp_path / "link" / "new")
    assert not (tmp_path / "mine" / "new").exists(), "nothing is made before it is trusted"


@needs_root
def test_a_full_disk_says_so(small_disk: Path) -> None:
    assert writable(small_disk) == ""
    with contextlib.suppress(OSError), open(small_disk / "fill", "wb", buffering=0) as file:
        file.write(b"x" * 65536)
    assert writable(small_disk) == "no space is left on its file system"


@needs_root
def test_a_read_only_disk_says_so(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert writable(small_disk) == "its file system is read-only"
    assert writable(small_disk / "new") == "its file system is read-only"


def as_stranger(path: str) -> str:
    """What `writable` says to a user who owns nothing here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.write(writing, places.writable(path).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        words = said.read()
    os.waitpid(pid, 0)
    return words


@needs_root
def test_a_folder_of_roots_is_closed_to_others(tmp_path: Path) -> None:
    assert as_stranger(str(tmp_path / "new")) == "no permission to write there"
    assert as_stranger("/usr") in ("no permission to write there", "its file system is read-only")


def test_a_shared_folder_without_a_sticky_bit_is_trusted_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat_of(path: str, **_: Any) -> os.stat_result:
        mode = 0o40777 if path == "/scratch" else 0o40755
        return os.stat_result((mode, 0, 0, 0, 0 if path == "/" else 77, 0, 0, 0, 0, 0))

    monkeypatch.setattr(places, "trusted_uids", lambda: {0, 77, 1000})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "stat", stat_of)
    monkeypatch.setattr(os, "lstat", stat_of)
    assert places.distrust("/scratch/mine") == "everybody can write to /scratch and it has no sticky bit"


@pytest.mark.parametrize("code", sorted(places.WORDS))
def test_every_error_with_words_is_told_by_them(code: int) -> None:
    assert places.words(OSError(code, os.strerror(code))) == places.WORDS[code]


def test_an_error_without_words_is_told_as_the_kernel_tells_it() -> None:
    assert places.words(OSError(errno.EMFILE, "Too many open files")) == "Too many open files"
    assert places.words(OSError("odd")) == "odd"


# --- settings --------------------------------------------------------------------------------------------------


def read_settings(path: Path) -> Any:
    return child.ask("read-settings", {"path": str(path)}, DEADLINE_S)


def test_settings_are_read_and_missing_ones_are_none(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('theme = "é"\n')
    assert read_settings(tmp_path / "config.toml") == 'theme = "é"\n'
    assert read_settings(tmp_path / "absent") is None
    (tmp_path / "link").symlink_to("config.toml")
    assert read_settings(tmp_path / "link") == 'theme = "é"\n'


def make_huge(path: Path) -> None:
    path.write_bytes(b"#" * (places.SETTINGS_MAX_BYTES + 1))


def make_latin(path: Path) -> None:
    path.write_bytes(b"name = '\xe9'\n")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "it is a FIFO, not a regular file"),
        (Path.mkdir, "it is a folder, not a regular file"),
        (make_socket, "it is a socket, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
        (make_huge, "it is larger than 256 KiB"),
        (make_latin, "it is not UTF-8 (byte 8)"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_settings_that_cannot_be_read_say_why_and_block_nothing(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "s")
    with pytest.raises(child.ChildFailed) as caught:
        read_settings(tmp_path / "s")
    assert words in str(caught.value)


def test_settings_of_just_the_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"#" * places.SETTINGS_MAX_BYTES)
    assert len(read_settings(tmp_path / "c")) == places.SETTINGS_MAX_BYTES


def test_each_disk_is_asked_on_its_own(tmp_path: Path) -> None:
    parts = child.ask_each("disk", {"paths": [str(tmp_path), str(tmp_path / "absent")]}, DEADLINE_S)
    here = parts[str(tmp_path)].value
    assert 0 <= here["free_bytes"] <= here["total_bytes"]
    assert here["total_bytes"] > 0
    assert parts[str(tmp_path / "absent")].state == "failed"
