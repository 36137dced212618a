"""The words of `launch`, taken apart: ours, torchrun's, and the script with its arguments.

Three parties share one command line. Ours are the options that the command has; everything else before the script is
torchrun's, in its order; the script begins after `--`, or, without one, at the first word that is neither an option
nor an option's value, and from there on nothing is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

FLAGS: Final = frozenset(
    {"--standalone", "-m", "--module", "--no-python", "--no_python", "--run-path", "--run_path",
     "--virtual-local-rank", "--virtual_local_rank"}
)  # fmt: skip
"""torchrun's options without a value (torch/distributed/run.py, `action=check_env`); all others take one."""

BEFORE_SCRIPT: Final = frozenset({"-m", "--module", "--no-python", "--no_python", "--run-path", "--run_path"})
"""What says how the script is run: understood on the right of `--` too, where people write `-- -m pkg.train`."""


@dataclass(slots=True)
class Words:
    """The parts, each in its own order."""

    ours: list[str] = field(default_factory=list)
    torchrun: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=list)


def split(words: Sequence[str], takes_value: dict[str, bool]) -> Words:
    """Take a command line apart; `takes_value` has our options, by flag."""
    parts, rest = Words(), list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return _with_script(parts, rest)
        if not word.startswith("-") or word == "-":
            return _with_script(parts, [word, *rest])
        name, joined = word.partition("=")[::2]
        mine = name in takes_value
        (parts.ours if mine else parts.torchrun).append(word)
        value = takes_value[name] if mine else name not in FLAGS
        if value and not joined and "=" not in word and rest and rest[0] != "--":
            (parts.ours if mine else parts.torchrun).append(rest.pop(0))
    return parts


def _with_script(parts: Words, rest: list[str]) -> Words:
    while rest and rest[0] in BEFORE_SCRIPT:
        parts.torchrun.append(rest.pop(0))
    parts.script = rest
    return parts


class PassingCommand(click.Command):
    """A command that hands on what is not its own: `ctx.meta[KEY]` has the parts."""

    KEY: Final = "torchdoctor.words"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is ours, keep the rest as it is."""
        parts = split(args, _options_of(self, ctx))
        ctx.meta[self.KEY] = parts
        return super().parse_args(ctx, parts.ours)


def _options_of(command: click.Command, ctx: click.Context) -> dict[str, bool]:
    """Our flags, and whether each takes a value."""
    found: dict[str, bool] = {}
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Option):
            value = not parameter.is_flag and not parameter.count
            found.update(dict.fromkeys([*parameter.opts, *parameter.secondary_opts], value))
    return found


def words_of(ctx: click.Context) -> Words:
    """The parts of the command line of a PassingCommand."""
    words: Any = ctx.meta[PassingCommand.KEY]
    return words if isinstance(words, Words) else Words()
