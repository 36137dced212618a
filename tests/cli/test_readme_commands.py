"""The README's commands are command lines that the program takes: every option in them is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from torchdoctor.cli import torchdoctor
from torchdoctor.command_table import COMMANDS
from torchdoctor.commands._job_words import PassingCommand, words_of
from torchprobes.jobs import torchrun_options

README = (Path(__file__).parents[2] / "README.md").read_text()


def lines() -> list[str]:
    """Each command line of a block for a shell, without what stands before and behind `torchdoctor`."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            match = re.search(r"(?:^|/|\$\()torchdoctor( [^#)]*)?", line)
            if match and "pip install" not in line:
                found.append("torchdoctor" + (match[1] or "").rstrip(' "'))
    return found


def manifest_command() -> list[str]:
    """The command of the pod in the manifest: a list in YAML's flow style."""
    (text,) = re.findall(r"command: \[(.*?)\]", README, re.DOTALL)
    return [word.strip() for word in text.replace("\n", " ").split(",")]


def parsed(words: list[str]) -> tuple[click.Command, click.Context]:
    """The command of a line and its parsed options; nothing is run."""
    context = click.Context(torchdoctor, info_name="torchdoctor")
    rest = torchdoctor.parse_args(context, list(words)) if words else []
    rest = [*getattr(context, "_protected_args", []), *context.args] or rest
    if not rest:
        return torchdoctor, context
    command = torchdoctor.get_command(context, rest[0])
    assert command is not None, f"there is no command {rest[0]!r}"
    return command, command.make_context(rest[0], rest[1:], parent=context)


@pytest.mark.parametrize("line", lines())
def test_a_command_of_the_readme_is_one_that_the_program_takes(line: str) -> None:
    command, context = parsed(shlex.split(line)[1:])
    if isinstance(command, PassingCommand):
        torchrun_options.read(words_of(context).torchrun, {})


def test_the_manifest_launches_what_it_says() -> None:
    words = manifest_command()
    assert words[:2] == ["torchdoctor", "launch"]
    _, context = parsed(words[1:])
    found = words_of(context)
    assert found.script == ["/app/train.py"]
    assert torchrun_options.read(found.torchrun, {}).value("rdzv-endpoint") == "train-0.train:29400"
    assert context.params["foreground"]


def test_the_readme_names_every_command() -> None:
    missing = [name for name in COMMANDS if not re.search(rf"`[^`]*\b{name}\b[^`]*`", README)]
    assert missing == []
