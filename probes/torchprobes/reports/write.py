"""A report from a run directory: whatever was asked for is in it, whether or not it came to an end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from torchprobes import __version__, catalogue
from torchprobes.environment import sampled_inventory
from torchprobes.model import REPORT_SCHEMA, Finding, Frozen, Machine, Report, Result, Target, Tier, Verdict, worst
from torchprobes.rundir import RunDir, RunError, RunInfo, decode, write_atomically
from torchprobes.runner.results import finished, runs_again
from torchprobes.samples import Sample

from .inventory import joined

UNKNOWN_MACHINE = Machine(
    host="", boot_id="", kernel="", arch="", os="", cpu="", cores=0, memory_bytes=0
)  # fmt: skip
NO_TARGET = Target(python="", refusal="this run names no target")


class MachineRecord(Frozen, frozen=True, kw_only=True):
    """`machine.json` in a run directory: the node that the run was made on, and its own findings."""

    schema: int = REPORT_SCHEMA
    machine: Machine
    findings: tuple[Finding, ...] = ()


GPU_IDENTITY = ("index", "uuid", "bus_id", "name", "memory_total_bytes", "power_limit_w")
"""What of a GPU's sample identifies it in a report; the rest changes by the second."""


def record_machine(run: RunDir, machine: Machine, findings: tuple[Finding, ...], sample: Sample | None = None) -> None:
    """Keep the node's identity and findings in the run, so that a report can be made of it on any machine later.

    Its GPUs, driver and CUDA are those of `sample`, and its inventory has what the sample says of them; what the sample
    could not read stays what `machine` says.

    Raises:
        OSError: if it cannot be written.
    """
    record = MachineRecord(machine=machine if sample is None else with_gpus(machine, sample), findings=findings)
    write_atomically(_machine_file(run), msgspec.json.encode(record))


def with_gpus(machine: Machine, sample: Sample) -> Machine:
    """The machine with the GPUs, driver and CUDA of a sample; what that could not read stays."""
    gpus = tuple({name: msgspec.to_builtins(getattr(gpu, name)) for name in GPU_IDENTITY} for gpu in sample.gpus)
    driver = sample.driver if isinstance(sample.driver, str) else machine.driver
    cuda = sample.cuda if isinstance(sample.cuda, str) else machine.cuda
    inventory = joined(machine.inventory, sampled_inventory(sample))
    return msgspec.structs.replace(machine, driver=driver, cuda=cuda, gpus=gpus, inventory=inventory)


def _machine_file(run: RunDir) -> Path:
    return run.path / "machine.json"


def _recorded(run: RunDir, info: RunInfo) -> MachineRecord:
    path = _machine_file(run)
    try:
        return decode(path.read_bytes(), MachineRecord, str(path))
    except (OSError, RunError):  # a run that was cut before its node was described
        return MachineRecord(machine=msgspec.structs.replace(UNKNOWN_MACHINE, host=info.host))


def collect(run: RunDir, told: Iterable[Result] = ()) -> Report:
    """The report of a run as it stands: exactly the requested probes, in request order.

    `told` are results that its runner holds, for when the disk took none of them. A probe without a result is
    `error: interrupted`.

    Raises:
        RunError: if `run.json` is missing, broken or of a later schema.
    """
    info = run.info
    record = _recorded(run, info)
    done = {**finished(run), **{result.name: result for result in told}}
    why = _why_missing(run, info)
    results = tuple(done.get(name) or _interrupted(name, info, why) for name in info.probes)
    report = Report(
        torchdoctor=__version__,
        machine=record.machine,
        target=info.target or NO_TARGET,
        tier=info.tier,
        started=info.started,
        seconds=info.seconds if info.seconds is not None else sum(r.seconds for r in results),
        verdict=worst([result.verdict for result in results]),
        results=results,
        findings=record.findings,
    )
    if not info.baseline:
        return report
    from . import baseline  # deferred: most runs have none

    return baseline.applied(report, run.path, info.baseline)


def write(run: RunDir, told: Iterable[Result] = ()) -> Report:
    """Make the report of a run and replace its `report.json` by it, without secrets: that file is what is handed over.

    Returns:
        The report as it was read.

    Raises:
        RunError: if the run cannot be read, or the report not written; what was finished stays in the run.
    """
    from .redaction import Level, Redactor  # deferred: patterns that nobody needs who only reads

    report = collect(run, told)
    try:
        write_atomically(run.report, msgspec.json.encode(Redactor(Level.INTERNAL).report(report)))
    except OSError as error:
        kept = f"what could be written stays in {run.path}"
        raise RunError(f"cannot write {run.report}: {error.strerror}; {kept}") from None
    return report


def unfinished(run: RunDir) -> tuple[str, ...]:
    """The requested probes without a result, or with one that only says that they were cut off.

    Raises:
        RunError: as `collect`.
    """
    return tuple(result.name for result in collect(run).results if runs_again(result))


def _why_missing(run: RunDir, info: RunInfo) -> str:
    if info.finished is None and run.alive():
        return f"interrupted: not finished yet, the check still runs as pid {info.owner.pid}"
    return "interrupted: this probe had no result when the run ended"


def _interrupted(name: str, info: RunInfo, why: str) -> Result:
    row = next((probe for probe in catalogue.PROBES if probe.name == name), None)
    return Result(
        name=name,
        group=row.group if row else name.partition(".")[0],
        tier=row.tier if row else _tier(info.tier),
        device=info.device,
        verdict=Verdict.ERROR,
        reason=why,
        seconds=0.0,
    )


def _tier(text: str) -> Tier:
    return Tier(text) if text in [tier.value for tier in Tier] else Tier.STANDARD
