"""What a form asks for, as options and as a command line of ours."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest

from torchprobes.jobs.launch import LaunchError
from torchprobes.jobs.launch_form import command_line, options_of, shown
from torchprobes.model import Target

TARGET = msgspec.to_builtins(Target(python="/t/bin/python", torch="2.13.0"))


def form(**changes: Any) -> dict[str, Any]:
    return {
        "script": "train.py",
        "arguments": "--name 'a b'",
        "ranks": "2",
        "inject": True,
        "target": TARGET,
        **changes,
    }


def test_fields_are_words_as_a_shell_reads_them() -> None:
    options = options_of(form(torchrun="--max-restarts 3"))
    assert options.command == ("train.py", "--name", "a b")
    assert options.torchrun == ("--nproc-per-node=2", "--max-restarts", "3")
    assert options.launcher == "torchrun"
    assert options.inject


def test_ranks_among_the_options_win_over_the_field() -> None:
    assert options_of(form(torchrun="--nproc_per_node 4")).torchrun == ("--nproc_per_node", "4")


def test_the_probe_takes_the_place_of_the_script() -> None:
    options = options_of(form(ddp=True, alone=True))
    assert (options.preset, options.command, options.launcher) == ("ddp", (), "torchrun")


def test_a_script_that_starts_its_ranks_itself_gets_no_ranks() -> None:
    options = options_of(form(alone=True))
    assert (options.launcher, options.torchrun) == ("command", ())


@pytest.mark.parametrize("field", ["script", "arguments", "torchrun"])
def test_an_open_quote_is_one_line(field: str) -> None:
    with pytest.raises(LaunchError, match=f"{field}: no closing quotation"):
        options_of(form(**{field: "'"}))


def test_what_is_shown_is_the_plan_and_the_same_as_a_command_of_ours() -> None:
    said = shown(form(nccl_debug="INFO", inject=""))
    assert shlex.split(said["line"]) == [
        "torchdoctor", "launch", "--nproc-per-node=2", "--no-inject", "--nccl-debug", "INFO", "--", "train.py",
        "--name", "a b",
    ]  # fmt: skip
    assert said["argv"][:3] == ["/t/bin/python", "-m", "torch.distributed.run"]
    assert said["argv"][-3:] == ["train.py", "--name", "a b"]
    assert said["env"]["NCCL_DEBUG"] == "INFO"
    assert said["injected"] == []


def test_without_a_script_or_a_target_nothing_is_shown() -> None:
    with pytest.raises(LaunchError, match="name a script"):
        shown(form(script="", arguments=""))
    with pytest.raises(LaunchError, match="no Python with torch"):
        shown(form(target=None))


def test_the_line_of_the_probe_has_no_script() -> None:
    assert command_line(options_of(form(ddp=True)))[-2:] == ["--preset", "ddp"]
