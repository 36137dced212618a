"""`launch`: a distributed job that outlives this command, this terminal and this ssh session."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from torchdoctor.early import has_screen
from torchdoctor.settings import Settings
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.nodes.allocation import Allocation, allocation

from ._job_headless import Headless
from ._job_words import PassingCommand, Words, words_of
from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import Destination


@click.command("launch", cls=PassingCommand, options_metavar="[TORCHRUN OPTIONS] [OPTIONS] -- SCRIPT [ARGS]...")
@settings_options("python", "target", "out", "force", "as_root", "read_only")
@click.option("--headless", is_flag=True, help="No console: a line a change, and the verdict at the end.")
@click.option(
    "--on-hang",
    type=click.Choice(["wait", "stop"]),
    default="wait",
    show_default=True,
    help="Headless: what to do once a hang is sure.",
)
@click.option("--json", "json_to", metavar="FILE|-", help="Headless: the job document at the end.")
@click.option("--foreground", is_flag=True, help="Headless: the job ends with this command, as a container's does.")
@click.option("--join", metavar="DIR", default="", help="One run directory on a shared file system for all nodes.")
@click.option("--as-is", is_flag=True, help="The command starts its ranks itself: accelerate launch, mp.spawn.")
@click.option("--preset", type=click.Choice(["ddp"]), help="The built-in DDP probe in place of a script.")
@click.option("--no-inject", is_flag=True, help="Put nothing into the ranks.")
@click.option("--verbose", is_flag=True, help="Show the whole command that runs, with what is ours in it.")
@click.option("--skip-preflight", is_flag=True, help="Do not look at ports, names, room and stale ranks first.")
@click.option("--compile-debug", is_flag=True, help="TORCH_COMPILE_DEBUG and TORCH_TRACE, into the run directory.")
@click.option("--torch-logs", metavar="WORDS", default="", help="TORCH_LOGS.")
@click.option("--nccl-debug", metavar="LEVEL", default="", help="NCCL_DEBUG, into files of the run directory.")
@click.option(
    "--distributed-debug",
    type=click.Choice(["OFF", "INFO", "DETAIL"]),
    help="TORCH_DISTRIBUTED_DEBUG; DETAIL can hang the init itself.",
)
@click.pass_context
def launch_(ctx: click.Context, /, **given: Any) -> int:
    r"""Launch a distributed job that outlives this terminal, and open the console on it.

    What is not listed here goes to torchrun as it is.

    \b
    torchdoctor launch --nproc-per-node 8 -- train.py --lr 3e-4
    torchdoctor launch --nproc-per-node 8 --headless --json - -- -m pkg.train
    torchdoctor launch --as-is -- accelerate launch train.py

    Exit codes of --headless: 0 no fault, 1 a cause was found, 4 not sure; 130 and
    143 when this command was interrupted, and the job goes on.
    """
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "launch starts a job")
    options = _options(words_of(ctx), given, settings)
    found = Allocation() if given["as_is"] else allocation()
    bound = given["foreground"] or os.getpid() == 1 or found.where == "step"
    headless = Headless(Destination.checked("--json", given["json_to"]), given["on_hang"] == "stop", bound)
    if found.where == "batch":
        from ._job_srun import over_srun

        return over_srun(settings, options, headless, found, skip_preflight=given["skip_preflight"])
    from ._job_launch import start

    made = start(
        settings, options, found,
        join=given["join"], skip_preflight=given["skip_preflight"], verbose=given["verbose"],
    )  # fmt: skip
    if given["headless"] or bound or headless.json_to or not has_screen():
        return headless.follow_own(made.run, made.node)
    from .console import open_console

    return open_console(ctx, open_job=str(made.run.path))


def _options(words: Words, given: Mapping[str, Any], settings: Settings) -> LaunchOptions:
    return LaunchOptions(
        torchrun=tuple(words.torchrun),
        command=tuple(words.script),
        launcher="command" if given["as_is"] else "torchrun",
        preset=given["preset"] or "",
        inject=not given["no_inject"],
        compile_debug=given["compile_debug"],
        torch_logs=given["torch_logs"],
        nccl_debug=given["nccl_debug"],
        distributed_debug=given["distributed_debug"] or "",
        as_root=settings.as_root,
    )
