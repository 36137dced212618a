"""What a killable child reads of a process: itself, never another with its pid; secrets masked; why if denied."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from torchprobes.child import Part, ask_each
from torchprobes.environment import process as question

DEADLINE_S = 20.0


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a secret in its environment and one on its command line, and a child of its own."""
    program = "import subprocess, sys; sys.stdout.write('r'); sys.stdout.flush(); sys.stdin.read()"
    environ = {**os.environ, "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz", "EMPTY": "", "PLAIN": "a b"}
    argv = [sys.executable, "-c", program, "--token", "s3cr3t-value"]
    started = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert started.stdout is not None
    assert started.stdin is not None
    assert started.stdout.read(1) == b"r"
    try:
        yield started
    finally:
        started.stdin.close()
        started.stdout.close()
        started.wait(DEADLINE_S)


def ask(pid: int, started: int | None) -> dict[str, Part]:
    return ask_each("process", {"pid": pid, "started": started}, DEADLINE_S)


def test_a_process_is_told_in_full_and_its_secrets_are_masked(child: subprocess.Popen[bytes]) -> None:
    parts = ask(child.pid, question.ticks(child.pid))
    assert {part.state for part in parts.values()} == {"done"}
    variables = parts["environment"].value["variables"]
    assert (variables["HF_TOKEN"], variables["EMPTY"], variables["PLAIN"]) == ("***", "", "a b")
    assert not parts["environment"].value["cut"]
    assert "s3cr3t" not in parts["command"].value
    assert "--token ***" in parts["command"].value
    assert parts["limits"].value["Max open files"][-1] == "files"
    assert str(os.getuid()) in parts["status"].value["user"]
    assert parts["cgroup"].value


def test_the_tree_has_parents_itself_and_children(child: subprocess.Popen[bytes]) -> None:
    family = ask(os.getpid(), question.ticks(os.getpid()))["family"].value
    depths = {row["pid"]: row["depth"] for row in family}
    assert depths[child.pid] == depths[os.getpid()] + 1
    assert depths[os.getppid()] == depths[os.getpid()] - 1


def test_another_process_that_has_the_pid_by_now_is_not_told() -> None:
    parts = ask(os.getpid(), question.ticks(os.getpid()) - 1)
    assert {(part.state, part.cause) for part in parts.values()} == {("failed", "another process has this pid by now")}


def test_a_pid_that_is_not_here_says_so() -> None:
    parts = ask(2**22 + 1, None)
    assert {part.cause for part in parts.values()} == {"it has ended, or it is of another pid namespace"}


def test_what_is_denied_says_why_and_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = question.read_file

    def read(path: str, most: int = question.MOST_BYTES) -> bytes:
        if path.endswith("environ"):
            raise PermissionError(13, "Permission denied")
        return whole(path, most)

    monkeypatch.setattr(question, "read_file", read)
    items = question.process(os.getpid(), None)
    with pytest.raises(LookupError, match="permission denied: it belongs to another user"):
        items["environment"]()
    assert items["status"]()["threads"]


def test_an_environment_that_is_too_long_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "read_file", lambda path, most=0: (b"A=1\0" * question.MOST_BYTES)[:most])
    found = question._environment(os.getpid())
    assert found == {"variables": {"A": "1"}, "cut": True}
