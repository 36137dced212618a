"""The command line: which command, which exit code, and one line for everything that goes wrong.

Commands are imported when they are asked for, so that `list` or `--version` start without a screen, and the console
without the headless half. No command prints a traceback; what nobody foresaw goes into the own log.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from torchprobes.reports import exit_codes

from .command_table import COMMANDS
from .commands._options import settings_options
from .commands._output import Undelivered, close_streams, note


class Commands(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{COMMANDS[cmd_name][0]}", __package__)
        command = getattr(module, f"{cmd_name}_")
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return _as_written(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with one line for a command that is not there."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their one line each; none is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _as_written(command: click.Command) -> click.Command:
    r"""Keep the lines of a help's paragraph that begins with \b: click wants the character, a raw docstring has two."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    return command


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from torchprobes import __version__

        click.echo(f"torchdoctor {__version__}")
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Its version.")
@settings_options("python", "target", "device", "out", "tier", "rate_hz", "theme", "colour", "ascii", "slow",
                  "read_only", "as_root", "force")  # fmt: skip
@click.pass_context
def torchdoctor(ctx: click.Context) -> int | None:
    r"""Is this GPU node healthy, and does its PyTorch really work?

    Without a command it opens the console. In a pipe, or under TERM=dumb, it says the same in plain lines.

    \b
    Exit codes: 0 nothing found · 1 fail or critical · 2 usage · 3 degraded or
    warnings · 4 incomplete (error, unsure) · 129, 130, 143 ended by a signal.
    """
    if ctx.invoked_subcommand is not None:
        return None
    from .commands.console import open_console

    return open_console(ctx)


_as_written(torchdoctor)


# --- errors and exit codes ---------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Every error is one line on stderr."""
    try:
        code = _invoke(list(arguments))
    except Exception as error:  # noqa: BLE001 - the last place: a person sees a line, the own log the traceback
        code = _told(error)
    return code if close_streams() else exit_codes.first([code, exit_codes.INCOMPLETE])


def _invoke(arguments: list[str]) -> int:
    try:
        code = torchdoctor.main(arguments, prog_name="torchdoctor", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return exit_codes.of_signal(2)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return code if isinstance(code, int) else exit_codes.OK


def _told(error: Exception) -> int:
    """Say an error in one line; the exit code that it means."""
    if isinstance(error, click.ClickException):
        note(f"torchdoctor: {_usage(error)}")
        return exit_codes.USAGE
    if _is_usage(error):
        note(f"torchdoctor: {error}")
        return exit_codes.USAGE
    if isinstance(error, Undelivered):
        note(f"torchdoctor: {error}")
        return exit_codes.INCOMPLETE
    from .journal import keep_traceback

    note(f"torchdoctor: internal error: {type(error).__name__}: {error}; {keep_traceback(error)}")
    return exit_codes.INCOMPLETE


_USAGE_ERRORS: Final = (
    ("torchdoctor.settings", "SettingsError"),
    ("torchprobes.catalogue", "UnknownProbe"),
    ("torchprobes.judge.cards", "UnknownCard"),
    ("torchprobes.rundir", "RunError"),
    ("torchprobes.target", "TargetError"),
    ("torchprobes.environment.likeness", "LikeError"),
    ("torchprobes.jobs.find", "JobError"),
    ("torchprobes.jobs.launch_plan", "LaunchError"),
    ("torchprobes.jobs.torchrun_options", "OptionError"),
    ("torchprobes.runner.capture_plan", "CaptureError"),
    ("torchprobes.compilelog.switches", "SwitchError"),
    ("torchprobes.jobs.nodes.asking", "ViaError"),
    ("torchprobes.jobs.nodes.slurm", "SlurmError"),
)
"""What a person can put right; the text of each is one line. A class whose module is not loaded was not raised."""


def _is_usage(error: Exception) -> bool:
    loaded = ((sys.modules.get(module), name) for module, name in _USAGE_ERRORS)
    return any(isinstance(error, getattr(module, name)) for module, name in loaded if module is not None)


def _usage(error: click.ClickException) -> str:
    """Click's own words on one line, and where the help is."""
    line = error.format_message().rstrip(".")
    ctx: Any = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "torchdoctor"
    return f"{line} (`{path} --help` shows how)"
