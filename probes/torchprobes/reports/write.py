"""A report from a run directory: whatever was asked for is in it, whether or not it came to an end."""

from __future__ import annotations

from pathlib import Path

import msgspec

from torchprobes import __version__, catalogue
from torchprobes.model import SCHEMA, Finding, Frozen, Machine, Report, Result, Target, Tier, Verdict, worst
from torchprobes.rundir import RunDir, RunError, RunInfo, decode, write_atomically

UNKNOWN_MACHINE = Machine(
    host="", boot_id="", kernel="", arch="", os="", cpu="", cores=0, memory_bytes=0
)  # fmt: skip
NO_TARGET = Target(python="", refusal="this run names no target")

CUT_OFF = ("interrupted", "cancelled")
"""How the reason of a result begins that only says that its probe was cut off: `--resume` runs it again."""


class MachineRecord(Frozen, frozen=True, kw_only=True):
    """`machine.json` in a run directory: the node that the run was made on, and its own findings."""

    schema: int = SCHEMA
    machine: Machine
    findings: tuple[Finding, ...] = ()


def record_machine(run: RunDir, machine: Machine, findings: tuple[Finding, ...]) -> None:
    """Keep the node's identity and findings in the run, so that a report can be made of it on any machine later.

    Raises:
        OSError: if it cannot be written.
    """
    record = MachineRecord(machine=machine, findings=findings)
    write_atomically(_machine_file(run), msgspec.json.encode(record))


def _machine_file(run: RunDir) -> Path:
    return run.path / "machine.json"


def _recorded(run: RunDir, info: RunInfo) -> MachineRecord:
    path = _machine_file(run)
    try:
        return decode(path.read_bytes(), MachineRecord, str(path))
    except (OSError, RunError):  # a run that was cut before its node was described
        return MachineRecord(machine=msgspec.structs.replace(UNKNOWN_MACHINE, host=info.host))


def finished_results(run: RunDir) -> dict[str, Result]:
    """The last result of each probe in `results.jsonl`; a line that was cut or is not a result is passed over."""
    try:
        lines = run.results.read_bytes().splitlines()
    except OSError:
        return {}
    found: dict[str, Result] = {}
    for line in lines:
        try:
            result = msgspec.json.decode(line, type=Result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        found[result.name] = result
    return found


def collect(run: RunDir) -> Report:
    """The report of a run as it stands: exactly the requested probes, in request order.

    A probe without a result is `error: interrupted`.

    Raises:
        RunError: if `run.json` is missing, broken or of a later schema.
    """
    info = run.info
    record, done = _recorded(run, info), finished_results(run)
    results = tuple(done.get(name) or _interrupted(name, info) for name in info.probes)
    return Report(
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


def write(run: RunDir) -> Report:
    """Make the report of a run and replace its `report.json` by it.

    Raises:
        RunError: if the run cannot be read, or the report not written; what was finished stays in the run.
    """
    report = collect(run)
    try:
        write_atomically(run.report, msgspec.json.encode(report))
    except OSError as error:
        raise RunError(
            f"cannot write {run.report}: {error.strerror}; the finished results stay in {run.results}"
        ) from None
    return report


def _interrupted(name: str, info: RunInfo) -> Result:
    row = next((probe for probe in catalogue.PROBES if probe.name == name), None)
    return Result(
        name=name,
        group=row.group if row else name.partition(".")[0],
        tier=row.tier if row else _tier(info.tier),
        device=info.device,
        verdict=Verdict.ERROR,
        reason="interrupted: this probe had no result when the run ended",
        seconds=0.0,
    )


def _tier(text: str) -> Tier:
    return Tier(text) if text in [tier.value for tier in Tier] else Tier.STANDARD
