"""`capture` as a program: what goes through to the terminal, what is kept, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_process import Said, command, environment, torchdoctor, until

from torchdoctor.cli import run
from torchdoctor.commands._capture_tee import Tail, Tee
from torchprobes.runner.capture_pipes import BEFORE

SHORT_S = 60.0


def capture(home: Path, *arguments: str, **extra: str) -> Said:
    return torchdoctor(home, "capture", *arguments, environ=environment(home, **extra))


def runs(home: Path) -> list[Path]:
    return sorted((home / "state" / "runs").glob("2*"))


def only(home: Path) -> Path:
    (run,) = runs(home)
    return run / "capture"


def test_output_goes_through_and_the_exit_code_is_the_commands_own(tmp_path: Path) -> None:
    said = capture(tmp_path, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    folder = only(tmp_path)
    assert said.code == 7
    assert said.out == "out\n"
    assert "err" in said.lines
    assert said.lines[-1].startswith("torchdoctor: exit 7 after ")
    assert said.lines[-1].endswith(f"kept in {folder.parent}: torchdoctor logs {folder.parent.name}")
    assert (folder / "stdout.log").read_bytes() == b"out\n"
    assert json.loads((folder / "end.json").read_bytes())["exit_code"] == 7
    listed = torchdoctor(tmp_path, "runs")
    assert f"{folder.parent.name}  exit 7" in listed.out
    refused = torchdoctor(tmp_path, "report", folder.parent.name)
    assert "is a capture" in refused.one_line()
    explained = torchdoctor(tmp_path, "logs", folder.parent.name[:12], "--explain", "--json")
    assert json.loads(explained.out)["exit_code"] == 7


def test_json_has_stdout_alone_and_the_explanation_beside_the_end(tmp_path: Path) -> None:
    said = capture(tmp_path, "--switches", "trace", "--json", "-", "--", "sh", "-c", "echo out; kill -9 $$")
    told = json.loads(said.out)
    assert said.code == 137
    assert "out" in said.lines
    assert (told["exit_code"], told["signal"]) == (None, "SIGKILL")
    assert told["command"] == "sh -c 'echo out; kill -9 $$'"
    assert told["explanation"]["killed_by"] == "SIGKILL"
    assert told["explanation"]["graph_breaks"] is None, "no trace and no text of torch: nobody can tell"
    assert "TORCH_LOGS" not in told["environment"]


def test_quiet_hands_nothing_on_and_what_is_set_already_stays(tmp_path: Path) -> None:
    said = capture(tmp_path, "--quiet", "--", "sh", "-c", "echo $TORCH_LOGS", TORCH_LOGS="+dynamo", TORCH_TRACE="/t")
    assert said.out == ""
    assert (only(tmp_path) / "stdout.log").read_bytes() == b"+dynamo\n"
    assert any("TORCH_LOGS=+dynamo is yours and stays" in line for line in said.lines)
    assert any("TORCH_TRACE=/t is yours and stays: the trace lies there" in line for line in said.lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--read-only", "--", "true"), "--read-only is set"),
        (("--switches", "recompile", "--", "true"), "near it: recompiles"),
        (("--", "no-such-program"), "there is no program 'no-such-program'"),
        ((), "Missing argument"),
        (("--python", "/bin/true", "--", "true"), "name a Python interpreter"),
    ],
)
def test_what_cannot_be_is_one_line_and_makes_no_run(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert run(["capture", *arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert (out, line.startswith("torchdoctor: ")) == ("", True)
    assert says in line
    assert not place.exists()


BROKEN = """
import torch
@torch.compile(backend="eager")
def step(x):
    y = x + 1
    print("broken")
    return y * 2
step(torch.ones(3))
"""


@pytest.mark.trials
def test_a_compiled_program_is_explained_and_its_trace_is_written_once(tmp_path: Path) -> None:
    """By hand, for each new torch. Since 2.12 the debug flag writes a trace elsewhere, unless TORCH_TRACE is set."""
    (tmp_path / "broken.py").write_text(BROKEN)
    said = capture(tmp_path, "--switches", "debug", "--explain", "--json", "told.json", "--", "broken.py")
    told = json.loads((tmp_path / "told.json").read_bytes())
    assert said.code == 0
    assert "graph break" in said.out
    assert "broken.py:6" in said.out
    assert (told["python"], told["explanation"]["torch"]) == (sys.executable, told["torch"])
    assert [(each["line"], each["occurrences"]) for each in told["explanation"]["graph_breaks"]] == [(6, 1)]
    folder = only(tmp_path)
    assert [path.parent for path in folder.rglob("dedicated_log_torch_trace_*")] == [folder / "trace"]
    assert len(list((folder / "compile").rglob("debug.log"))) == 1


def heeds_interrupts() -> None:
    """As in a person's shell, also where these tests run in the background of one, which ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """`capture` as a process that goes on."""

    def __init__(self, home: Path, script: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            command("capture", "--", "sh", "-c", script), cwd=home, env=environment(home),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts,
        )  # fmt: skip
        until(lambda: any("up" in log.read_text() for log in self.logs()), "its first line")

    def logs(self) -> list[Path]:
        return list((self.home / "state" / "runs").glob("*/capture/stdout.log"))

    def ended(self) -> Said:
        out, err = self.process.communicate(timeout=SHORT_S)
        return Said(self.process.returncode, out, err)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_and_is_the_exit_code(tmp_path: Path, number: int, code: int) -> None:
    running = Running(tmp_path, f"trap - {number}; echo up; exec sleep 600")
    running.process.send_signal(number)
    assert running.ended().code == code


def test_a_command_that_heeds_no_signal_is_ended_by_a_second_one(tmp_path: Path) -> None:
    running = Running(tmp_path, "trap 'echo heard' INT; echo up; while :; do sleep 0.05; done")
    running.process.send_signal(signal.SIGINT)
    until(lambda: "heard" in running.logs()[0].read_text(), "the first signal")
    assert running.process.poll() is None, "it is the command's to answer"
    running.process.send_signal(signal.SIGINT)
    said = running.ended()
    assert said.code == 130
    assert "ended by a second signal" in said.lines[-1]
    assert said.out == "up\nheard\n"


def test_a_reader_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    program = "import sys; print('first', flush=True); [print(n) for n in range(30000)]; print('last', file=sys.stderr)"
    process = subprocess.Popen(
        command("capture", "--", sys.executable, "-c", program), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    assert process.wait(SHORT_S) == 0
    assert (only(tmp_path) / "stdout.log").read_bytes().endswith(b"29999\n")


# --- the tee -----------------------------------------------------------------------------------------------------


def teed(folder: Path, write: Any) -> tuple[bytes, bytes]:
    """What a tee hands on of what `write` writes, on stdout and on stderr."""
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        tee = Tee(folder, out.fileno(), err.fileno()).start()
        write(lambda part: until(lambda: part in (folder / "out").read_bytes(), repr(part)))
        assert tee.finish(SHORT_S)
    return (folder / "out").read_bytes(), (folder / "err").read_bytes()


def test_ranks_are_handed_on_line_by_line_with_their_number(tmp_path: Path) -> None:
    def write(seen: Any) -> None:
        for rank in (0, 1):
            place = tmp_path / "ranks" / "id" / "attempt_0" / str(rank)
            place.mkdir(parents=True)
            (place / "stdout.log").write_bytes(b"a\nha")
            (place / "stderr.log").write_bytes(b"e\n")
        seen(b"[default1]:a\n")
        with (tmp_path / "ranks/id/attempt_0/0/stdout.log").open("ab") as log:
            log.write(b"lf\nend")

    out, err = teed(tmp_path, write)
    assert sorted(out.splitlines()) == [
        b"[default0]:a",
        b"[default0]:end",
        b"[default0]:half",
        b"[default1]:a",
        b"[default1]:ha",
    ]
    assert sorted(err.splitlines()) == [b"[default0]:e", b"[default1]:e"]


@pytest.mark.parametrize("turns", [1, 2])
def test_a_stream_that_goes_on_in_new_files_is_handed_on_whole(tmp_path: Path, turns: int) -> None:
    log, before = tmp_path / "stdout.log", tmp_path / f"stdout.log{BEFORE}"
    log.write_bytes(b"one\n")
    tail = Tail(log)
    assert tail.read() == b"one\n"
    assert tail.read() == b""
    with log.open("ab") as file:
        file.write(b"two\n")
    for turn in range(turns):
        os.rename(log, before)
        log.write_bytes(b"turn %d\n" % turn)
    said = b"".join(tail.read() for _ in range(turns + 3))
    assert said == b"two\n" + b"".join(b"turn %d\n" % turn for turn in range(turns))
    tail.close()
