"""`--redact`: each door has its own level, says what it masked, and `none` shows all."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner, Result

from torchdoctor.commands import check, machine
from torchdoctor.commands._look import Look
from torchdoctor.commands._session import Ended
from torchprobes import rundir
from torchprobes.model import Finding, Fix, Inventory, Machine, Report, Severity, Target, Tier, Verdict
from torchprobes.model import Result as ProbeResult
from torchprobes.reports import write
from torchprobes.rundir import RunDir
from torchprobes.samples import HostSample, ProcessSample, Sample
from torchprobes.target import TargetChoice

SECRET, USER, HOST, UUID = "fish9876", "wilhelmina", "cobalt7", "GPU-f9c91a48-eb5b-a5f6-ef01-00e3694b7863"

MACHINE = Machine(
    host=HOST, boot_id="", kernel="6.1", arch="x86_64", os="Debian 12", cpu="c", cores=2, memory_bytes=1,
    inventory=Inventory(parts={"variable": {"HF_TOKEN": SECRET, "HOME": f"/home/{USER}"}}),
)  # fmt: skip
BAD = Finding(
    id="TD-CMP-001", severity=Severity.WARNING, seen=f"HF_TOKEN={SECRET} on {HOST}", why=f"{UUID} is {USER}'s",
    fix=Fix(command=f"rm -r /home/{USER}/.triton --password {SECRET}"),
)  # fmt: skip
RESULT = ProbeResult(
    name="env.identity", group="env", tier=Tier.QUICK, device="cpu", verdict=Verdict.DEGRADED, seconds=1.0,
    reason=f"{HOST}: token={SECRET}", findings=(BAD,),
)  # fmt: skip
TARGET = Target(python=f"/home/{USER}/env/bin/python3", torch="2.6.0")
PRIVATE = (USER, HOST, UUID)


def report() -> Report:
    return Report(
        torchdoctor="0", machine=MACHINE, target=TARGET, tier="quick", started="2026-01-02T03:04:05Z", seconds=1.0,
        verdict=Verdict.DEGRADED, results=(RESULT,),
    )  # fmt: skip


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run whose check came to that report at once."""
    made = rundir.create(place, "check", target=TARGET, tier="quick", device="cpu", probes=("env.identity",))
    monkeypatch.setattr(check, "new_run", lambda *_: made)
    monkeypatch.setattr(check, "run_to_its_end", lambda *_: Ended(report(), True, None))
    monkeypatch.setattr(check, "keep_quota", lambda *_: None)
    return made


def checked(*arguments: str) -> Result:
    said = CliRunner().invoke(check.check_, ["env.identity", *arguments], standalone_mode=False)
    assert said.exception is None, said.output
    return said


LEVELS = [("public", False, False), ("internal", False, True), ("none", True, True)]
"""(level, whether secrets are shown, whether people and places are)."""


@pytest.mark.parametrize(("level", "secrets", "places"), LEVELS)
@pytest.mark.parametrize("form", ["json", "junit", "text"])
def test_check_masks_at_the_level_that_was_asked_for(
    run: RunDir, form: str, level: str, secrets: bool, places: bool
) -> None:
    said = checked("--redact", level, *(() if form == "text" else (f"--{form}", "-"))).stdout
    assert (SECRET in said) is secrets
    assert [word in said for word in PRIVATE] == [places] * len(PRIVATE)


@pytest.mark.parametrize("form", ["json", "junit", "text"])
def test_what_check_says_of_itself_keeps_the_host_and_no_secret(run: RunDir, form: str) -> None:
    said = checked(*(() if form == "text" else (f"--{form}", "-"))).stdout
    assert SECRET not in said
    assert HOST in said
    assert "internal: masked " in said


def test_a_fix_stays_a_command_that_can_be_run(run: RunDir) -> None:
    assert f"rm -r /home/{USER}/.triton --password ***" in checked().stdout


def test_junit_says_what_was_masked(run: RunDir) -> None:
    suite = ElementTree.fromstring(checked("--junit", "-", "--redact", "public").stdout).find("testsuite")
    assert suite is not None
    assert suite.get("hostname") == "host-1"
    found = suite.find("properties/property")
    assert found is not None
    assert found.get("name") == "redaction"
    assert str(found.get("value")).startswith("public: masked 1 host, 1 user, ")


def test_what_is_kept_in_the_run_is_whole_and_its_report_has_no_secret(run: RunDir) -> None:
    run.results.write_bytes(msgspec.json.encode(RESULT) + b"\n")
    write.record_machine(run, MACHINE, ())
    whole = write.write(run)
    assert whole.results == (RESULT,)
    assert SECRET in run.results.read_text()
    kept = run.report.read_text()
    assert SECRET not in kept
    assert all(word in kept for word in PRIVATE)
    assert json.loads(kept)["redaction"].startswith("internal: masked ")
    assert write.collect(run).machine.inventory.parts["variable"]["HF_TOKEN"] == SECRET


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was looked at."""
    from torchprobes.telemetry.health import Judge

    host = HostSample(host=HOST, cores=2)
    process = ProcessSample(gpu_uuid=UUID, pid=17, user=USER, command=f"python --token {SECRET}")
    sample = Sample(
        t_ns=1, m_ns=1, driver="580.1", cuda="13.0", driver_state="ok", gpus=(), processes=(process,), host=host
    )  # fmt: skip
    looked = Look(sample, Judge({}).new_past(), (BAD,), f"{HOST} has a warning")
    choice = TargetChoice(chosen=TARGET, candidates=(), why=f"{USER} said so")
    monkeypatch.setattr(machine, "_choice", lambda _: choice)
    monkeypatch.setattr(machine, "_seen", lambda *_: (looked, MACHINE, choice))


@pytest.mark.parametrize(("level", "secrets", "places"), LEVELS)
@pytest.mark.parametrize("form", [(), ("--json", "--no-jobs")], ids=["text", "json"])
@pytest.mark.usefixtures("seen", "place")
def test_snapshot_masks_at_the_level_that_was_asked_for(
    form: tuple[str, ...], level: str, secrets: bool, places: bool
) -> None:
    said = CliRunner().invoke(machine.snapshot_, [*form, "--redact", level], standalone_mode=False)
    assert said.exception is None, said.output
    assert (SECRET in said.stdout) is (secrets and bool(form)), "text of a live node never shows a secret"
    assert [word in said.stdout for word in (USER, HOST)] == [places] * 2
