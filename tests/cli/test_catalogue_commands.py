"""`list`, `explain` and the command line itself: what is not there is one line and 2."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import termios
from pathlib import Path

import pytest
from cli_process import command, environment, torchdoctor, until
from click.testing import CliRunner

from torchdoctor import cli
from torchdoctor.command_table import COMMANDS
from torchprobes import __version__
from torchprobes.catalogue import PROBES
from torchprobes.judge.cards import CARDS


def test_list_has_every_probe_as_json_and_as_text(tmp_path: Path) -> None:
    rows = json.loads(torchdoctor(tmp_path, "list", "--json").out)
    assert [set(row) for row in rows] == [{"name", "group", "tier", "title", "needs"}] * len(PROBES)
    assert [row["name"] for row in rows] == [probe.name for probe in PROBES]
    text = torchdoctor(tmp_path, "list").out
    assert all(probe.name in text and probe.title in text for probe in PROBES)
    assert all(need in text for probe in PROBES for need in probe.needs)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if line and line[0] != " "][:-1] == list(
        dict.fromkeys(probe.group for probe in PROBES)
    )
    assert all(len(line) <= 79 or "needs " in line for line in lines)
    assert lines[-1].startswith(f"{len(PROBES)} probes: ")


def test_a_family_of_cards_is_listed_by_the_beginning_of_their_ids(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "explain", "td-err")
    assert said.code == 0
    ids = [line.split()[0] for line in said.out.splitlines()]
    assert ids == [card.id for card in CARDS if card.id.startswith("TD-ERR-")]
    assert torchdoctor(tmp_path, "explain", "TD-XYZ").code == 2


def test_version_is_said_by_the_program_and_in_the_middle_of_a_line(tmp_path: Path) -> None:
    assert torchdoctor(tmp_path, "--version").out == f"torchdoctor {__version__}\n"
    assert torchdoctor(tmp_path, "--read-only", "--version").out == f"torchdoctor {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lst"], "did you mean 'list'"),
        (["frobnicate", "x"], "there is no command 'frobnicate'"),
        (["check", "--frobnicate"], "--frobnicate"),
        (["check", "--tier", "endless"], "'quick', 'standard', 'full'"),
        (["check", "--device", "cpu; rm"], "is no device"),
        (["--rate", "99", "status"], "0.1<=x<=10"),
        (["explain"], "ID|-"),
        (["explain", "TD-CMP-99999"], "there is no card"),
        (["report"], "RUN"),
        (["runs", "destroy"], "destroy"),
        (["list", "extra"], "extra"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, *arguments)
    assert said.code == 2
    assert words in said.one_line()


def test_a_wrong_variable_and_a_broken_config_file_are_one_line_and_2(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "runs", environ=environment(tmp_path, TORCHDOCTOR_RATE="fast"))
    assert (said.code, "TORCHDOCTOR_RATE" in said.one_line()) == (2, True)
    (tmp_path / ".config" / "torchdoctor").mkdir(parents=True)
    (tmp_path / ".config" / "torchdoctor" / "config.toml").write_text("rate = \n")
    said = torchdoctor(tmp_path, "runs")
    assert (said.code, "config.toml is not TOML" in said.one_line()) == (2, True)


def test_every_card_is_explained_in_79_columns() -> None:
    from torchdoctor.commands.catalogue import card_text

    for card in CARDS:
        text = card_text(card)
        assert " ".join(text.split()).startswith(f"{card.id} {card.title} ")
        whole = (card.fix.command if card.fix else "", f"source: {card.source}")
        assert all(len(line) <= 79 or line.strip() in whole for line in text.splitlines()), card.id


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    said = CliRunner().invoke(cli.torchdoctor, [name, "--help"], prog_name="torchdoctor")
    assert said.exit_code == 0
    assert said.stdout.startswith(f"Usage: torchdoctor {name}")
    assert said.stderr == ""


def test_a_pasted_traceback_leads_to_its_card_and_cannot_style_the_terminal(tmp_path: Path) -> None:
    pasted = 'Traceback (most recent call last):\n  File "x.py", line 1\nInvalidCxxCompiler: \x1b[2J none\n'
    said = torchdoctor(tmp_path, "explain", "-", stdin=pasted)
    assert said.code == 0
    assert said.out.startswith("line 3: InvalidCxxCompiler:  none\n\nTD-CMP-001  ")
    said = torchdoctor(tmp_path, "explain", "-", stdin="nothing that anybody knows\n" * 1000)
    assert (said.code, "No card knows" in said.out) == (0, True)


def test_a_paste_of_fifty_megabytes_is_answered_from_its_end(tmp_path: Path) -> None:
    pasted = "INFO a line of a log that says nothing\n" * (50 * 1024 * 1024 // 39)
    pasted += (
        '  File "train.py", line 88, in step\nRuntimeError: CUDA error: an illegal memory access was encountered\n'
    )
    said = torchdoctor(tmp_path, "explain", "-", stdin=pasted)
    assert said.code == 0
    first, note = said.out.splitlines()[:2]
    assert first == f"line {pasted.count(chr(10))}: RuntimeError: CUDA error: an illegal memory access was encountered"
    assert note.startswith('Asynchronous: the GPU told it at a later call, so File "train.py", line 88,')


def test_bytes_that_are_no_text_are_answered(tmp_path: Path) -> None:
    done = subprocess.run(command("explain", "-"), env=environment(tmp_path), input=bytes(range(256)) * 4096,
                          capture_output=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0
    assert b"No card knows" in done.stdout
    assert done.stderr == b""


def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("explain", "-"), env=environment(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("a first line\n")
    process.stdin.flush()
    pipe = process.stdin.fileno()
    until(lambda: not any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))), "it to take the line and wait for more")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said.strip()) == (130, "")
