"""Questions to a killable child: whatever becomes of it, the asker has an answer in time and no process is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from torchprobes import child
from torchprobes.child import ChildFailed, Hung, Part, ask, ask_each, start

DEADLINE_S = 20.0
SHORT_S = 1.5
"""Long enough to start a Python without site-packages, short enough to wait for."""

T = TypeVar("T")


@pytest.fixture(autouse=True)
def questions_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "INSPECTOR", Path(__file__).parent / "inspector_of_tests.py")


def until(look: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    end = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {deadline_s} s"
        time.sleep(0.01)
    return found


def is_gone(pid: int) -> bool:
    """Whether a process is no more; one that nobody reaped, of another parent, counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_an_answer_comes_back_as_it_was_given() -> None:
    odd = {"text": "a\nb\0c \udcff é", "numbers": [1, 2.5, None, True], "nested": {"x": {}}}
    assert ask("echo", odd, DEADLINE_S) == odd


def test_polling_never_waits_and_ends_with_the_answer() -> None:
    answer = start("echo", {"x": 1}, DEADLINE_S)
    until(lambda: answer.poll() != "waiting")
    assert (answer.poll(), answer.value, answer.cause) == ("done", {"x": 1}, "")


def test_a_question_that_blocks_is_hung_and_its_processes_are_gone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    answer = start("block", {"pid_file": str(pids)}, 3600.0)
    until(pids.exists)
    child_pid, helper_pid = map(int, pids.read_text().split())
    assert answer.poll() == "waiting"
    answer._deadline = time.monotonic()  # the hour is over
    assert answer.poll() == "hung"
    assert "deadline" in answer.cause
    until(lambda: is_gone(child_pid) and is_gone(helper_pid))
    until(lambda: not Path(f"/proc/{child_pid}").exists())  # reaped, without anybody waiting
    assert answer.poll() == "hung"


def test_asking_what_blocks_ends_at_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(Hung, match="'block'"):
        ask("block", {}, SHORT_S)
    assert SHORT_S <= time.monotonic() - began < SHORT_S + 5


def test_a_cancelled_question_is_failed_and_its_child_is_gone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    answer = start("block", {"pid_file": str(pids)}, 3600.0)
    until(pids.exists)
    answer.cancel()
    assert (answer.poll(), answer.cause) == ("failed", "cancelled")
    until(lambda: is_gone(int(pids.read_text().split()[0])))


def test_a_deadline_of_nothing_is_hung_and_not_an_error() -> None:
    with pytest.raises(Hung):
        ask("echo", {}, 0.0)


@pytest.mark.parametrize(
    ("question", "arguments", "words"),
    [
        ("fail", {}, "the first line and a second"),
        ("refuse", {}, "Permission denied"),
        ("echo?", {}, "unknown question 'echo?'"),
        ("die", {}, "died without an answer"),
        ("die", {"number": int(signal.SIGSEGV)}, "died without an answer"),
        ("die", {"wrong": 1}, "unexpected keyword argument"),
        ("unserialisable", {}, "not JSON serializable"),
        ("babble", {"text": "word\n", "times": 20_000}, "says too much"),
    ],
)
def test_a_child_that_fails_says_why_in_one_line(question: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ChildFailed) as caught:
        ask(question, arguments, DEADLINE_S)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["nonsense\n", "{not json\n", '{"other": 1}\n', "\0\x1b[2J\n", "[1]\n", "{" * 100_000 + "\n", '{"item": 1}\n'],
)
def test_nonsense_before_an_answer_hides_it_not(text: str) -> None:
    assert ask("babble", {"text": text}, DEADLINE_S) == "in the end"


def test_a_child_that_only_talks_is_told_by_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "inspector.py"
    script.write_text("print('first'); raise SystemExit('no space left')")
    monkeypatch.setattr(child, "INSPECTOR", script)
    with pytest.raises(ChildFailed, match=r"^no space left$"):
        ask("echo", {}, DEADLINE_S)


def test_a_child_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child.sys, "executable", "/nowhere/python")
    with pytest.raises(ChildFailed, match="cannot start a child: No such file"):
        ask("echo", {}, DEADLINE_S)


def test_each_item_has_its_own_answer() -> None:
    parts = ask_each("each", {}, SHORT_S)
    assert parts["good"] == Part("done", 1)
    assert (parts["bad"].state, parts["bad"].cause.split("\x1b")[0]) == ("failed", "the first line and a second")
    assert parts["blocked"].state == "hung"
    assert list(parts) == ["good", "bad", "blocked"]


def test_items_that_were_answered_before_the_child_died_stay() -> None:
    parts = ask_each("each and die", {}, DEADLINE_S)
    assert parts["good"] == Part("done", "here")
    assert parts["fatal"].state == "failed"
    assert "died" in parts["fatal"].cause


@pytest.mark.parametrize(("question", "error"), [("block", Hung), ("die", ChildFailed)])
def test_a_question_about_many_that_fails_as_a_whole_raises(question: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask_each(question, {}, SHORT_S if error is Hung else DEADLINE_S)


def test_the_child_has_no_file_of_ours_open_and_stands_nowhere(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with open(tmp_path / "ours", "w") as ours:
        os.set_inheritable(ours.fileno(), True)
        answer = start("block", {"pid_file": str(pids)}, 3600.0)
        until(pids.exists)
        pid = int(pids.read_text().split()[0])
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        assert not [link for link in links if str(tmp_path) in link]
        assert os.getsid(pid) == pid
        answer.cancel()
