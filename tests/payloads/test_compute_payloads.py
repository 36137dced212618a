"""compute.* for real on this CPU: each payload passes, and each detector sees what is broken for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import payload_modules
import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict

torch = pytest.importorskip("torch")


NAMES = ("gemm", "precision", "numerics", "bandwidth", "p2p", "sdpa", "autograd", "determinism")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # two at a time on two cores: threads that wait for each other would spin


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """Every payload once, two at a time."""
    folder = tmp_path_factory.mktemp("compute")
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda name: run_payload(folder / name, f"compute.{name}", environ=ONE_THREAD), NAMES)
        return dict(zip(NAMES, done, strict=True))


def passed(runs: dict[str, Said], name: str) -> Said:
    said = runs[name]
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    return said


def test_products_are_right_and_have_a_rate(runs: dict[str, Said]) -> None:
    said = passed(runs, "gemm")
    for dtype in ("bf16", "fp32"):
        assert (number(said.readings, "gemm_rate", dtype=dtype) or 0) > 1e6
    assert (number(said.readings, "gemm_error", dtype="fp32") or 1) < 1e-6
    assert text(said.readings, "gemm.tf32") == "not here"
    assert said.judgement.expectations == ()


def test_the_fingerprint_of_this_cpu_is_float32(runs: dict[str, Said]) -> None:
    said = passed(runs, "precision")
    assert (number(said.readings, "fp32_error", setting="as found") or 1) < 1e-6
    assert text(said.readings, "flag.float32_matmul_precision") == "highest"


def test_operations_agree_with_float64(runs: dict[str, Said]) -> None:
    said = passed(runs, "numerics")
    cases = {(f.labels["op"], f.labels["dtype"]) for f in said.readings.figures if f.name == "numerics_error"}
    assert {(op, "fp32") for op in ("gemm", "conv", "softmax", "layernorm", "attention")} <= cases


def test_memory_is_copied_and_compared(runs: dict[str, Said]) -> None:
    said = passed(runs, "bandwidth")
    assert (number(said.readings, "copy_rate", kind="device") or 0) > 1e8


def test_attention_names_what_the_default_took(runs: dict[str, Said]) -> None:
    said = passed(runs, "sdpa")
    assert text(said.readings, "sdpa.causal-64.default") in ("flash", "math")
    assert text(said.readings, "sdpa.causal-64.math") == "ran"
    assert text(said.readings, "sdpa.causal-64.cudnn") in ("not usable", "not here")


def test_gradients_are_checked_and_a_wrong_one_is_caught(runs: dict[str, Said]) -> None:
    said = passed(runs, "autograd")
    fact = said.readings.fact("autograd.detector")
    assert fact is not None
    assert fact.value is True


def test_bits_come_again(runs: dict[str, Said]) -> None:
    said = passed(runs, "determinism")
    assert text(said.readings, "determinism.seed") == "same"


def test_copies_between_gpus_are_skipped_with_the_reason(runs: dict[str, Said]) -> None:
    said = runs["p2p"]
    assert (said.judgement.verdict, said.judgement.reason[:42]) == (
        Verdict.SKIP,
        "copies between GPUs need CUDA or ROCm devi",
    )


# --- parts, in this process --------------------------------------------------------------------------------------


class Told:
    """What a payload's functions emit, kept here instead of written to a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
        self.figures: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        monkeypatch.setattr(kit, "figure", lambda name, value, *_a, **_k: self.figures.__setitem__(name, value))
        monkeypatch.setattr(kit, "fact", lambda name, value, *_a: self.facts.__setitem__(name, value))
        monkeypatch.setattr(kit, "progress", lambda *_a: None)


def load(monkeypatch: pytest.MonkeyPatch, stem: str, *needs: str) -> tuple[ModuleType, Told]:
    module = payload_modules.load(monkeypatch, stem, *needs)
    return module, Told(monkeypatch, module.kit)


def test_times_have_a_median_and_an_interval_by_order_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = payload_modules.load(monkeypatch, "measure")
    times = measure.Times([float(n) for n in range(1, 101)])
    assert (times.typical, times.best, times.n) == (50.5, 1.0, 100)
    assert times.spread == pytest.approx(10, abs=1)  # ranks 40 to 60: the 95 % interval of a median of 100
    assert measure.Times([3.0, 1.0, 2.0], shared=True).typical == 1.0
    assert measure.Times([1.0]).spread == 0


def test_an_error_that_is_no_number_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, told = load(monkeypatch, "measure")
    measure.tell_error("x_error", float("nan"), dtype="bf16")
    measure.tell_error("y_error", 0.5, dtype="bf16")
    assert told.facts == {"x_error.not_finite": "bf16"}
    assert told.figures == {"y_error": 0.5}


def test_a_wrong_block_of_a_product_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    gemm, told = load(monkeypatch, "gemm", "measure", "gpu")
    row = gemm.Format("fp32", None, None)
    torch.manual_seed(0)
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    gemm._check(torch, row, a, b, a @ b, 64)
    assert told.figures["gemm_error"] < 1e-6
    spoiled = a @ b
    spoiled[:, 7] = 0  # one column of 64
    gemm._check(torch, row, a, b, spoiled, 64)
    assert told.figures["gemm_error"] > 0.05
    spoiled[3, 3] = float("inf")
    gemm._check(torch, row, a, b, spoiled, 64)
    assert told.facts["gemm.fp32.finite"] is False


def test_precision_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gemm, _ = load(monkeypatch, "gemm", "measure", "gpu")
    before = torch.get_float32_matmul_precision()
    inside = []

    def failing() -> None:
        with gemm.precision(torch, "medium"):
            inside.append(torch.get_float32_matmul_precision())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert inside == ["medium"]
    assert torch.get_float32_matmul_precision() == before


def test_a_copy_that_delivers_zeros_is_seen_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of nccl-tests#117, on the CPU: the copy succeeds and the last byte stays 0."""
    p2p, _ = load(monkeypatch, "p2p", "measure", "gpu")
    monkeypatch.setattr(p2p, "SIZES", (1, 4097))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_a: None)
    cpu = torch.device("cpu")
    compared, wrong = p2p._compare(torch, cpu, cpu)
    assert (compared, wrong) == (3 * 4098, [])
    copy = torch.Tensor.copy_

    def broken(self: Any, source: Any, *rest: Any, **options: Any) -> Any:
        copy(self, source, *rest, **options)
        self[-1] = 255 - self[-1]
        return self

    monkeypatch.setattr(torch.Tensor, "copy_", broken)
    compared, wrong = p2p._compare(torch, cpu, cpu)
    assert len(wrong) == 6
    assert wrong[-1].startswith("1 of 4097 bytes differ, the first at 4096")


def test_a_copy_that_does_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    p2p, _ = load(monkeypatch, "p2p", "measure", "gpu")
    monkeypatch.setattr(p2p, "SIZES", (4097,))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_a: None)
    monkeypatch.setattr(torch.Tensor, "copy_", lambda self, *_a, **_k: self)
    _, wrong = p2p._compare(torch, torch.device("cpu"), torch.device("cpu"))
    assert len(wrong) == 3
    assert all(text.startswith("4097 of 4097 bytes differ") for text in wrong)


def test_pytorchs_reasons_are_those_of_the_back_end_that_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warnings of torch 2.11 on a GPU, in their order; made here, a GPU's are in tests/gpu."""
    import warnings

    sdpa, _ = load(monkeypatch, "sdpa", "measure", "gpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for said in (
            "Memory efficient kernel not used because: (Triggered internally at sdp_utils.cpp:1.)",
            "Memory Efficient attention has been runtime disabled. (Triggered internally at sdp_utils.cpp:2.)",
            "Flash attention kernel not used because: (Triggered internally at sdp_utils.cpp:3.)",
            "Flash attention does not support non-null attn_mask. (Triggered internally at sdp_utils.cpp:4.)",
            "cuDNN attention kernel not used because: (Triggered internally at sdp_utils.cpp:5.)",
            "cuDNN attention has been runtime disabled. (Triggered internally at sdp_utils.cpp:6.)",
        ):
            warnings.warn(said, stacklevel=1)
    assert sdpa._why(caught, "flash") == "Flash attention does not support non-null attn_mask."
    assert sdpa._why(caught, "cudnn") == "cuDNN attention has been runtime disabled."
    assert sdpa._why([], "flash") == ""


def test_the_exact_attention_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    sdpa, _ = load(monkeypatch, "sdpa", "measure", "gpu")
    cpu = torch.device("cpu")
    for case in sdpa.CPU_CASES:
        call = sdpa._call(torch, cpu, case)
        assert sdpa._error(call(), sdpa._exact(torch, call)) < (1e-2 if case.dtype == "bfloat16" else 1e-6), case.name
    masked = sdpa._call(torch, cpu, sdpa.Case("x", (1, 2, 64, 16), "float32", causal=True))
    exact = sdpa._exact(torch, masked)
    del masked.options["is_causal"]
    assert sdpa._error(masked(), exact) > 0.1
