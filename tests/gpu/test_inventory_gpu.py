"""The inventory of a node with real GPUs: settings, links and peer access from the driver, the libraries of CUDA."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from payload_process import run_payload

from torchprobes.environment import is_settled, sampled_inventory
from torchprobes.model import Verdict
from torchprobes.samples import Sample
from torchprobes.telemetry import Sampler, take_sample

pytestmark = pytest.mark.gpu

DEADLINE_S = 60.0
SETTINGS = ("name", "memory", "power limit", "max SM clock", "max memory clock", "VBIOS", "max PCIe generation")


@pytest.fixture(scope="module")
def sample() -> Sample:
    taken = take_sample(DEADLINE_S)
    if not taken.gpus:
        pytest.skip("no GPU here")
    return taken


def test_every_gpu_has_its_settings(sample: Sample) -> None:
    found = sampled_inventory(sample)
    lacking = [f"GPU{gpu.index} {what}" for gpu in sample.gpus for what in SETTINGS]
    assert [name for name in lacking if name not in found.parts["gpu"]] == [], found.unread
    assert found.parts["driver"]["driver"] == sample.driver


def test_every_pair_has_its_link_and_its_peer_access(sample: Sample) -> None:
    found = sampled_inventory(sample)
    pairs = [f"GPU{a.index}-GPU{b.index}" for n, a in enumerate(sample.gpus) for b in sample.gpus[n + 1 :]]
    told = found.parts.get("topology", {})
    assert sorted(told) == sorted([*pairs, *(f"P2P: {pair}" for pair in pairs)]), found.unread


def test_a_sampler_that_runs_has_the_settings_soon() -> None:
    sampler = Sampler(2.0)
    sampler.start()
    try:
        begin = time.monotonic()
        while (taken := sampler.latest()[1]) is None or not is_settled(taken):
            assert time.monotonic() < begin + DEADLINE_S, taken and sampled_inventory(taken).unread
            time.sleep(0.02)
        print(f"settled after {time.monotonic() - begin:.2f} s")
    finally:
        sampler.stop()


def test_the_libraries_of_cuda_are_loaded_and_known(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "env.libraries", "cuda:0", environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    told = {fact.name: fact for fact in said.readings.facts}
    assert any(name.startswith("library.libcuda.so") for name in told), sorted(told)
    (driver,) = [fact for name, fact in told.items() if name.startswith("library.libcuda.so")]
    assert str(driver.value).endswith(", driver")
    assert os.path.exists(driver.evidence)
    assert any(name.startswith("library.libcublas.so") for name in told)
