"""Collectives on two GPUs: latency, throughput and host cost a size, the links' transports, and a fall to sockets.

Run by hand: `pytest -m gpu -s tests/gpu/test_collectives_gpu.py`; it prints the table.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rank_process import Started, start_ranks
from test_ddp import readings
from test_ddp_gpu import LIMIT_S, environ_of, gpu_uuids, probe

from torchprobes.judge.reading import number
from torchprobes.judge.system import links
from torchprobes.judge.verdict import judge
from torchprobes.model import Readings, Verdict

pytestmark = pytest.mark.gpu

COLUMNS = (
    ("mean", "allreduce_us"), ("std", "allreduce_std_us"), ("min", "allreduce_min_us"), ("p50", "allreduce_p50_us"),
    ("p99", "allreduce_p99_us"), ("queued", "allreduce_queued_us"), ("host", "allreduce_host_us"),
)  # fmt: skip
RAS = re.compile(r"RAS client listening socket at 127\.0\.0\.1<(\d+)>")


@pytest.fixture(scope="module")
def two() -> tuple[str, ...]:
    """Two GPUs; skips without."""
    found = gpu_uuids()
    if len(found) < 2:
        pytest.skip("needs two GPUs")
    return found[:2]


def finished(started: Started, name: str) -> Readings:
    """What a run said; its logs are shown where it failed."""
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    return readings(started.events, "cuda:0", name)


def table(said: Readings) -> dict[str, dict[str, float | None]]:
    """Size -> column -> value, printed."""
    sizes = [f.labels["size"] for f in said.figures if f.name == "allreduce_us"]
    rows = {}
    print(f"\n{'size':>8}" + "".join(f"{title:>11}" for title, _ in COLUMNS) + "   us;  busbw, queued GB/s, expected")
    for size in sizes:
        row = {name: number(said, name, size=size) for _, name in COLUMNS}
        row |= {name: number(said, name, size=size) for name in ("busbw", "busbw_queued")}
        rows[size] = row
        known = next((f"{r.gb_s:g} {r.algorithm}" for r, of in links.rows(said) if of == size), "-")
        cells = "".join(f"{'-' if row[name] is None else format(row[name], '.1f'):>11}" for _, name in COLUMNS)
        speeds = " ".join(f"{(row[name] or 0) / 1e9:8.1f}" for name in ("busbw", "busbw_queued"))
        print(f"{size:>8}{cells}   {speeds}  {known}")
    return rows


def ras_ports(started: Started) -> set[int]:
    """The ports on which NCCL's RAS of these ranks says that it listens."""
    texts = [path.read_text(errors="replace") for path in (started.folder / "artifacts").glob("nccl.*.log")]
    return {int(port) for text in texts for port in RAS.findall(text)}


def test_three_numbers_a_size_and_the_transport_of_each_link(tmp_path: Path, two: tuple[str, ...]) -> None:
    params = {"part": "allreduce"}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=two, environ=environ_of(two), params=params)
    said = finished(started, "ddp.allreduce")
    rows = table(said)
    facts = {f.name: (f.value, f.evidence) for f in said.facts}
    told = {name: fact for name, fact in facts.items() if name.startswith("ddp.link.")}
    judgement = judge(probe("ddp.allreduce"), said)
    print(told, facts.get("ddp.network"), facts.get("ddp.fast_ports"), ras_ports(started), sep="\n")
    print(judgement.verdict, judgement.reason, [f.id for f in judgement.findings])
    assert judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), judgement
    for size, row in rows.items():
        assert all(row[name] for name in ("allreduce_us", "allreduce_queued_us", "allreduce_host_us")), (size, row)
    small, large = rows["1 KiB"], rows["128 MiB"]
    assert small["allreduce_p99_us"] is not None
    assert (small["allreduce_min_us"] or 0) <= (small["allreduce_p50_us"] or 0) <= small["allreduce_p99_us"]
    assert (small["allreduce_host_us"] or 0) < 1000
    assert (large["busbw_queued"] or 0) >= 0.8 * (large["busbw"] or 1)
    assert {"ddp.link.0-1", "ddp.link.1-0"} <= set(told)
    assert all(evidence == "one machine" for _, evidence in told.values())
    assert facts.get("ddp.network", (None, ""))[0]
    assert 28028 not in ras_ports(started)


def test_a_fall_to_sockets_is_named_with_ranks_and_interface(tmp_path: Path, two: tuple[str, ...]) -> None:
    environ = {**environ_of(two), "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"}
    params = {"part": "init", "cycles": 1}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=two, environ=environ, params=params)
    said = finished(started, "ddp.init")
    told = {f.name: f.value for f in said.facts if f.name.startswith("ddp.link.")}
    print(told)
    judgement = judge(probe("ddp.init"), said)
    print(judgement.verdict, judgement.reason)
    assert [f.id for f in judgement.findings if f.id == "TD-DDP-013"], judgement
    seen = next(f.seen for f in judgement.findings if f.id == "TD-DDP-013")
    assert re.search(r"rank [01] -> rank [01] by NET/\w+ over \S+ \(", seen), seen
    assert judgement.verdict is Verdict.DEGRADED
