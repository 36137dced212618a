"""ddp.allreduce through torchrun with two gloo ranks, once; and the parts that need no ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payload_modules import load
from rank_process import DDP, PAYLOADS, start_ranks

from torchprobes.catalogue import PROBES
from torchprobes.jobs.ranks import Ranks
from torchprobes.judge.verdict import judge
from torchprobes.model import Event, Fact, Figure, Outcome, Readings, Verdict


def readings(events: Path, device: str = "cpu", probe: str = DDP.name) -> Readings:
    """All that the ranks said, as a run of `probe` that ended."""
    said = [
        msgspec.json.decode(line, type=Event)
        for file in sorted(events.iterdir())
        for line in file.read_bytes().splitlines()
    ]
    assert all(e.ok for e in said if e.ev == "end")
    figures = [e for e in said if e.ev == "figure" and isinstance(e.value, (int, float))]
    return Readings(
        probe=probe,
        device=device,
        figures=tuple(
            Figure(name=e.name, value=float(e.value or 0), unit=e.unit, n=e.n, labels=e.labels) for e in figures
        ),
        facts=tuple(Fact(name=e.name, value=e.value, evidence=e.evidence) for e in said if e.ev == "fact"),
        outcome=Outcome(ending="ended"),
    )


EVERYTHING = {"part": "init+allreduce+training", "cycles": 5}
GRADIENTS = "257 KiB"
SIZES = {"8 B", "1 KiB", "64 KiB", "1 MiB", "16 MiB", GRADIENTS}
"""Of the CPU, and as many bytes as the training's gradients."""


def test_two_ranks_meet_reduce_rightly_and_train_to_the_same_bits(tmp_path: Path) -> None:
    # A name that resolves nowhere must not break a single node.
    environ = {"GLOO_SOCKET_IFNAME": "", "MASTER_ADDR": "nowhere.invalid"}
    started = start_ranks(tmp_path / "probe", environ=environ, params=EVERYTHING)
    assert started.process.wait(timeout=240) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    for probe in [p for p in PROBES if p.group == "ddp"]:
        judgement = judge(probe, readings(started.events, probe=probe.name))
        assert judgement.verdict is Verdict.PASS, judgement
        assert {f.id for f in judgement.findings} <= {"TD-DDP-012"}  # the machine may be busy
    said = readings(started.events)
    made = {f.n: f.value for f in said.figures if f.name == "init_ok"}
    assert made == {5: 5, 1: 1}
    low = [f.value for f in said.figures if f.name == "init_share_low" and f.n == 5]
    assert low == [pytest.approx(0.05 ** (1 / 5), abs=1e-9)]
    sizes = {f.labels["size"]: f for f in said.figures if f.name == "allreduce_us"}
    assert set(sizes) == SIZES
    assert sizes[GRADIENTS].n == 190
    for name in ("allreduce_queued_us", "allreduce_host_us"):
        alone = {f.labels["size"]: f for f in said.figures if f.name == name}
        assert set(alone) == SIZES - {GRADIENTS}
        assert all(f.value > 0 and f.n >= 20 for f in alone.values())
    assert {f.labels["size"] for f in said.figures if f.name == "busbw_queued"} == {"1 MiB", "16 MiB"}
    sums = [f.value for f in said.figures if f.name == "sums_checked"]
    warm_ups = {"16 MiB": 5}
    timed = sum(f.n + warm_ups.get(size, 20) for size, f in sizes.items() if size != GRADIENTS)
    assert sums == [2 * timed, 2 * 200]
    assert [f.value for f in said.figures if f.name == "sums_wrong"] == [0, 0]
    for name in ("single_run_difference", "single_run_loss_difference"):
        distance = said.number(name)
        assert distance is not None
        assert distance < 1e-5, name
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
    watch = watching.Watch("r0", lambda: kit.fact("last.words", "said"))
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
    said = readings(tmp_path / "events")
    judgement = judge(DDP, said)
    assert judgement.verdict is Verdict.FAIL
    assert [f.id for f in judgement.findings] == ["TD-DDP-001"]
    assert said.fact("last.words") is not None
    assert "rank 0 hung in phase reduce" in judgement.reason
    assert "watched.py" in (tmp_path / "artifacts" / "hang.r0.txt").read_text()


def test_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    collectives: Any = load(monkeypatch, "collectives")
    assert collectives.moments([2.0, 4.0, 6.0]) == (4.0, 2.0)
    assert collectives.moments([3.0]) == (3.0, 0.0)
    values = [float(n) for n in range(1, 101)]
    assert [collectives.quantile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    sizes = {8: "8 B", 1024: "1 KiB", 264704: "258 KiB", 1 << 20: "1 MiB", 128 << 20: "128 MiB", 1 << 30: "1 GiB"}
    assert {size: collectives.name_of(size) for size in sizes} == sizes


@pytest.mark.parametrize(
    ("good", "tried", "low"), [(20, 20, 0.8609), (5, 5, 0.5493), (1, 1, 0.05), (19, 20, 0.7839), (0, 3, 0.0), (0, 0, 0)]
)
def test_what_a_rate_of_success_proves(monkeypatch: pytest.MonkeyPatch, good: int, tried: int, low: float) -> None:
    collectives: Any = load(monkeypatch, "collectives")
    assert collectives.lower_bound(good, tried) == pytest.approx(low, abs=1e-4)


def test_sizes_keep_to_half_of_what_is_free_and_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    collectives: Any = load(monkeypatch, "collectives")

    def within(free: int, limit: int | None) -> int:
        torch = type("Torch", (), {"cuda": type("Cuda", (), {"mem_get_info": staticmethod(lambda where: (free, 1))})})
        return max(collectives.sizes_within(torch, type("Where", (), {"type": "cuda"}), limit))

    gib = 1 << 30
    assert [within(80 * gib, None), within(80 * gib, 4 * gib), within(80 * gib, 3 * gib), within(6 * gib, None)] == [
        gib,
        gib,
        128 << 20,
        128 << 20,
    ]


def test_the_wire_is_the_last_to_arrive_and_busbw_follows_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    collectives: Any = load(monkeypatch, "collectives")
    told: dict[str, float] = {}
    monkeypatch.setattr(collectives.kit, "figure", lambda name, value, unit, **_: told.update({name: value}))
    bench = collectives.Bench.__new__(collectives.Bench)
    bench.rank, bench.ranks, bench.backend, bench.clock = 0, 4, "nccl", collectives._HostClock()
    bench._tell_rows(1 << 20, [[100.0, 130.0], [90.0, 100.0], [95.0, 400.0], [110.0, 120.0]])
    assert told["allreduce_us"] == 95.0
    assert told["allreduce_seen_us"] == 247.5
    assert told["arrival_skew_us"] == 160.0
    assert told["busbw"] == pytest.approx((1 << 20) / 95e-6 * 1.5)
    assert "allreduce_p99_us" not in told  # of two samples


@pytest.mark.parametrize(
    ("version", "passed"),
    [("2.6.0+cu124", True), ("2.7.0", False), ("2.7.1", True), ("2.13.0", True), ("2.6.1", False)],
)
def test_device_id_is_left_out_where_it_hangs(monkeypatch: pytest.MonkeyPatch, version: str, passed: bool) -> None:
    ddp: Any = load(monkeypatch, "ddp", "collectives", "nccl_log", "train", "watch")
    low, high = ddp.HANGS_WITH_DEVICE_ID
    assert (not low < ddp.release(version) < high) is passed


@pytest.mark.trials
def test_ranks_that_cannot_meet_are_a_fail_with_the_words_of_each(tmp_path: Path) -> None:
    params = {"part": "init"}
    started = start_ranks(tmp_path / "probe", environ={"GLOO_SOCKET_IFNAME": "nowhere0"}, params=params)
    assert started.process.wait(timeout=120) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    judgement = judge(DDP, readings(started.events))
    assert judgement.verdict is Verdict.FAIL
    assert [f.id for f in judgement.findings] == ["TD-DDP-002"]
    assert "0 of 3 communicators were made" in judgement.reason
    assert "nowhere0" in judgement.reason
    rows = Ranks(started.events).poll().rows
    assert [(r.rank, r.state) for r in rows] == [(0, "failed"), (1, "failed")]
    assert all(r.why.startswith("init failed: ") for r in rows)


# --- what NCCL says of itself --------------------------------------------------------------------------------------

NCCL_LOG = """
node1:77:77 [0] NCCL INFO cudaDriverVersion 12080
node1:77:77 [0] NCCL INFO NCCL version 2.27.3+cuda12.9
node1:77:90 [0] NCCL INFO ncclCommInitRank comm 0x1 rank 0 nranks 4 cudaDev 0 nvmlDev 0 busId 1b000 - Init START
node1:77:90 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM
node1:77:90 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM
node1:77:90 [0] NCCL INFO Channel 00 : 1[1] -> 2[2] via SHM/direct/direct
node1:77:90 [0] NCCL INFO Channel 00/0 : 3[3] -> 0[0] [receive] via NET/IB/0/GDRDMA
node1:77:90 [0] NCCL INFO 24 coll channels, 24 collnet channels, 16 nvls channels, 32 p2p channels
node1:77:90 [0] NCCL INFO ncclCommInitRank comm 0x1 rank 0 nranks 4 cudaDev 0 nvmlDev 0 busId 1b000 - Init COMPLETE
node1:77:90 [0] NCCL INFO ncclCommInitRank comm 0x2 rank 0 nranks 4 cudaDev 0 nvmlDev 0 busId 1b000 - Init START
node1:77:77 [0] NCCL INFO AllReduce: 8 Bytes -> Algo RING proto LL channel{Lo..Hi}={0..0}
node1:77:77 [0] NCCL INFO AllReduce: 134217728 Bytes -> Algo NVLS proto SIMPLE channel{Lo..Hi}={0..15}
node1:77:77 [0] NCCL INFO 1048576 Bytes -> Algo 1 proto 2 time 54.707825
node1:77:77 [0] NCCL WARN \x00\xff something else
"""


def test_what_nccl_says_of_itself_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module: Any = load(monkeypatch, "nccl_log")
    assert module.read(str(tmp_path)) is None
    (tmp_path / f"nccl.node1.{os.getpid()}.log").write_text(NCCL_LOG)
    (tmp_path / "nccl.node1.1.log").write_text("Init START\n" * 9)
    log = module.read(str(tmp_path))
    assert (log.started, log.complete) == (2, 1)
    assert log.words() == "P2P/CUMEM x 2, SHM/direct x 1, NET/IB x 1"
    assert log.algorithms == {8: "RING/LL", 134217728: "NVLS/SIMPLE", 1048576: "RING/SIMPLE"}
    assert (log.version, log.cuda, log.driver, log.nvls) == ("2.27.3", "12.9", "12.8", 16)


NETWORKS = """
node1:77:77 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/RoCE [RO]; OOB eth0:10.0.0.1<0>
node1:77:77 [0] NCCL INFO NET/Socket : Using [0]eth0:192.0.2.2<0> [1]eth1:fd00::2%eth1<0>
node1:77:77 [0] NCCL INFO Using network IB
node1:77:90 [0] NCCL INFO Channel 00/0 : 1[1] -> 2[0] [send] via NET/IB/1(0)/GDRDMA
node1:77:90 [0] NCCL INFO Channel 01/0 : 1[1] -> 2[0] [send] via NET/IB/1(0)/GDRDMA
node1:77:90 [0] NCCL INFO Channel 00/0 : 3[1] -> 0[0] [receive] via NET/Socket/1
node1:77:90 [0] NCCL INFO Channel 01/0 : 3[1] -> 0[0] [receive] via NET/Socket/9
node1:77:90 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read
"""


def test_each_link_is_named_with_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = load(monkeypatch, "nccl_log")
    log = module.Log(NETWORKS)
    assert log.network == "IB"
    assert {pair: module.words(ways) for pair, ways in log.links.items()} == {
        (1, 2): "NET/IB over mlx5_1 (port 1/RoCE) x 2",
        (3, 0): "NET/Socket over eth1 (fd00::2%eth1) x 1, NET/Socket x 1",
        (0, 1): "P2P/CUMEM x 1",
    }


def test_nccl_of_a_probe_has_a_ras_of_its_own_and_a_launched_one_the_usual(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module: Any = load(monkeypatch, "nccl_log")
    for name in ("NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_FILE", module.RAS, "TORCHDOCTOR_NODE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    module.prepare(str(tmp_path), module.QUIET)
    host, _, port = os.environ[module.RAS].partition(":")
    assert host == "127.0.0.1"
    assert 1024 < int(port) != 28028
    monkeypatch.setenv(module.RAS, "localhost:1")
    module.prepare(str(tmp_path), module.QUIET)
    assert os.environ[module.RAS] == "localhost:1"
    monkeypatch.delenv(module.RAS)
    monkeypatch.setenv("TORCHDOCTOR_NODE", "/run")
    module.prepare(str(tmp_path), module.QUIET)
    assert module.RAS not in os.environ


def test_active_ports_of_a_fast_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ddp: Any = load(monkeypatch, "ddp", "collectives", "nccl_log", "train", "watch")
    for device, state in {"mlx5_0": "4: ACTIVE", "mlx5_1": "1: DOWN"}.items():
        (tmp_path / device / "ports/1").mkdir(parents=True)
        (tmp_path / device / "ports/1/state").write_text(state + "\n")
    assert ddp.active_ports(str(tmp_path)) == ["mlx5_0/1"]
    assert ddp.active_ports(str(tmp_path / "nowhere")) == []


def test_a_log_that_says_nothing_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = load(monkeypatch, "nccl_log")
    log = module.Log("")
    assert (log.started, log.words(), log.algorithms, log.version, log.driver, log.nvls) == (
        0,
        "",
        {},
        None,
        None,
        None,
    )


def test_the_phases_of_parts_come_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ddp: Any = load(monkeypatch, "ddp", "collectives", "nccl_log", "train", "watch")
    assert ddp.phases("init") == ["meet", "cycles"]
    together = ["meet", "cycles", "init", "reduce", "train", "leave", "one-rank", "algorithms"]
    assert ddp.phases("training+init+allreduce") == together
    assert set(ddp.LIMITS_S) == set(together)
    assert max(limit for name, limit in ddp.LIMITS_S.items() if name != "cycles") < ddp.GROUP_TIMEOUT_S
