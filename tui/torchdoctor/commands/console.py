"""The console, opened: the only place, with `logs`, where a screen is loaded."""

from __future__ import annotations

import gc
import threading
from importlib import import_module

import click

from torchdoctor.early import has_screen
from torchdoctor.settings import Settings

from ._options import settings_of


def open_console(
    ctx: click.Context, logs: str | None = None, replay: str | None = None, open_job: str | None = None
) -> int:
    """Open the console and return its exit code; in a pipe or under TERM=dumb, print the status instead.

    `logs` opens it on the Logs pane, on that folder or file; `replay` plays a recording in it; `open_job` opens it on
    the Jobs pane, on that job.
    """
    ctx.ensure_object(dict).update({"logs": logs, "replay": replay, "open_job": open_job})
    if not has_screen():
        return _without_screen(settings_of(ctx))
    import_behind()
    settings = settings_of(ctx)
    return _run(settings)


def _run(settings: Settings) -> int:
    """Show the screen until it ends; raises what ended it unforeseen, after the terminal was restored."""
    # Textual and the panes cost a quarter of a second: nobody else pays for them.
    from torchdoctor import later, terminal
    from torchdoctor.app import TorchDoctor

    capabilities = terminal.decide(settings)
    journal = later.OwnLog(settings.out)
    app = TorchDoctor(terminal.prepare(capabilities, settings), capabilities, behind=journal.start)
    try:
        app.run(mouse=capabilities.mouse)
    finally:
        app.sources.stop()
        journal.stop()
    if app._exception is not None:
        raise app._exception
    return app.return_code or 0


def import_behind() -> None:
    """Begin to import the screen while the settings wait for the child that reads `config.toml`.

    Without the garbage collector, which finds nothing in what is imported; the app turns it on after its first frame.
    """
    gc.disable()
    threading.Thread(target=import_module, args=("torchdoctor.app",), daemon=True, name="import").start()


def _without_screen(settings: Settings) -> int:
    if settings.logs is not None:
        raise click.UsageError("logs opens the console, which needs a terminal (TERM is dumb, or this is a pipe)")
    from .machine import show_status

    return show_status(settings)
