"""Checks on a real GPU: chosen when it is idle, forked warm onto it, left when somebody comes. By hand, `-m gpu`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torchprobes import rundir
from torchprobes.catalogue import Probe
from torchprobes.judge.verdict import judge
from torchprobes.model import Judgement, Readings, Result, Target, Tier, Verdict
from torchprobes.runner.check import Check, Options
from torchprobes.runner.command import Command, Plan
from torchprobes.runner.snapshot import ProbeState
from torchprobes.runner.visible import view
from torchprobes.samples import Sample
from torchprobes.telemetry import Sampler

pytestmark = pytest.mark.gpu

DEADLINE_S = 120.0
LEAVE_S = 1.0
TARGET = Target(python=sys.executable, torch="2")

PAYLOAD = """
import os, sys, time
import torchdoctor_kit as kit

def run(request):
    torch = kit.import_torch()
    numbers = torch.arange(1024, dtype=torch.float64, device=request.device)
    kit.fact("answer", float((numbers * 2 + 1).sum()))
    kit.fact("visible", os.environ.get("CUDA_VISIBLE_DEVICES"))
    kit.fact("devices", torch.cuda.device_count())
    kit.fact("memory_limit", request.data["memory_limit_bytes"])
    kit.progress("holds")
    time.sleep(request.params["hold_s"])
"""

STRANGER = """
import sys, torch
torch.ones(1 << 20, device="cuda").sum().item()
print("holds", flush=True)
sys.stdin.read()
"""

ORDER = """
import torch
for index in range(torch.cuda.device_count()):
    print(getattr(torch.cuda.get_device_properties(index), "uuid", ""))
"""


def until(look: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not look():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    """The real telemetry of this node."""
    running = Sampler(rate_hz=2.0)
    running.start()
    until(lambda: running.latest()[1], "a first sample")
    sample = running.latest()[1]
    if sample is None or not sample.gpus:
        running.stop()
        pytest.skip("needs a GPU")
    yield running
    running.stop()


@contextmanager
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's program with a context on the first GPU."""
    with subprocess.Popen([sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        yield process
        process.kill()


def lenient(row: Probe, readings: Readings) -> Judgement:
    if readings.outcome.ending == "ended":
        return Judgement(verdict=Verdict.PASS, reason="ended", evidence=readings.evidence)
    return judge(row, readings)


def row(name: str, hold_s: float = 0.0, **fields: Any) -> Probe:
    return Probe(f"gpu.{name}", Tier.QUICK, "Does it run?", "kit", 120.0, {"hold_s": hold_s}, **fields)


def check_of(folder: Path, samples: Callable[[], Sample | None], *rows: Probe, options: Options | None = None) -> Check:
    payload = folder / "payload.py"
    payload.write_text(PAYLOAD)

    def build(_probe: Probe, _target: Target, _request: Mapping[str, Any], plan: Plan) -> Command:
        return Command(argv=(plan.python, "-B", plan.bootstrap, str(payload)))

    run = rundir.create(folder / "runs", "check", target=TARGET, probes=tuple(r.name for r in rows))
    return Check(run, TARGET, rows, options or Options(slots=2), {"plain": build}, judge=lenient, samples=samples)


def latest(sampler: Sampler) -> Callable[[], Sample | None]:
    return lambda: sampler.latest()[1]


def finish(check: Check) -> dict[str, Result]:
    check.start()
    assert check.wait(DEADLINE_S), check.view()
    return {view.name: view.result for view in check.view().probes if view.result is not None}


def facts(result: Result) -> dict[str, object]:
    return {fact.name: fact.value for fact in result.facts}


def await_idle(sampler: Sampler) -> None:
    """The processes of the test before this one are gone from the driver's list, which is read every three seconds."""
    until(lambda: (s := sampler.latest()[1]) is not None and not s.processes, "an idle node")


def test_an_idle_gpu_is_taken_by_its_uuid_within_a_budget_of_memory(tmp_path: Path, sampler: Sampler) -> None:
    await_idle(sampler)
    begin = time.monotonic()
    result = finish(check_of(tmp_path, latest(sampler), row("one")))["gpu.one"]
    assert result.verdict is Verdict.PASS, result
    said, sample = facts(result), sampler.latest()[1]
    assert said["answer"] == 1024.0**2
    assert said["devices"] == 1
    assert sample is not None
    assert said["visible"] in [gpu.uuid for gpu in sample.gpus]
    assert said["memory_limit"] == 4 << 30
    print(f"chosen, started and ended in {time.monotonic() - begin:.1f} s")


def test_forks_of_a_process_that_has_imported_torch_use_the_gpu(tmp_path: Path, sampler: Sampler) -> None:
    await_idle(sampler)
    rows = [row(name, warm=True) for name in ("one", "two", "three")]
    results = finish(check_of(tmp_path, latest(sampler), *rows))
    for result in results.values():
        assert result.verdict is Verdict.PASS, result
        assert facts(result)["answer"] == 1024.0**2
        (start,) = [e.text for e in result.evidence if e.kind == "start"]
        assert start.startswith("forked from a process that had imported torch"), start
        print(f"{result.name} {result.seconds:.2f} s, {start}")


@pytest.mark.parametrize("warm", [False, True])
def test_the_gpu_is_left_within_a_second_of_a_strangers_context(tmp_path: Path, sampler: Sampler, warm: bool) -> None:
    await_idle(sampler)
    rows = [row("one", 600.0, warm=warm), row("two", 600.0, warm=warm)]
    check = check_of(tmp_path, latest(sampler), *rows)
    check.start()
    holding = 1 if warm else 2  # a lane serves one after another
    until(lambda: sum(v.progress == "holds" for v in check.view().probes) == holding, "probes on the GPU")
    until(lambda: check._neighbours.processes, "the watch")
    time.sleep(1.0)  # each other's contexts have been seen by now, and are nobody's else
    assert all(v.state is not ProbeState.DONE for v in check.view().probes)
    pids = [pid for v in check.view().probes for pid in v.pids]
    with stranger() as other:
        came = time.monotonic()
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "their end")
        left_s = time.monotonic() - came
        check.cancel()
        assert check.wait(DEADLINE_S)
        results = [v.result for v in check.view().probes]
        assert results[0] is not None
        assert results[0].verdict is Verdict.SKIP
        assert f"pid {other.pid}" in results[0].reason
    print(f"left {left_s:.2f} s after the stranger's first answer: {results[0].reason}")
    assert left_s < LEAVE_S


def test_a_gpu_that_somebody_uses_is_not_taken(tmp_path: Path, sampler: Sampler) -> None:
    with stranger() as other:
        until(lambda: (s := sampler.latest()[1]) and other.pid in [p.pid for p in s.processes], "the stranger")
        sample = sampler.latest()[1]
        assert sample is not None
        results = finish(check_of(tmp_path, latest(sampler), row("one"), row("host", place="host")))
        if len(sample.gpus) == 1:
            assert results["gpu.one"].verdict is Verdict.SKIP
            assert f"pid {other.pid}" in results["gpu.one"].reason
        else:
            assert facts(results["gpu.one"])["visible"] == sample.gpus[1].uuid
        assert results["gpu.host"].device == "cpu"


def test_two_checks_do_not_share_a_gpu(tmp_path: Path, sampler: Sampler) -> None:
    await_idle(sampler)
    sample = sampler.latest()[1]
    assert sample is not None
    holder = check_of(tmp_path, latest(sampler), row("one", 600.0, gpus=len(sample.gpus)))
    holder.start()
    until(lambda: holder._claimed.claim is not None, "the claim")
    assert holder._claimed.now().refusal == ""
    reason = finish(check_of(tmp_path, latest(sampler), row("one")))["gpu.one"].reason
    holder.cancel()
    assert holder.wait(DEADLINE_S)
    assert "held by another check" in reason or "is used by" in reason


def test_in_exclusive_mode_probes_come_one_by_one_and_those_with_helpers_do_not(
    tmp_path: Path, sampler: Sampler
) -> None:
    """The mode cannot be set on a machine that is lent: the samples say it in its place."""
    await_idle(sampler)

    def exclusive() -> Sample | None:
        sample = sampler.latest()[1]
        if sample is None:
            return None
        gpus = tuple(msgspec.structs.replace(gpu, compute_mode="exclusive process") for gpu in sample.gpus)
        return msgspec.structs.replace(sample, gpus=gpus)

    rows = [row("one", 1.0), row("two", 1.0), row("helped", helpers=True)]
    check = check_of(tmp_path, exclusive, *rows)
    results = finish(check)
    assert results["gpu.helped"].verdict is Verdict.SKIP
    assert "one at a time" in results["gpu.helped"].reason
    spans = []
    for name in ("gpu.one", "gpu.two"):
        assert results[name].verdict is Verdict.PASS, results[name]
        lines = (check._run.probe(name) / "guardian.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        spans.append((records[0]["m_ns"], records[-1]["m_ns"]))
    (_, first_end), (second_start, _) = sorted(spans)
    assert first_end <= second_start


def test_torch_counts_gpus_as_we_say_that_it_does(sampler: Sampler) -> None:
    sample = sampler.latest()[1]
    assert sample is not None
    everything = ",".join(gpu.uuid for gpu in reversed(sample.gpus))
    for environ in ({}, {"CUDA_VISIBLE_DEVICES": everything}, {"CUDA_VISIBLE_DEVICES": "0"}):
        env = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"} | environ
        done = subprocess.run([sys.executable, "-c", ORDER], env=env, capture_output=True, text=True, check=True)
        theirs = [line.removeprefix("GPU-") for line in done.stdout.split("\n") if line]
        if not theirs:
            pytest.skip("this torch does not tell UUIDs")
        assert [seat.uuid.removeprefix("GPU-") for seat in view(sample, environ).seats] == theirs


def test_the_quick_tier_against_an_import_and_collect_env(tmp_path: Path) -> None:
    """Printed, not judged: the machine beside us decides on time."""

    def seconds(*argv: str) -> float:
        begin = time.monotonic()
        env = {**os.environ, "TORCHDOCTOR_STATE": str(tmp_path)}
        done = subprocess.run([sys.executable, *argv], capture_output=True, env=env, timeout=300, check=False)
        assert b"Traceback" not in done.stderr, done.stderr[-2000:]
        return time.monotonic() - begin

    seconds("-c", "import torch")
    quick = seconds("-m", "torchdoctor", "check", "--tier", "quick", "--python", sys.executable)
    base = seconds("-c", "import torch") + seconds("-m", "torch.utils.collect_env")
    print(f"check --tier quick {quick:.1f} s, import torch and collect_env {base:.1f} s: {quick / base:.2f} times")
    assert quick < 60
