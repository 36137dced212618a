"""ddp.allreduce through torchrun with two gloo ranks, once; and the parts that need no ranks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payload_modules import load
from rank_process import DDP, PAYLOADS, start_ranks

from torchprobes.jobs.ranks import Ranks
from torchprobes.judge import judge
from torchprobes.model import Event, Fact, Figure, Outcome, Readings, Verdict


def readings(events: Path, device: str = "cpu") -> Readings:
    """All that the ranks said, as a run that ended."""
    said = [
        msgspec.json.decode(line, type=Event)
        for file in sorted(events.iterdir())
        for line in file.read_bytes().splitlines()
    ]
    assert all(e.ok for e in said if e.ev == "end")
    figures = [e for e in said if e.ev == "figure" and isinstance(e.value, (int, float))]
    return Readings(
        probe=DDP.name,
        device=device,
        figures=tuple(
            Figure(name=e.name, value=float(e.value or 0), unit=e.unit, n=e.n, labels=e.labels) for e in figures
        ),
        facts=tuple(Fact(name=e.name, value=e.value, evidence=e.evidence) for e in said if e.ev == "fact"),
        outcome=Outcome(ending="ended"),
    )


def test_two_ranks_meet_reduce_rightly_and_train_to_the_same_bits(tmp_path: Path) -> None:
    # A name that resolves nowhere must not break a single node.
    started = start_ranks(tmp_path / "probe", environ={"GLOO_SOCKET_IFNAME": "", "MASTER_ADDR": "nowhere.invalid"})
    assert started.process.wait(timeout=150) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events)
    judgement = judge(DDP, said)
    assert judgement.verdict is Verdict.PASS, judgement
    made = said.figure("init_ok")
    assert made is not None
    assert (made.value, made.n) == (5, 5)
    sizes = {f.labels["size"]: f for f in said.figures if f.name == "allreduce_us"}
    assert set(sizes) == {"1 KiB", "1 MiB"}
    assert said.number("sums_checked") == 2 * sum(20 + f.n for f in sizes.values())
    assert said.number("sums_wrong") == 0
    distance = said.number("single_run_difference")
    assert distance is not None
    assert distance < 1e-5
    table = Ranks(started.events).poll()
    assert [(r.rank, r.state, r.device, r.steps) for r in table.rows] == [(n, "ended", "cpu", 196) for n in (0, 1)]
    assert table.broken_lines == 0
    logs = [p.name for p in (started.folder / "artifacts" / "logs").rglob("*.log")]
    assert sorted(logs) == ["stderr.log", "stderr.log", "stdout.log", "stdout.log"]


WATCHED = """
import time
import torchdoctor_kit as kit
import torchdoctor_watch as watching

def run(request):
    watch = watching.Watch("r0")
    watch.phase("reduce", 0.1)
    time.sleep(600)
"""


def test_a_phase_that_hangs_ends_the_process_with_a_fact_and_its_stacks(tmp_path: Path) -> None:
    (tmp_path / "watched.py").write_text(WATCHED)
    for name in ("events", "artifacts"):
        (tmp_path / name).mkdir()
    request = {"probe": DDP.name, "artifacts": str(tmp_path / "artifacts")}
    (tmp_path / "request.json").write_text(json.dumps(request))
    done = subprocess.run(
        [sys.executable, "-B", str(PAYLOADS / "bootstrap.py"), str(tmp_path / "watched.py")],
        env={"TORCHDOCTOR_REQUEST": str(tmp_path / "request.json"), "TORCHDOCTOR_EVENTS": str(tmp_path / "events")},
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    judgement = judge(DDP, readings(tmp_path / "events"))
    assert judgement.verdict is Verdict.FAIL
    assert [f.id for f in judgement.findings] == ["TD-DDP-001"]
    assert "rank 0 hung in phase reduce" in judgement.reason
    assert "watched.py" in (tmp_path / "artifacts" / "hang.r0.txt").read_text()


def test_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    collectives: Any = load(monkeypatch, "collectives")
    assert collectives.moments([2.0, 4.0, 6.0]) == (4.0, 2.0)
    assert collectives.moments([3.0]) == (3.0, 0.0)
    values = [float(n) for n in range(1, 101)]
    assert [collectives.quantile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert [collectives.name_of(size) for size in (1024, 1 << 20, 128 << 20)] == ["1 KiB", "1 MiB", "128 MiB"]


def test_the_wire_is_the_last_to_arrive_and_busbw_follows_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    collectives: Any = load(monkeypatch, "collectives")
    told: dict[str, float] = {}
    monkeypatch.setattr(collectives.kit, "figure", lambda name, value, unit, **_: told.update({name: value}))
    bench = collectives.Bench.__new__(collectives.Bench)
    bench.rank, bench.ranks, bench.backend, bench.clock = 0, 4, "nccl", collectives._HostClock()
    bench._tell(1 << 20, [[100.0, 130.0], [90.0, 100.0], [95.0, 400.0], [110.0, 120.0]])
    assert told["allreduce_us"] == 95.0
    assert told["allreduce_seen_us"] == 247.5
    assert told["arrival_skew_us"] == 160.0
    assert told["busbw_gb_s"] == pytest.approx((1 << 20) / 95e-6 * 1.5 / 1e9)


@pytest.mark.parametrize(
    ("version", "passed"),
    [("2.6.0+cu124", True), ("2.7.0", False), ("2.7.1", True), ("2.13.0", True), ("2.6.1", False)],
)
def test_device_id_is_left_out_where_it_hangs(monkeypatch: pytest.MonkeyPatch, version: str, passed: bool) -> None:
    ddp: Any = load(monkeypatch, "ddp", "collectives", "train", "watch")
    low, high = ddp.HANGS_WITH_DEVICE_ID
    assert (not low < ddp.release(version) < high) is passed


def test_ranks_that_cannot_meet_are_a_fail_with_the_words_of_each(tmp_path: Path) -> None:
    started = start_ranks(tmp_path / "probe", environ={"GLOO_SOCKET_IFNAME": "nowhere0"})
    assert started.process.wait(timeout=120) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    judgement = judge(DDP, readings(started.events))
    assert judgement.verdict is Verdict.FAIL
    assert [f.id for f in judgement.findings] == ["TD-DDP-002"]
    assert "0 of 5 communicators were made" in judgement.reason
    assert "nowhere0" in judgement.reason
    rows = Ranks(started.events).poll().rows
    assert [(r.rank, r.state) for r in rows] == [(0, "failed"), (1, "failed")]
    assert all(r.why.startswith("init failed: ") for r in rows)
