"""Where headless commands write: files that were tried before, and streams that may be gone or full."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import click
import pytest
from cli_process import command, environment, torchdoctor

from torchdoctor.cli import run
from torchdoctor.commands._output import Destination, Undelivered


def checked(path: Path) -> Destination:
    destination = Destination.checked("--json", str(path))
    assert destination is not None
    return destination


def test_trying_a_destination_leaves_nothing_behind(tmp_path: Path) -> None:
    checked(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_is_replaced_whole_and_through_a_link(tmp_path: Path) -> None:
    old, link = tmp_path / "old.json", tmp_path / "link.json"
    old.write_text("a long old report")
    link.symlink_to(old)
    checked(link).deliver(b"new")
    assert old.read_bytes() == b"new"
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.json", "old.json"]


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        checked(tmp_path / "new.json").deliver(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o640


@pytest.mark.parametrize(("path", "words"), [("", "is a folder"), ("no/such/folder", "No such file"), ("a\0b", "null")])
def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        Destination.checked("--json", f"{tmp_path}/{path}")


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match=r"--json /dev/full: cannot be written: No space left on device"):
        checked(Path("/dev/full")).deliver(b"x")


def test_stdout_and_nothing_are_no_files() -> None:
    stdout = Destination.checked("--json", "-")
    assert stdout is not None
    assert stdout.is_stdout
    assert Destination.checked("--json", None) is None


# --- the real program ------------------------------------------------------------------------------------------------


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("list", "--json"), stdout=writer, stderr=subprocess.PIPE, env=environment(tmp_path), check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_stdout_is_one_line_and_4(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("list"), stdout=full, stderr=subprocess.PIPE, env=environment(tmp_path), text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        4,
        "torchdoctor: cannot write standard output: No space left on device\n",
    )


def test_closed_streams_are_no_error(tmp_path: Path) -> None:
    shell = f"exec {' '.join(command('list'))} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", shell], env=environment(tmp_path), check=False).returncode == 0


def test_an_encoding_without_our_signs_is_no_error(tmp_path: Path) -> None:
    environ = environment(tmp_path, PYTHONIOENCODING="ascii", LANG="C")
    assert torchdoctor(tmp_path, "--help", environ=environ).code == 0


@pytest.mark.parametrize("command", ["", "diagnose", "launch"])
def test_examples_in_the_help_keep_their_lines(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*filter(None, [command]), "--help"]) == 0
    text = capfd.readouterr().out
    assert "\\b" not in text
    assert "\b" not in text
    assert any(line.startswith(("  Exit codes: 0 nothing", f"  torchdoctor {command} ")) for line in text.splitlines())
