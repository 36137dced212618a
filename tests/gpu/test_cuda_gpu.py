"""cuda.*, accel.backends, compute.launch and compute.memory on a real GPU; run by hand with `-m gpu`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict

pytestmark = pytest.mark.gpu

BUDGET = 2 << 30
PLAIN = {"CUDA_LAUNCH_BLOCKING": "", "PYTORCH_CUDA_ALLOC_CONF": "", "PYTORCH_ALLOC_CONF": "",
         "PYTORCH_NO_CUDA_MEMORY_CACHING": ""}  # fmt: skip


def ask(folder: Path, name: str, environ: Mapping[str, str] | None = None, device: str = "cuda:0") -> Said:
    """One probe on the device; what it said is printed, for the person who runs this."""
    more = {"memory_limit_bytes": BUDGET, "user_environ": {}}
    said = run_payload(folder / name, name, device, environ={**PLAIN, **(environ or {})}, more=more, limit_s=120)
    print(f"\n{name} on {device}: {said.judgement.verdict.value}: {said.judgement.reason}")
    for fact in said.readings.facts:
        print(f"  {fact.name} = {fact.value}    {fact.evidence[:120]}")
    for one in said.readings.figures:
        print(f"  {one.name} {one.value:.6g} {one.unit} n={one.n} spread={one.spread} {one.labels}")
    for finding in said.judgement.findings:
        print(f"  {finding.id} {finding.seen}")
    return said


@pytest.mark.parametrize(
    "name",
    ["cuda.driver", "cuda.available", "cuda.arch", "cuda.libraries", "cuda.cudnn", "accel.backends", "compute.launch"],
)
def test_a_sound_gpu_passes(tmp_path: Path, name: str) -> None:
    said = ask(tmp_path, name)
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])


def test_the_toolkits_of_this_machine_are_read(tmp_path: Path) -> None:
    said = ask(tmp_path, "cuda.toolkits", device="cpu")
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.stderr[-3000:]
    assert said.readings.fact("toolkits.searched") is not None


def test_one_gpu_gives_its_code_and_its_answer(tmp_path: Path) -> None:
    said = ask(tmp_path, "cuda.arch")
    assert text(said.readings, "device.0.capability") == "9.0"
    assert "machine code for it" in said.judgement.reason
    first, again = number(said.readings, "first_kernel_s"), number(said.readings, "same_again_s")
    assert first is not None
    assert again is not None
    assert again < first


def test_convolutions_are_within_their_formats(tmp_path: Path) -> None:
    said = ask(tmp_path, "cuda.cudnn")
    for dtype, most in (("float32", 2e-3), ("float16", 2e-3), ("bfloat16", 1.6e-2)):
        for part in ("result", "input gradient", "weight gradient"):
            error = number(said.readings, "conv_error", dtype=dtype, part=part)
            assert error is not None
            assert 0 < error < most
    assert number(said.readings, "conv_us", benchmark="True") is not None


def test_blocking_launches_are_named_and_cost_more(tmp_path: Path) -> None:
    free = ask(tmp_path / "free", "compute.launch")
    blocked = ask(tmp_path / "blocked", "compute.launch", {"CUDA_LAUNCH_BLOCKING": "1"})
    assert (blocked.ids, blocked.judgement.verdict) == (["TD-CPT-101"], Verdict.DEGRADED), blocked.judgement
    one, other = (number(s.readings, "launch_us", of="fastest") for s in (free, blocked))
    assert one is not None
    assert other is not None
    assert other > one


@pytest.mark.parametrize(("expandable", "large"), [(False, "out of memory"), (True, "given")])
def test_memory_comes_back_and_expandable_segments_serve_what_fragments_cannot(
    tmp_path: Path, expandable: bool, large: str
) -> None:
    environ = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} if expandable else {}
    said = ask(tmp_path, "compute.memory", environ)
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    assert text(said.readings, "memory.large") == large
    assert said.ids == ([] if expandable else ["TD-CPT-114"])
    reserved = number(said.readings, "reserved", at="fragmented")
    assert reserved is not None
    assert reserved <= BUDGET


@pytest.mark.parametrize(
    ("hidden", "card", "verdict"),
    [("", "TD-CUD-013", Verdict.DEGRADED), ("-1", "TD-CUD-013", Verdict.DEGRADED), ("99", "TD-CUD-014", Verdict.FAIL)],
)
def test_hidden_gpus_are_the_one_cause(tmp_path: Path, hidden: str, card: str, verdict: Verdict) -> None:
    more = {"user_environ": {"CUDA_VISIBLE_DEVICES": hidden}}
    said = run_payload(tmp_path / "run", "cuda.available", environ={"CUDA_VISIBLE_DEVICES": hidden}, more=more)
    print(said.judgement, said.readings.facts)
    if text(said.readings, "visible.state") == "unread":
        pytest.skip("LOUD: /proc/driver/nvidia/gpus is not shown here, so an index cannot be held against it")
    assert (said.ids, said.judgement.verdict) == ([card], verdict), said.judgement


def test_a_driver_is_asked_whatever_is_hidden(tmp_path: Path) -> None:
    said = ask(tmp_path, "cuda.driver", {"CUDA_VISIBLE_DEVICES": ""}, device="cpu")
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    devices = said.readings.fact("driver.devices")
    assert devices is not None
    assert isinstance(devices.value, int)
    assert devices.value >= 1


def test_a_library_from_outside_is_seen(tmp_path: Path) -> None:
    """A copy of libcudart before the wheel's: two copies, or the foreign one alone, by how the wheel loads its own."""
    places = [Path(p) for p in sys.path if (Path(p) / "nvidia").is_dir()]
    found = sorted(lib for place in places for lib in place.glob("nvidia/*/lib/libcudart.so.*"))
    if not found:
        pytest.skip("LOUD: no libcudart in a wheel here, so none is put before it")
    copy = tmp_path / "outside" / found[0].name
    copy.parent.mkdir()
    shutil.copy(found[0], copy)
    said = ask(tmp_path, "cuda.libraries", {"LD_PRELOAD": str(copy)})
    assert said.ids in (["TD-CUD-050"], ["TD-CUD-051"]), said.judgement
    assert str(copy.parent) in said.judgement.reason
