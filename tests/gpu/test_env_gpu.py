"""env.* on a node with a real GPU: its build, its driver's capability, and the code in its own libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from elf_file import library
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

pytestmark = pytest.mark.gpu

ASK = (
    "import json, os, torch; print(json.dumps([os.path.dirname(torch.__file__), torch._C._cuda_getArchFlags().split(), "
    "list(torch.cuda.get_device_capability(0)), torch.cuda.get_device_name(0), torch.__version__]))"
)


@pytest.fixture(scope="module")
def torch_says() -> tuple[str, list[str], tuple[int, int], str, str]:
    """(its folder, its architectures, the device's capability, the device's name, its version), in a process apart."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=120, check=True)
    folder, archs, capability, name, version = json.loads(done.stdout.splitlines()[-1])
    return folder, archs, (capability[0], capability[1]), name, version


def value(said: Said, name: str) -> object:
    fact = said.readings.fact(name)
    assert fact is not None, (name, said.stderr[-2000:])
    return fact.value


def extensions(tmp_path: Path, archs: Sequence[str]) -> Said:
    site = tmp_path / "site"
    library(site / "mine" / "ops.so", ["libtorch.so"], nv_fatbin=[archs])
    environ = {"PYTHONPATH": str(site), "TORCH_EXTENSIONS_DIR": str(tmp_path / "none")}
    return run_payload(tmp_path / "run", "env.extensions", environ=environ)


def test_torchs_own_library_holds_what_torch_says(
    monkeypatch: pytest.MonkeyPatch, torch_says: tuple[str, list[str], tuple[int, int], str, str]
) -> None:
    """The layout of fat binaries, held against the build's own words."""
    path = os.path.join(torch_says[0], "lib", "libtorch_cuda.so")
    begin = time.monotonic()
    found = load(monkeypatch, "fatbin", "elf").read(path, begin + 60)
    seconds = time.monotonic() - begin
    print(f"{found.architectures} in {sum(found.images.values())} fat binaries, {seconds:.3f} s")
    assert {arch for arch in torch_says[1] if arch.startswith("sm_")} <= set(found.architectures)
    assert found.cut is False


def test_the_driver_tells_the_capability_that_torch_tells(
    tmp_path: Path, torch_says: tuple[str, list[str], tuple[int, int], str, str]
) -> None:
    major, minor = torch_says[2]
    said = extensions(tmp_path, [f"sm_{major}{minor}a"])
    assert value(said, "device.0.capability") == f"{major}.{minor}"
    assert value(said, "device.0.name") == torch_says[3]
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    print(said.judgement.reason)


def test_an_extension_for_another_gpu_is_a_fail_and_one_of_ptx_degraded(tmp_path: Path) -> None:
    old = extensions(tmp_path / "old", ["sm_35", "sm_60"])
    assert (old.judgement.verdict, old.ids[0]) == (Verdict.FAIL, "TD-ENV-080"), old.judgement
    ptx = extensions(tmp_path / "ptx", ["sm_60", "compute_60"])
    assert (ptx.judgement.verdict, ptx.ids[0]) == (Verdict.DEGRADED, "TD-ENV-081"), ptx.judgement
    print(old.judgement.reason)


def test_the_build_fits_the_node(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "env.wheel")
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert "built for CUDA" in said.judgement.reason
    print(said.judgement.reason)


@pytest.mark.parametrize(
    "name", ["env.packages", "env.python", "env.abi", "env.variables", "env.image", "env.jupyter", "env.libraries"]
)
def test_the_rest_ends_and_says_on_what_it_rests(tmp_path: Path, name: str) -> None:
    begin = time.monotonic()
    said = run_payload(tmp_path / "run", name)
    print(f"{name} {time.monotonic() - begin:.2f} s {said.judgement.verdict.value} {said.ids}: {said.judgement.reason}")
    assert said.readings.outcome.ending == "ended", said.stderr[-2000:]
    assert said.judgement.verdict is not Verdict.ERROR


def test_an_import_is_told_with_what_it_cost(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "env.identity", "cuda:0")
    told = {f.name: f.value for f in said.readings.figures if f.name.startswith(("import_", "python_start"))}
    print({name: round(number, 3) for name, number in told.items()}, value(said, "torch.filesystem"))
    assert told["import_s"] > 0.2
    assert told["import_modules"] > 300
    assert {"import_cpu_s", "import_read_bytes"} <= set(told)
