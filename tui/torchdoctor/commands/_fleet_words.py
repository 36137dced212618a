"""The words of `fleet`, taken apart at `--`: ours, the probes' names among them, and the launcher's."""

from __future__ import annotations

from typing import Final

import click

LAUNCHER: Final = "torchdoctor.launcher"


class LaunchedCommand(click.Command):
    """A command whose words after the first `--` are a launcher's: `ctx.meta[LAUNCHER]` has them, None without."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is ours."""
        at = args.index("--") if "--" in args else None
        ctx.meta[LAUNCHER] = None if at is None else tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


def launcher_words(ctx: click.Context) -> tuple[str, ...]:
    """The words after `--`.

    Raises:
        click.UsageError: if there are none.
    """
    words: tuple[str, ...] | None = ctx.meta[LAUNCHER]
    if not words:
        raise click.UsageError("name what starts a command on your nodes after --: `-- srun -N 8`, `-- ssh {node}`")
    return words
