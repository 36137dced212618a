"""What data, serving and system probes say on a machine with a GPU. Run by hand: `pytest -m gpu`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.model import Verdict

pytestmark = pytest.mark.gpu


def has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists()


def shown(said: Said) -> dict[str, object]:
    """The facts by name; everything is printed, because a person reads what a GPU said."""
    print(said.judgement.verdict.value, said.judgement.reason)
    for finding in said.judgement.findings:
        print("  finding", finding.id, finding.seen)
    for figure in said.readings.figures:
        print("  figure", figure.name, figure.value, figure.unit, figure.n, figure.labels)
    for fact in said.readings.facts:
        print("  fact", fact.name, fact.value, "|", fact.evidence[:160])
    return {f.name: f.value for f in said.readings.facts}


@pytest.fixture(autouse=True)
def _needs_a_gpu() -> None:
    if not has_gpu():
        pytest.skip("needs a GPU")


def test_the_gpus_cores_are_told(tmp_path: Path) -> None:
    facts = shown(run_payload(tmp_path / "run", "system.cpu", "cpu"))
    near = {name: value for name, value in facts.items() if name.startswith("gpu.") and name.endswith(".near")}
    # A virtual machine or a sandbox may hide /proc/driver/nvidia/gpus; what it shows must be told.
    expected = list(Path("/proc/driver/nvidia/gpus").glob("*")) if Path("/proc/driver/nvidia/gpus").is_dir() else []
    assert len(near) <= len(expected)
    assert all(value in (True, False, None) for value in near.values())
    assert isinstance(facts["torch.threads"], int)
    assert facts["torch.capability"]


def test_the_folders_are_looked_at(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "system.disk", "cpu")
    facts = shown(said)
    states = {name: value for name, value in facts.items() if name.endswith(".state")}
    assert len(states) == 7
    assert set(states.values()) == {"read"}
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL)


SERVERS = importlib.util.find_spec("fastapi") is not None and importlib.util.find_spec("uvicorn") is not None


def test_a_server_answers_from_the_gpu_in_a_worker_thread(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "serving.fastapi", "cuda:0")
    facts = shown(said)
    if not SERVERS:
        assert said.judgement.verdict is Verdict.SKIP
        assert "fastapi" in said.judgement.reason
        return
    assert facts["serving.answers"] == "right", said.stderr[-2000:]
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement


def test_a_fake_server_answers_from_the_gpu_in_a_worker_thread(tmp_path: Path) -> None:
    """FastAPI need not be there for what matters on a GPU: a context of the main thread used by another one."""
    from test_serving import serve

    said = serve(tmp_path, device="cuda:0")
    facts = shown(said)
    assert facts["serving.answers"] == "right", said.stderr[-2000:]
    threads = {f.value for f in said.readings.facts if f.name == "serving.thread"}
    assert "a worker thread" in threads
    assert all("cuda" in f.evidence for f in said.readings.facts if f.name == "serving.thread")
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement


@pytest.mark.parametrize("name", ["data.image", "data.csv"])
def test_data_is_read_or_skipped_with_what_is_absent(tmp_path: Path, name: str) -> None:
    said = run_payload(tmp_path / "run", name, "cpu")
    shown(said)
    assert said.judgement.verdict in (Verdict.PASS, Verdict.SKIP), said.judgement
    if said.judgement.verdict is Verdict.SKIP:
        assert "pip install" in said.judgement.reason
