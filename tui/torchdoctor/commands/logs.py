"""`logs`: the console on somebody's logs."""

from __future__ import annotations

import os

import click

from ._options import settings_options
from .console import open_console


@click.command("logs")
@click.argument("path", metavar="DIR|FILE")
@settings_options("slow", "ascii", "colour", "theme", "read_only")
@click.pass_context
def logs_(ctx: click.Context, path: str) -> int:
    """Open the console on a log, a folder of logs, or a torch_compile_debug tree, also while it grows."""
    if not os.path.exists(path):
        raise click.UsageError(f"{path} does not exist: name a log, a folder of logs, or a torch_compile_debug tree")
    return open_console(ctx, os.path.abspath(path))
