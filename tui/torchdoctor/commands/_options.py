"""The options that are settings: written once, taken by every command that they mean something to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import click

from torchdoctor.settings import Colour, Settings, device, load
from torchprobes.model import Tier

if TYPE_CHECKING:
    from torchprobes.reports.exit_codes import FailOn

_F = TypeVar("_F", bound=Callable[..., Any])


def _device(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else device(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no device: {error}") from None


_ROWS: Final[dict[str, tuple[list[str], dict[str, Any]]]] = {
    "python": (["--python"], {"metavar": "PY", "help": "The interpreter whose PyTorch is diagnosed."}),
    "target": (["--target"], {"metavar": "PREFIX", "help": "A launcher before it: 'docker exec -i trainer python'."}),
    "device": (["--device"], {"metavar": "D", "callback": _device, "help": "auto, cpu, cuda:N, xpu:N, mps …"}),
    "out": (["--out"], {"metavar": "DIR", "help": "Keep runs below this folder."}),
    "tier": (["--tier"], {"type": click.Choice([t.value for t in Tier]), "help": "How long probes may take in all."}),
    "rate_hz": (["--rate"], {"type": click.FloatRange(0.1, 10), "metavar": "HZ", "help": "Samples a second."}),
    "theme": (["--theme"], {"metavar": "NAME", "help": "The console's theme."}),
    "colour": (["--colour"], {"type": click.Choice(get_args(Colour)), "help": "How many colours to draw with."}),
    "ascii": (["--ascii"], {"is_flag": True, "help": "Signs and lines in ASCII."}),
    "slow": (["--slow"], {"is_flag": True, "help": "Draw less, for a slow line."}),
    "read_only": (["--read-only"], {"is_flag": True, "help": "No action that changes something."}),
    "as_root": (["--as-root"], {"is_flag": True, "help": "As root, run code that another user owns."}),
    "force": (["--force"], {"is_flag": True, "help": "Probe GPUs that are not idle, too."}),
}


def settings_options(*names: str) -> Callable[[_F], _F]:
    """Give a command the options of these settings; `settings_of(ctx)` has what they came to.

    They hold on the left of a command too (`torchdoctor --read-only runs`); the command's own wins.
    """

    def decorate(function: _F) -> _F:
        for name in reversed(names):
            flags, details = _ROWS[name]
            function = click.option(*flags, name, expose_value=False, **_remembering(name, details))(function)
        return function

    return decorate


def _remembering(name: str, details: dict[str, Any]) -> dict[str, Any]:
    check = details.get("callback")

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        checked = check(ctx, parameter, value) if check else value
        if checked not in (None, False):
            ctx.ensure_object(dict)[name] = Tier(checked) if name == "tier" else checked

    return {**details, "callback": callback}


def settings_of(ctx: click.Context) -> Settings:
    """All settings, merged; a note about one that could not be read goes to stderr."""
    from ._output import note

    settings = load(ctx.ensure_object(dict))
    if settings.note:
        note(f"torchdoctor: {settings.note}")
    return settings


def refuse_if_read_only(settings: Settings, what: str) -> None:
    """End a command that changes something when `--read-only` is set.

    Raises:
        click.UsageError: if it is.
    """
    if settings.read_only:
        raise click.UsageError(f"--read-only is set: {what}")


def json_flag(what: str) -> Callable[[_F], _F]:
    """A plain `--json` switch."""
    return click.option("--json", "as_json", is_flag=True, help=f"{what} as JSON.")


def fail_on_option(function: _F) -> _F:
    """`--fail-on`, whose values `exit_codes.FAIL_ON` lists."""
    from torchprobes.reports.exit_codes import FAIL_ON

    choice: list[FailOn] = list(FAIL_ON)
    text = "From which outcome on the exit code is not 0."
    return click.option("--fail-on", type=click.Choice(choice), default="degraded", show_default=True, help=text)(
        function
    )
