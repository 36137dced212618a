"""data.loader in real processes: order, a killed worker, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_modules import load
from payload_process import run_payload

from torchprobes.model import Verdict


def test_workers_keep_order_tell_their_death_and_leave_nothing(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "data.loader")
    facts = {f.name: f.value for f in said.readings.facts}
    orders = {name.split(".")[1]: value for name, value in facts.items() if name.endswith(".order")}
    persistent = {f"{method}persistent-{n}" for method in ("", "spawn-", "forkserver-") for n in (1, 2)}
    assert {"workers-0", "workers-2", "spawn", "forkserver"} | persistent <= set(orders)
    assert set(orders.values()) == {"exact"}
    assert facts["dataloader.killed"] == "told"
    assert facts["dataloader.exception"] == "told"
    assert [v for name, v in facts.items() if name.endswith(".kept")] == [True, True, True]
    left = {name: value for name, value in facts.items() if name.startswith("dataloader.left.")}
    assert len(left) == 8
    assert all(isinstance(value, int) and value <= 0 for value in left.values())
    told = said.readings.number("killed_told_s")
    assert told is not None
    assert told < 20
    # What is left to say is about this machine's limits, not about the loader.
    assert set(said.ids) <= {"TD-DTL-006", "TD-DTL-010"}
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED)


def test_wrong_order_and_wrong_data_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    module = load(monkeypatch, "dataloader")
    index = torch.arange(4)
    pixels = index.to(torch.float32).reshape(4, 1)
    assert module._walk([(index, pixels)])[2] == [0, 1, 2, 3]
    assert module._walk([(index.flip(0), pixels.flip(0))])[2] == [3, 2, 1, 0]
    assert module._walk([(index, pixels + 1)])[2] == [-1] * 4
