"""`diagnose`: a job now, or, with `--at TIME`, what the flight recorder saw when nobody was there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from torchdoctor.status import cell_text
from torchprobes.distributed import JobView
from torchprobes.model import SCHEMA
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain
from torchprobes.telemetry.recording.account import Account, Change, give_account
from torchprobes.telemetry.recording.file import RecordingError
from torchprobes.telemetry.verdict import verdict_of

from ._flight import find_folder
from ._options import settings_of, settings_options
from ._output import say, say_bytes, say_document
from ._readings import event_line, gpu_lines, past_of, process_lines
from ._table import finding_lines
from ._when import TIME_HELP, local, moment_ns, span, span_words
from .runs import terminal_width

if TYPE_CHECKING:
    from torchprobes.jobs.compiling import Compiling


@click.command("diagnose")
@click.argument("what", required=False, metavar="[RUN|PID|KEY|JOBID]")
@click.option("--via", metavar="PREFIX", help="Ask every node: 'ssh {node}', 'kubectl exec -i {node} --' …")
@click.option("--nodes", metavar="A,B…", help="Which nodes; of a Slurm job, Slurm says it.")
@click.option("--program", metavar="CMD", help="What torchdoctor is called on the nodes.")
@click.option("--deadline", type=click.FloatRange(1, 120), default=10.0, show_default=True, help="Seconds a node.")
@click.option("--sure", is_flag=True, help="Look again two seconds later: only then a hang is sure.")
@click.option("--at", metavar="TIME", help=f"What was there then, from the flight recorder. {TIME_HELP}")
@click.option("--ring", metavar="DIR|FILE", help="A recording; else this node's flight recorder.")
@click.option("--window", callback=span, default="10m", show_default=True, metavar="SPAN", help="Events within it.")
@click.option("--json/--text", "as_json", default=False, help="As JSON, or as text (the default).")
@settings_options("out", "read_only")
@click.pass_context
def diagnose_(ctx: click.Context, /, what: str | None, at: str | None, as_json: bool, **given: Any) -> int:
    r"""Why a job is stuck or which rank failed first, from evidence collected now; or what was there --at a time.

    It looks at the job twice within two seconds and sends it nothing. Of a job on several nodes every node is asked;
    one that gives no answer is told as such. Of any process, named by its pid, it says whether torch.compile is at
    work in it, in which phase, and for which line of the program.

    \b
    torchdoctor diagnose torchrun:abc
    torchdoctor diagnose 4242
    torchdoctor diagnose 1234567 --via "srun --overlap --jobid={job} -N1 -n1 -w {node}"
    torchdoctor diagnose torchrun:abc --via "ssh {node}" --nodes n1,n2
    torchdoctor diagnose 20261126T0312 --at 03:40
    torchdoctor diagnose --at -15m --window 30m --ring /var/lib/torchdoctor/flight

    Exit codes of a job: 0 no fault, 1 a cause was found, 4 not sure.
    """
    if at is not None:
        if what is not None and given["via"]:
            raise click.UsageError("--at reads this node's flight recorder: it goes with no --via")
        return _then(ctx, what, at, given, as_json=as_json)
    if what is None:
        raise click.UsageError(f"say which job (`torchdoctor jobs` lists them), or when with --at: {TIME_HELP}")
    return _now(ctx, what, given, as_json=as_json)


def _now(ctx: click.Context, what: str, given: Mapping[str, Any], *, as_json: bool) -> int:
    """A job, from evidence of this moment."""
    from ._job_compiling import alone, is_torch, look_at
    from ._job_diagnose import Far, diagnose

    nodes = tuple(filter(None, (given["nodes"] or "").split(",")))
    far = Far(given["via"] or "", nodes, given["program"] or "", given["deadline"], given["sure"])
    with ThreadPoolExecutor(1, thread_name_prefix="compiling") as beside:
        looked = beside.submit(lambda: None if far.given else look_at(what))
        try:
            view = diagnose(settings_of(ctx), what, far)
        except click.UsageError:
            found = looked.result()
            if found is None or not is_torch(found):
                raise
            say_bytes(alone(found, as_json, terminal_width()))
            return exit_codes.INCOMPLETE if found.state == "not sure" else exit_codes.OK
        return _say_job(view, as_json=as_json, compiling=looked.result())


def _then(ctx: click.Context, what: str | None, at: str, given: Mapping[str, Any], *, as_json: bool) -> int:
    """What was there then: a run of ours by what its nodes had collected, else the node by its flight recorder."""
    at_ns, settings = moment_ns(at), settings_of(ctx)
    if what is not None:
        from ._job_diagnose import diagnose_then

        return _say_job(diagnose_then(settings, what, at_ns), as_json=as_json)
    try:
        ring = given["ring"]
        path = Path(ring).absolute() if ring is not None else find_folder(settings, at_ns)
        account = give_account(path, at_ns, given["window"], settings.thresholds)
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        say_document(document(account))
    else:
        say("\n".join(_lines(account, terminal_width())) + "\n")
    return _code(account)


def _say_job(view: JobView, *, as_json: bool, compiling: Compiling | None = None) -> int:
    from ._job_compiling import compiling_lines, with_compiling
    from ._job_text import document_of, exit_code, job_lines

    if as_json:
        say_bytes(with_compiling(document_of(view), compiling))
    else:
        told = [] if compiling is None else [*compiling_lines(compiling, terminal_width()), ""]
        say("\n".join((*told, *job_lines(view, terminal_width()))) + "\n")
    return exit_code(view)


def _code(account: Account) -> int:
    """By the findings; nothing is known of a gap."""
    found = exit_codes.of_findings(account.health.findings) if not account.gap else []
    return exit_codes.first([*found, *([exit_codes.INCOMPLETE] if account.gap else [])])


def document(account: Account) -> dict[str, Any]:
    """`--json`: known keys are never left out; `sample` is null where the recording begins later."""
    found: dict[str, Any] = msgspec.to_builtins(account)
    health = found.pop("health")
    verdict = verdict_of(account.sample, account.health.findings).value if account.sample is not None else "unsure"
    rest = {"findings": health["findings"], "verdict": "unsure" if account.gap else verdict, "line": health["line"]}
    return {"schema": SCHEMA, **found, **rest}


# --- for a person ------------------------------------------------------------------------------------------------


def _lines(account: Account, width: int) -> Iterator[str]:
    sample = account.sample
    yield plain(f"{account.host}  at {local(account.asked_ns)}  ({account.recording})", width)
    if account.gap:
        yield plain(f"NOT RECORDED: {account.gap}")
    if sample is not None:
        late = (account.asked_ns - sample.t_ns) / 1e9
        yield f"the sample of {local(sample.t_ns)}, {span_words(late)} before"
        yield from gpu_lines(sample, account.health.findings, past_of(account), width)
        yield from process_lines(sample, width)
        for finding in account.health.findings:
            yield from finding_lines(finding, width)
    yield from _happened(account, width)
    if account.health.line:
        yield plain(mask(account.health.line))


def _happened(account: Account, width: int) -> Iterator[str]:
    around = span_words(account.window_s)
    yield f"events within {around} of it: {len(account.events) or 'none'}"
    for event in account.events:
        yield "  " + event_line(event, account.sample, width - 2)
    yield f"worse than {around} before: {len(account.changes) or 'nothing'}"
    for change in account.changes:
        yield plain(f"  {change.where}: {_change(change)}", width)
    for note in account.notes:
        yield plain(mask(f"recorder  {local(note.t_ns)}  {note.text}"), width)
    if account.broken:
        yield f"{account.broken} lines of the recording are broken and were left out"


def _change(change: Change) -> str:
    return mask(f"{change.cell} {cell_text(change.before)} -> {cell_text(change.after)}")
