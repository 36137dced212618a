"""`check` as a process: what it refuses before it starts, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from cli_process import Said, command, environment, torchdoctor, until

from torchprobes.model import SCHEMA, Report, Verdict
from torchprobes.rundir import RunDir, list_runs

DEADLINE_S = 90.0

TWO = ("export.signature", "env.identity")
"""Two probes that take seconds."""


def runs_of(home: Path) -> list[RunDir]:
    return list_runs(home / "state" / "runs")


def read(text: str | bytes) -> Report:
    return msgspec.json.decode(text, type=Report)


@pytest.fixture(scope="module")
def no_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has no torch: a bare environment."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    return folder / "bin" / "python"


# --- refused before anything starts ----------------------------------------------------------------------------------


def refused(home: Path, *arguments: str) -> str:
    said = torchdoctor(home, "check", *arguments)
    assert said.code == 2, said
    assert runs_of(home) == []
    return said.one_line()


def test_an_unknown_probe_names_what_is_near(tmp_path: Path) -> None:
    assert "did you mean 'compile.default'?" in refused(tmp_path, "compile.defualt")


def test_an_interpreter_that_is_missing_or_none_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a program")
    folder = tmp_path / "folder"
    folder.mkdir()
    for wrong in (str(tmp_path / "none"), str(text), str(folder), "/bin/true"):
        assert wrong in refused(tmp_path, "env", "--python", wrong)


def test_an_interpreter_without_torch_is_refused(tmp_path: Path, no_torch: Path) -> None:
    assert "torch" in refused(tmp_path, "env", "--python", str(no_torch))


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    assert "--out" in refused(tmp_path, "env", "--out", "/dev/null/runs")


@pytest.mark.parametrize("flag", ["--json", "--junit"])
def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path, flag: str) -> None:
    assert f"{flag} {tmp_path}/no/such.json" in refused(tmp_path, "env", flag, f"{tmp_path}/no/such.json")


def test_two_forms_cannot_share_stdout_and_detached_has_none(tmp_path: Path) -> None:
    assert "both want stdout" in refused(tmp_path, "env", "--json", "-", "--junit", "-")
    assert "--detach has no stdout" in refused(tmp_path, "env", "--json", "-", "--detach")


def test_read_only_refuses_on_either_side_of_the_command(tmp_path: Path) -> None:
    assert "--read-only is set" in refused(tmp_path, "env", "--read-only")
    said = torchdoctor(tmp_path, "--read-only", "check", "env")
    assert (said.code, "--read-only is set" in said.one_line()) == (2, True)


def test_a_run_that_is_not_there_or_of_a_later_torchdoctor_cannot_be_resumed(tmp_path: Path) -> None:
    assert "no run named 'gone'" in refused(tmp_path, "--resume", "gone")
    later = tmp_path / "later"
    later.mkdir()
    (later / "run.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    assert "upgrade torchdoctor" in refused(tmp_path, "--resume", str(later))
    assert "takes no names" in refused(tmp_path, "env", "--resume", str(later))


# --- run to its end --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def checked(home: Path) -> Said:
    """One real check with JSON on stdout and JUnit in a file."""
    return torchdoctor(home, "check", *TWO, "--device", "cpu", "--json", "-", "--junit", str(home / "junit.xml"))


def test_stdout_is_the_report_alone_in_request_order(checked: Said, home: Path) -> None:
    report = read(checked.out)
    assert [r.name for r in report.results] == ["export.signature", "env.identity"]
    assert report.machine.host
    assert report.target.torch
    assert report == read(runs_of(home)[0].report.read_bytes())
    assert set(json.loads(checked.out)) == set(Report.__struct_fields__)


def test_the_exit_code_is_the_reports(checked: Said) -> None:
    from torchprobes.reports import exit_codes

    assert checked.code == exit_codes.of_report(read(checked.out))


def test_stderr_tells_each_probe_the_run_and_the_counts(checked: Said, home: Path) -> None:
    assert {line.split()[2] for line in checked.lines if line.startswith("[")} == {"export.signature", "env.identity"}
    assert f"run: {runs_of(home)[0].path}" in checked.lines
    assert checked.lines[-1].startswith(f"{read(checked.out).verdict.value}: ")
    assert "\x1b" not in checked.err


def test_junit_tells_the_same(checked: Said, home: Path) -> None:
    cases = ElementTree.parse(home / "junit.xml").findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == [r.name for r in read(checked.out).results]


def test_the_run_is_finished_and_can_be_shown_again(checked: Said, home: Path) -> None:
    (run,) = runs_of(home)
    assert run.info.finished
    assert not run.alive()
    said = torchdoctor(home, "report", run.name[:12], "--json", "-")
    assert read(said.out) == read(checked.out)
    assert said.code == 0
    markdown = torchdoctor(home, "report", str(run.path), "--markdown", "-").out
    assert "export.signature" in markdown.replace("\\", "")
    text = torchdoctor(home, "report", str(run.report)).out
    assert text.splitlines()[-1].startswith(f"{read(checked.out).verdict.value}: ")
    assert run.name in torchdoctor(home, "runs").out


def test_a_full_disk_under_an_export_is_one_line_and_4_and_the_report_stays(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "check", "env", "--json", "/dev/full", "--fail-on", "never")
    assert said.code == 4
    (line,) = [line for line in said.lines if line.startswith("torchdoctor: ")]
    assert "--json /dev/full: cannot be written: No space left on device" in line
    assert read(runs_of(tmp_path)[0].report.read_bytes()).results[0].name == "env.identity"


def in_small_file_system(kibibytes: int, place: Path, words: list[str]) -> list[str]:
    """`words` as a command for a mount namespace in which `place` is a file system of that size, in memory."""
    mount = f"mount -t tmpfs -o size={kibibytes}k none {shlex.quote(str(place))}"
    return ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", f"{mount} && {shlex.join(words)}"]


def test_a_run_directory_that_fills_up_loses_no_result_of_the_report(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(in_small_file_system(64, place, ["true"]), capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own")
    words = command("check", *reversed(TWO), "--device", "cpu", "--as-root", "--out", str(place), "--json", "-")
    done = subprocess.run(
        in_small_file_system(40, place, words),
        env=environment(tmp_path), capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert [r.name for r in read(done.stdout).results] == ["env.identity", "export.signature"]
    assert done.returncode in (1, 4)
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "report.json: No space left on device" in line]
    assert "what could be written stays in" in line


# --- interrupted, resumed, detached ----------------------------------------------------------------------------------


def interrupted(home: Path, number: signal.Signals) -> subprocess.Popen[str]:
    """A check of two probes that got a signal while the first of them ran."""
    process = subprocess.Popen(
        command("check", "export.signature", "env.identity", "--device", "cpu", "--json", str(home / "report.json")),
        env=environment(home), cwd=home, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    while "runs" not in (line := process.stderr.readline()):
        assert line, "the check ended before it ran"
    process.send_signal(number)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_cancels_and_writes_the_report_and_resume_does_the_rest(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = interrupted(tmp_path, number)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    report = read((tmp_path / "report.json").read_bytes())
    assert [r.name for r in report.results] == ["export.signature", "env.identity"]
    assert Verdict.ERROR in [r.verdict for r in report.results]
    (run,) = runs_of(tmp_path)
    assert read(run.report.read_bytes()) == report
    if number is not signal.SIGINT:
        return
    resumed = torchdoctor(tmp_path, "check", "--resume", run.name, "--json", "-")
    after = read(resumed.out)
    assert [r.name for r in after.results] == ["export.signature", "env.identity"]
    assert Verdict.ERROR not in [r.verdict for r in after.results]
    assert len(runs_of(tmp_path)) == 1


def test_a_second_signal_ends_at_once_and_still_reports(tmp_path: Path) -> None:
    process = interrupted(tmp_path, signal.SIGINT)
    assert process.stderr is not None
    while "cancelling" not in (line := process.stderr.readline()):
        assert line, "it ended before it said that it cancels"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "Traceback" not in said
    report = read((tmp_path / "report.json").read_bytes())
    assert [r.name for r in report.results] == ["export.signature", "env.identity"]
    assert report.verdict is Verdict.ERROR


def test_detached_it_lives_in_its_own_session_and_finishes(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "check", "env.identity", "--detach", "--json", "report.json")
    assert said.code == 0
    run = RunDir(Path(said.out.strip()))
    pid = run.info.owner.pid
    if run.alive():
        assert os.getsid(pid) == pid
    until(lambda: run.info.finished is not None and (tmp_path / "report.json").exists(), "the detached check")
    assert [r.name for r in read((tmp_path / "report.json").read_bytes()).results] == ["env.identity"]
    until(lambda: not run.alive(), "its process to end")


def test_a_run_that_still_runs_is_neither_resumed_nor_deleted(tmp_path: Path) -> None:
    from torchprobes import rundir
    from torchprobes.model import Target

    run = rundir.create(tmp_path, "check", target=Target(python=sys.executable), probes=("env.identity",))
    said = torchdoctor(tmp_path, "check", "--resume", str(run.path))
    assert (said.code, f"still running as pid {os.getpid()}" in said.one_line()) == (2, True)
    said = torchdoctor(tmp_path, "runs", "delete", str(run.path), "--yes")
    assert (said.code, "still running" in said.one_line()) == (2, True)
    assert run.path.is_dir()
