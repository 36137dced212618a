"""The own log: private, bounded, and silent when it cannot be written."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from torchdoctor import journal
from torchdoctor.journal import Journal


def written(folder: Path) -> str:
    return (folder / journal.NAME).read_text()


def test_it_holds_what_children_and_dying_threads_say_and_is_private(tmp_path: Path) -> None:
    own = Journal(lambda: tmp_path).start()
    journal.child_said("sampler", "NVML died\n")
    thread = threading.Thread(target=lambda: 1 / 0, name="follower")
    thread.start()
    thread.join()
    own.stop()
    text = written(tmp_path)
    assert "sampler: NVML died" in text
    assert "thread follower died" in text
    assert "ZeroDivisionError" in text
    assert stat.S_IMODE((tmp_path / journal.NAME).stat().st_mode) == 0o600
    assert threading.excepthook is threading.__excepthook__


def test_it_rotates_and_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 2000)
    own = Journal(lambda: tmp_path).start()
    for number in range(400):
        journal.child_said("sampler", f"line {number} " + "x" * 50)
    own.stop()
    files = sorted(tmp_path.iterdir())
    assert len(files) == journal.KEPT + 1
    assert all(file.stat().st_size <= 2000 for file in files)
    assert "line 399 " in written(tmp_path)


def test_a_place_that_cannot_be_written_disturbs_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = Journal(lambda: tmp_path / "missing").start()
    journal.child_said("sampler", "lost")
    own.stop()
    assert capfd.readouterr() == ("", "")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / journal.NAME).symlink_to(victim)
    own = Journal(lambda: tmp_path).start()
    journal.child_said("sampler", "line")
    own.stop()
    assert victim.read_text() == "precious"


def test_a_place_that_gives_no_answer_holds_nobody() -> None:
    asked, answer = threading.Event(), threading.Event()

    def hung() -> Path:
        asked.set()
        answer.wait()
        raise OSError("too late")

    own = Journal(hung).start()
    assert asked.wait(10)
    for _ in range(journal.QUEUE + 10):
        journal.child_said("sampler", "line")
    own.stop(wait_s=0.01)
    answer.set()
    assert own.path is None


def raised() -> Exception:
    try:
        raise KeyError("what nobody foresaw")
    except KeyError as error:
        return error


def test_an_unforeseen_error_is_kept_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_default_folder", lambda: tmp_path)
    assert journal.keep_traceback(raised()) == f"the details are in {tmp_path / journal.NAME}"
    assert "in raised" in written(tmp_path)


def test_without_a_place_the_line_of_the_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise OSError("no place")

    monkeypatch.setattr(journal, "_default_folder", nowhere)
    said = journal.keep_traceback(raised())
    assert said.startswith("it was raised at test_journal.py:")
