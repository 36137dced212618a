"""Command lines as they are read: which Python runs them, where torchrun's own options stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from torchprobes.runner.capture_command import Command, program_missing, read, shown


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """bin/ with a Python, a shell, wrappers and scripts of every sort; train.py, which is no program."""
    programs = {
        "python3.11": "\x7fELF", "sh": "\x7fELF", "nice": "\x7fELF", "env": "\x7fELF", "srun": "\x7fELF",
        "torchrun": f"#!{tmp_path}/bin/python3.11\nfrom torch.distributed.run import main\n",
        "accelerate": "#!/usr/bin/env -S python3.11 -u\n",
        "vllm": f"#!/bin/sh\n'''exec' \"{tmp_path}/a b/python\" \"$0\" \"$@\"\n' '''\n",
        "wrapped": "#!/bin/bash\nexec python3.11 \"$@\"\n",
        "run.py": "#!/usr/bin/env python3.11\n",
    }  # fmt: skip
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "train.py").write_text("print()\n")
    return tmp_path


def reading(place: Path, line: str, **environ: str) -> Command:
    return read(shlex.split(line), {"PATH": f"{place}/bin", **environ}, str(place))


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("python3.11 train.py", "bin/python3.11"),
        ("bin/python3.11 train.py", "bin/python3.11"),
        ("nice -n 5 python3.11 train.py", "bin/python3.11"),
        ("env A=python B=1 nice python3.11 -m x", "bin/python3.11"),
        ("torchrun train.py", "bin/python3.11"),
        ("accelerate launch train.py", "bin/python3.11"),
        ("vllm serve m", "a b/python"),
        ("bin/run.py", "bin/python3.11"),
        ("run.py --x", "bin/python3.11"),
        ("sh -c 'python3.11 train.py'", ""),
        ("srun python3.11 train.py", ""),
        ("wrapped train.py", ""),
        ("no-such-program python3.11", ""),
    ],
)
def test_which_python_runs_it(place: Path, line: str, python: str) -> None:
    assert reading(place, line).python == (f"{place}/{python}" if python else "")


def test_a_python_file_and_a_module_get_an_interpreter(place: Path) -> None:
    assert reading(place, "train.py --lr 3").run_by("/py").argv == ("/py", "train.py", "--lr", "3")
    assert reading(place, "-m pkg.train").run_by("/py").argv == ("/py", "-m", "pkg.train")
    program = reading(place, "bin/run.py")
    assert program.run_by("/py") is program, "it is a program: it runs as it is"


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("torchrun --nproc-per-node 2 train.py -r x", "torchrun OURS --nproc-per-node 2 train.py -r x"),
        ("python3.11 -u -m torch.distributed.run t.py", "python3.11 -u -m torch.distributed.run OURS t.py"),
        ("python3.11 -W ignore -m torch.distributed.launch --use-env t.py --tee 3",
         "python3.11 -W ignore -m torch.distributed.launch OURS --use-env t.py --tee 3"),
        ("-m torch.distributed.run --standalone t.py", "/py -m torch.distributed.run OURS --standalone t.py"),
        ("nice torchrun -m pkg", "nice torchrun OURS -m pkg"),
        ("torchrun --tee 3 t.py", "torchrun --tee 3 t.py"),
        ("torchrun --nnodes 1 -r3 t.py", "torchrun --nnodes 1 -r3 t.py"),
        ("torchrun --standalone --log_dir=/x t.py", "torchrun --standalone --log_dir=/x t.py"),
        ("python3.11 train.py -m torch.distributed.run", "python3.11 train.py -m torch.distributed.run"),
        ("python3.11 -c 'pass' -m torch.distributed.run", "python3.11 -c pass -m torch.distributed.run"),
    ],
)  # fmt: skip
def test_ranks_write_into_files_unless_torchrun_was_told_where(place: Path, line: str, runs: str) -> None:
    logged = reading(place, line).run_by("/py").logging_ranks("/run/ranks")
    assert " ".join(logged.argv) == runs.replace("OURS", "--log-dir=/run/ranks --redirects=3")


def test_torchruns_own_variables_count_as_told(place: Path) -> None:
    command = reading(place, "torchrun t.py", PET_LOG_DIR="/theirs")
    assert command.logging_ranks("/run/ranks").argv == ("torchrun", "t.py")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("python3.11 x", ""),
        ("bin/python3.11 x", ""),
        ("nothing-such", "there is no program 'nothing-such' on PATH"),
        ("./nothing", "there is no ./nothing"),
        ("./train.py", "./train.py is not executable"),
        ("./bin", "./bin is not executable"),
    ],
)
def test_a_first_word_that_cannot_be_run(place: Path, line: str, why: str) -> None:
    argv = tuple(shlex.split(line))
    assert program_missing(Command(argv), {"PATH": f"{place}/bin"}, str(place)) == why


def test_the_line_of_a_shell_is_quoted() -> None:
    assert shown("/a b", {"X": "1 2"}, ("python", "it's.py")) == """cd '/a b' && env 'X=1 2' python 'it'"'"'s.py'"""
