"""The job desk as a real process: it answers, dies, comes again, ends with its console; run directories as files."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_jobs import CRASHED, HEALTHY, FakeJobs

from torchdoctor import job_files
from torchdoctor.desk import Desk, DeskError
from torchprobes import rundir
from torchprobes.jobs.desk import Desk as Answers
from torchprobes.jobs.desk import Files, tail
from torchprobes.jobs.node import node_folder
from torchprobes.jobs.watch.attached import ERRORS, Attached
from torchprobes.rundir import RunError, write_atomically

DEADLINE_S = 30.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(str(tmp_path / "runs"))
    yield made
    made.stop()


def until(test: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not test():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- the process -------------------------------------------------------------------------------------------------


def test_it_answers_lists_and_says_what_it_cannot(desk: Desk) -> None:
    found = desk.ask("list", {}, DEADLINE_S)
    assert set(found) == {"jobs", "notes"}
    assert found["jobs"] or found["notes"], "never an empty answer"
    with pytest.raises(DeskError, match="knows no question 'dance'"):
        desk.ask("dance", {}, DEADLINE_S)
    with pytest.raises(DeskError, match="spawn:999999999"):
        desk.ask("attach", {"job": "spawn:999999999"}, DEADLINE_S)


def test_one_that_was_killed_says_so_and_the_next_question_is_answered(desk: Desk) -> None:
    with pytest.raises(DeskError):
        desk.ask("dance", {}, DEADLINE_S)
    process = desk._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(DEADLINE_S)
    with pytest.raises(DeskError, match="knows no question"):
        desk.ask("dance", {}, DEADLINE_S)
    assert desk._process is not process


def test_a_question_past_its_deadline_costs_no_other(desk: Desk) -> None:
    with pytest.raises(DeskError, match="no answer to 'launch' in 0"):
        desk.ask("launch", {}, 0)
    with pytest.raises(DeskError, match="knows no question"):
        desk.ask("dance", {}, DEADLINE_S)


def test_a_watcher_that_died_leaves_its_words(tmp_path: Path) -> None:
    run = rundir.create(tmp_path, "job")
    node_folder(run).path.mkdir(parents=True)
    for words, said in (("x = 1/0", "ZeroDivisionError: division by zero"), ("exit(3)", "exit code 3"),
                        ("import os; os.kill(os.getpid(), 9)", "SIGKILL")):  # fmt: skip
        (node_folder(run).path / ERRORS).unlink(missing_ok=True)
        with (node_folder(run).path / ERRORS).open("wb") as err:
            process = subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE, stderr=err)
        attached = Attached(run, process)
        process.wait(DEADLINE_S)
        inner = Answers(tmp_path)
        inner._attached[str(run.path)] = attached
        assert inner.watching({"run": str(run.path)}) == f"no longer watched, the watcher ended: {said}"
        attached.close()
    assert Answers(tmp_path).watching({"run": "/none/of/ours"}) == ""


def test_it_may_hold_many_files_and_what_it_launches_may_not() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = Files()
    try:
        files.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
        with files.as_given():
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_ends_with_its_console(desk: Desk) -> None:
    with pytest.raises(DeskError):
        desk.ask("dance", {}, DEADLINE_S)
    process = desk._process
    assert process is not None
    desk.stop()
    process.wait(DEADLINE_S)
    with pytest.raises(DeskError, match="the console ends"):
        desk.ask("list", {}, DEADLINE_S)


def test_the_command_of_a_form_and_why_there_is_none(desk: Desk) -> None:
    form = {"script": "train.py", "ranks": "2", "inject": True, "target": {"python": "/t/python", "torch": "2.13.0"}}
    assert "--nproc-per-node=2" in desk.ask("plan", form, DEADLINE_S)["argv"]
    with pytest.raises(DeskError, match="name a script"):
        desk.ask("plan", {**form, "script": ""}, DEADLINE_S)
    with pytest.raises(DeskError, match="no torch in /t/python"):
        desk.ask("launch", {**form, "target": {"python": "/t/python"}}, DEADLINE_S)


# --- logs --------------------------------------------------------------------------------------------------------


def run_with_logs(tmp_path: Path, lines: int) -> str:
    run = rundir.create(tmp_path / "runs", "job")
    node = run.path / "nodes" / "host"
    node.mkdir(parents=True)
    with open(node / "watch.jsonl", "w") as watch:
        for rank in range(2):
            log = tmp_path / f"r{rank}.log"
            log.write_text("".join(f"2026-01-02 03:04:{n % 60:02}.{rank}00 line {n} of {rank}\n" for n in range(lines)))
            watch.write(json.dumps({"ev": "rank", "rank": rank, "attempt": 0, "stdout": str(log), "stderr": ""}) + "\n")
    return str(run.path)


def test_logs_by_pages_of_some_ranks_held_and_searched(desk: Desk, tmp_path: Path) -> None:
    run = run_with_logs(tmp_path, 30)
    asked: dict[str, Any] = {"run": run, "first": -5, "count": 5, "ranks": None, "hold": False}
    last = desk.ask("log", asked, DEADLINE_S)
    assert (last["total"], last["first"], len(last["lines"])) == (60, 55, 5)
    assert last["lines"][-1][4].endswith("line 29 of 1")
    one = desk.ask("log", {**asked, "ranks": [0], "first": 0, "hold": True}, DEADLINE_S)
    assert one["total"] == 30
    assert {row[1] for row in one["lines"]} == {0}
    with open(tmp_path / "r0.log", "a") as log:
        log.write("2026-01-02 03:05:00.000 Late One\n")
    held = {**asked, "ranks": [0], "first": 0, "hold": True}
    until(lambda: desk.ask("log", held, DEADLINE_S)["new"])
    assert desk.ask("log", held, DEADLINE_S)["total"] == 30, "held lines stay"
    find = {"run": run, "text": "line 7 ", "at": 0, "by": 1, "ranks": [0]}
    assert desk.ask("find", find, DEADLINE_S) == 7
    assert desk.ask("find", {**find, "text": "nowhere"}, DEADLINE_S) == -1
    until(lambda: desk.ask("log", {**held, "hold": False}, DEADLINE_S)["total"] == 31)
    desk.ask("close log", {"run": run}, DEADLINE_S)


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(b"%d" % n for n in range(50_000)) + b"\n\xff\n")
    assert tail(log, 3) == ["49998", "49999", "�"]


# --- the files of a run ------------------------------------------------------------------------------------------


def view_file(tmp_path: Path, host: str = "host") -> Path:
    node = tmp_path / "run" / "nodes" / host
    node.mkdir(parents=True)
    return node / "view.json"


def test_a_view_is_read_when_it_was_replaced_and_only_then(tmp_path: Path) -> None:
    path = view_file(tmp_path)
    read = job_files.views(str(tmp_path / "run"), FakeJobs())
    assert read() is None
    write_atomically(path, msgspec.json.encode(HEALTHY))
    first = read()
    assert first == HEALTHY
    assert read() is first
    write_atomically(path, msgspec.json.encode(CRASHED))
    assert read() == CRASHED


def test_a_view_of_a_later_version_says_so(tmp_path: Path) -> None:
    view_file(tmp_path).write_text('{"schema": 99, "job": "j", "state": "running"}')
    with pytest.raises(RunError, match="upgrade torchdoctor"):
        job_files.views(str(tmp_path / "run"), FakeJobs())()


def test_the_views_of_several_nodes_are_judged_by_the_desk(tmp_path: Path) -> None:
    for host in ("one", "other"):
        view_file(tmp_path, host).write_bytes(msgspec.json.encode(HEALTHY))
    desk = FakeJobs(answers={"view": msgspec.to_builtins(CRASHED)})
    assert job_files.views(str(tmp_path / "run"), desk)() == CRASHED
    assert desk.asked == [("view", {"run": str(tmp_path / "run")})]


def test_a_wish_for_evidence_reaches_every_node(tmp_path: Path) -> None:
    paths = [view_file(tmp_path, host) for host in ("one", "other")]
    assert job_files.diagnose(str(tmp_path / "run")) == "collecting evidence now"
    assert all((path.parent / "diagnose").exists() for path in paths)
    assert "nobody watches" in job_files.diagnose(str(tmp_path / "nothing"))


def test_an_export_is_the_job_document(tmp_path: Path) -> None:
    document = json.loads(Path(job_files.export(CRASHED, str(tmp_path))).read_bytes())
    assert document["verdict"]["ranks"] == [5]
    assert document["verdict"]["cause"] == "raised"
    assert [rank["exit"] for rank in document["ranks"]].count("exit code 1") == 1
