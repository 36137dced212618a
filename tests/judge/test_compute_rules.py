"""Rules of compute.*: a sound H200 passes, and each thing that is broken in its readings is told once, by its name."""

from __future__ import annotations

import compute_material as material
import pytest
from compute_material import G, T, figure
from sound import Facts, ids, judged, readings

from torchprobes.judge.compute.exactness import precision_of
from torchprobes.model import Figure, Judgement, Verdict

DETERMINED = ("TD-CPT-021", "TD-CPT-024")
"""What a sound H200 is told all the same: full float32 is the default, and convolutions differ."""


def run(probe: str, figures: tuple[Figure, ...] | None = None, /, **facts: object) -> Judgement:
    """The judgement of a sound run with other figures or other facts (`__` for a dot)."""
    told, sound = material.SOUND[probe]
    changed: Facts = {**told, **{name.replace("__", "."): value for name, value in facts.items()}}
    return judged(readings(probe, changed, sound if figures is None else figures))


def without(figures: tuple[Figure, ...], name: str) -> tuple[Figure, ...]:
    return tuple(f for f in figures if f.name != name)


@pytest.mark.parametrize("probe", material.SOUND)
def test_a_sound_h200_passes(probe: str) -> None:
    judgement = run(probe)
    assert judgement.verdict is Verdict.PASS, judgement
    assert set(ids(judgement)) <= set(DETERMINED)


@pytest.mark.parametrize(
    ("probe", "fact"),
    [
        ("compute.gemm", "gemm__bf16__finite"),
        ("compute.numerics", "numerics__conv__fp16__finite"),
        ("compute.bandwidth", "copy__device"),
        ("compute.bandwidth", "copy__pageable"),
        ("compute.sdpa", "sdpa__causal-64__default"),
        ("compute.autograd", "autograd__detector"),
        ("compute.determinism", "determinism__seed"),
    ],
)
def test_without_its_evidence_nothing_passes(probe: str, fact: str) -> None:
    assert run(probe, **{fact: ...}).verdict is Verdict.UNSURE


@pytest.mark.parametrize(
    ("probe", "name"),
    [
        ("compute.gemm", "gemm_error"),
        ("compute.gemm", "gemm_rate"),
        ("compute.precision", "fp32_error"),
        ("compute.numerics", "numerics_error"),
        ("compute.bandwidth", "copy_rate"),
        ("compute.p2p", "p2p_wrong"),
        ("compute.p2p", "p2p_rate"),
        ("compute.sdpa", "sdpa_error"),
        ("compute.autograd", "gradients"),
    ],
)
def test_without_its_figures_nothing_passes(probe: str, name: str) -> None:
    assert run(probe, without(material.SOUND[probe][1], name)).verdict is Verdict.UNSURE


# --- gemm ------------------------------------------------------------


@pytest.mark.parametrize(
    ("tflops", "verdict", "told"),
    [
        (788, Verdict.PASS, []),
        (676, Verdict.PASS, []),  # 85 % of 989 x 80.3 % is 675
        (674, Verdict.DEGRADED, ["TD-CPT-003"]),
        (398, Verdict.DEGRADED, ["TD-CPT-003"]),
        (396, Verdict.FAIL, ["TD-CPT-004"]),
    ],
)
def test_a_rate_is_judged_against_peak_times_share(tflops: float, verdict: Verdict, told: list[str]) -> None:
    judgement = run("compute.gemm", material.gemm_figures(bf16=tflops * T))
    assert (judgement.verdict, ids(judgement)) == (verdict, told)


def test_a_slow_rate_says_number_limit_and_what_holds_the_clock() -> None:
    (finding,) = run("compute.gemm", material.gemm_figures(bf16=500 * T)).findings
    assert finding.seen == (
        "bf16 500 TFLOP/s, 794 TFLOP/s expected (limit 675 TFLOP/s) "
        "[clock 1,755 of 1,980 MHz, held by software power cap]"
    )


def test_a_lowered_power_limit_is_the_one_cause() -> None:
    figures = (*material.gemm_figures(bf16=300 * T), figure("power_limit", 350, "W", when="gemm.fp32"))
    judgement = run("compute.gemm", figures)
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-006"])
    assert "power limit 350 W, this card's default is 700 W" in judgement.reason


def test_a_lowered_power_limit_that_costs_nothing_is_no_finding() -> None:
    figures = (*material.gemm_figures(), figure("power_limit", 600, "W", when="gemm.fp32"))
    assert ids(run("compute.gemm", figures)) == []


def test_heat_is_the_one_cause() -> None:
    held = {"clocks__held__gemm__bf16": "software power cap, hardware thermal slowdown"}
    judgement = run("compute.gemm", material.gemm_figures(bf16=300 * T), **held)
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-007"])


def test_a_slow_rate_that_wanders_is_unsure() -> None:
    figures = (*material.gemm_figures(), figure("gemm_rate", 500 * T, "FLOP/s", spread=80 * T, dtype="bf16"))
    slow = tuple(f for f in figures if f.name != "gemm_rate" or f.labels["dtype"] != "bf16" or f.value < 600 * T)
    judgement = run("compute.gemm", slow)
    assert (judgement.verdict, ids(judgement)) == (Verdict.UNSURE, ["TD-CPT-008"])


def test_an_unknown_gpu_has_figures_and_no_verdict() -> None:
    judgement = run("compute.gemm", material.gemm_figures(bf16=1 * T), gpu__name="NVIDIA H200 NVL")
    assert (judgement.verdict, ids(judgement)) == (Verdict.UNSURE, ["TD-CPT-005"])
    assert "no peak is known for NVIDIA H200 NVL" in judgement.reason
    assert judgement.expectations == ()


def test_a_cpu_has_no_peak_to_reach() -> None:
    facts: Facts = {"gemm.fp32.finite": True, "gemm.tf32": "not here"}
    figures = (figure("gemm_rate", 50 * G, "FLOP/s", dtype="fp32"), figure("gemm_error", 3e-7, dtype="fp32"))
    judgement = judged(readings("compute.gemm", facts, figures, device="cpu"))
    assert (judgement.verdict, judgement.findings, judgement.expectations) == (Verdict.PASS, (), ())


@pytest.mark.parametrize(("dtype", "error"), [("bf16", 0.1), ("fp16", 0.01), ("fp32", 0.01)])
def test_a_wrong_product_fails_whatever_its_speed(dtype: str, error: float) -> None:
    figures = (*material.gemm_figures(), figure("gemm_error", error, dtype=dtype))
    judgement = run("compute.gemm", figures)
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-002"])


def test_an_integer_product_is_exact() -> None:
    rate = figure("gemm_rate", 900 * T, "OP/s", dtype="int8")
    told = {"gemm__int8__finite": True}
    right = (*material.gemm_figures(), rate, figure("gemm_error", 0.0, dtype="int8"))
    wrong = (*material.gemm_figures(), rate, figure("gemm_error", 1e-9, dtype="int8"))
    assert ids(run("compute.gemm", right, **told)) == []
    assert ids(run("compute.gemm", wrong, **told)) == ["TD-CPT-002"]


def test_int8_that_overflows_on_a_cpu_has_a_name_of_its_own() -> None:
    """As torch 2.4.1 did here, on a CPU without AVX512-VNNI: relative error 0.2."""
    facts: Facts = {"gemm.fp32.finite": True, "gemm.int8.finite": True}
    rates = [figure("gemm_rate", 2 * G, "FLOP/s", dtype=dtype) for dtype in ("fp32", "int8")]
    errors = [figure("gemm_error", value, dtype=dtype) for dtype, value in (("fp32", 3e-7), ("int8", 0.2))]
    judgement = judged(readings("compute.gemm", facts, (*rates, *errors), device="cpu"))
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-009"])


def test_bf16_without_kernels_on_a_cpu_is_told_and_no_fault() -> None:
    """As torch 2.13 does here, on a CPU with AVX2 alone."""
    facts: Facts = {"gemm.fp32.finite": True, "gemm.bf16.finite": True}
    rates = [figure("gemm_rate", rate * G, "FLOP/s", dtype=dtype) for dtype, rate in (("fp32", 110), ("bf16", 2.7))]
    errors = [figure("gemm_error", value, dtype=dtype) for dtype, value in (("fp32", 3e-7), ("bf16", 1.7e-3))]
    judgement = judged(readings("compute.gemm", facts, (*rates, *errors), device="cpu"))
    assert (judgement.verdict, ids(judgement)) == (Verdict.PASS, ["TD-CPT-010"])
    assert "41x slower" in judgement.findings[0].seen


def test_nan_is_wrong() -> None:
    assert ids(run("compute.gemm", gemm__bf16__finite=False)) == ["TD-CPT-002"]
    assert ids(run("compute.gemm", gemm_error__not_finite="bf16 8192")) == ["TD-CPT-002"]
    assert ids(run("compute.numerics", numerics__softmax__bf16__finite=False)) == ["TD-CPT-031"]
    assert ids(run("compute.sdpa", sdpa_error__not_finite="causal-64 flash")) == ["TD-CPT-061"]
    assert "TD-CPT-023" in ids(run("compute.precision", fp32_error__not_finite="highest"))


def test_what_a_product_raised_is_told() -> None:
    raised = {"gemm__fp8": "builtins.RuntimeError", "gemm__fp8__message": "CUBLAS_STATUS_NOT_INITIALIZED"}
    judgement = run("compute.gemm", **raised)
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-001"])
    assert "fp8: CUBLAS_STATUS_NOT_INITIALIZED" in judgement.reason


def test_tf32_is_not_judged_where_it_was_not_in_force() -> None:
    rate = figure("gemm_rate", 50 * T, "FLOP/s", dtype="tf32")
    told = {"gemm__tf32__finite": True}
    full = (*material.gemm_figures(), rate, figure("gemm_error", 3e-7, dtype="tf32"))
    tf32 = (*material.gemm_figures(), rate, figure("gemm_error", 2.9e-4, dtype="tf32"))
    assert ids(run("compute.gemm", full, **told)) == []
    assert ids(run("compute.gemm", tf32, **told)) == ["TD-CPT-004"]


def test_expectations_carry_the_limit_and_the_source() -> None:
    expectations = {e.labels["dtype"]: e for e in run("compute.gemm").expectations}
    assert set(expectations) == {"bf16", "fp16", "fp32"}
    bf16 = expectations["bf16"]
    assert (bf16.name, bf16.unit, bf16.value) == ("gemm_rate", "FLOP/s", pytest.approx(794.2e12, rel=1e-3))
    assert bf16.limit == pytest.approx(0.85 * bf16.value)
    assert "ml-engineering" in bf16.source


# --- precision and numerics ------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "name"),
    [(3.4e-7, "float32"), (2.2e-7, "float32"), (2.9e-4, "TF32"), (1.67e-3, "bf16"), (0.02, "wrong")],
)
def test_a_fingerprint_names_its_precision(error: float, name: str) -> None:
    assert precision_of(error) == name


def test_the_default_is_no_fault_and_its_cost_is_told() -> None:
    judgement = run("compute.precision")
    costly = next(f for f in judgement.findings if f.id == "TD-CPT-021")
    assert "6.8x faster" in costly.seen


def test_tf32_by_the_environment_is_a_warning() -> None:
    figures = material.precision_figures(as_found=2.9e-4, highest=2.9e-4)
    judgement = run("compute.precision", figures, env__NVIDIA_TF32_OVERRIDE="1")
    assert (judgement.verdict, ids(judgement)) == (Verdict.PASS, ["TD-CPT-020"])
    assert "NVIDIA_TF32_OVERRIDE=1: float32 products run in TF32" in judgement.findings[0].seen


def test_a_device_that_does_not_obey_highest_is_degraded() -> None:
    judgement = run("compute.precision", material.precision_figures(as_found=1.7e-3, highest=1.7e-3))
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-022"])


def test_tf32_forbidden_by_the_environment_is_the_one_cause() -> None:
    judgement = run("compute.precision", material.precision_figures(high=2.2e-7), env__NVIDIA_TF32_OVERRIDE="0")
    assert judgement.verdict is Verdict.DEGRADED
    assert ids(judgement) == ["TD-CPT-025", "TD-CPT-024"]


def test_a_wrong_float32_product_fails() -> None:
    judgement = run("compute.precision", material.precision_figures(highest=0.3))
    assert (judgement.verdict, ids(judgement)[0]) == (Verdict.FAIL, "TD-CPT-023")


def test_a_sum_in_16_bits_is_less_exact_and_the_cure_is_told() -> None:
    figures = (
        *material.numerics_figures(gemm_bf16=0.02),
        figure("numerics_error_full_reduction", 1.7e-3, op="gemm", dtype="bf16"),
    )
    judgement = run("compute.numerics", figures)
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-032"])
    assert "allow_bf16_reduced_precision_reduction=False cures it (0.0017)" in judgement.reason


def test_wrong_twice_the_same_is_told_from_an_answer_that_changes() -> None:
    figures = material.numerics_figures(conv_fp16=0.5)
    assert "twice the same" in run("compute.numerics", figures).reason
    changing = run("compute.numerics", figures, numerics__conv__fp16__repeated="different")
    assert (changing.verdict, ids(changing)) == (Verdict.FAIL, ["TD-CPT-031"])
    assert "another answer when repeated" in changing.reason


def test_emulated_bf16_is_told() -> None:
    told = {"gpu__name": "Tesla T4", "gpu__capability": "7.5", "bf16__native": False}
    judgement = run("compute.numerics", **told)
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-033"])


# --- bandwidth and p2p ------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "verdict", "told"),
    [
        (material.bandwidth_figures(device=3000 * G), Verdict.DEGRADED, ["TD-CPT-041"]),
        (material.bandwidth_figures(device=1500 * G), Verdict.FAIL, ["TD-CPT-042"]),
        (material.bandwidth_figures(out=30 * G), Verdict.DEGRADED, ["TD-CPT-043"]),
        (material.bandwidth_figures(out=5 * G), Verdict.DEGRADED, ["TD-CPT-043"]),
        (material.bandwidth_figures(generation=4), Verdict.DEGRADED, ["TD-CPT-044"]),
        (material.bandwidth_figures(lanes=8), Verdict.DEGRADED, ["TD-CPT-044"]),
    ],
)
def test_a_slow_path_is_named(figures: tuple[Figure, ...], verdict: Verdict, told: list[str]) -> None:
    judgement = run("compute.bandwidth", figures)
    assert (judgement.verdict, ids(judgement)) == (verdict, told)


def test_the_kernels_word_of_the_link_serves_where_nvml_is_silent() -> None:
    figures = tuple(f for f in material.bandwidth_figures(out=12 * G) if not f.name.startswith("pcie"))
    told = {"pcie__current_link_speed": "8.0 GT/s PCIe", "pcie__current_link_width": "16"}
    assert ids(run("compute.bandwidth", figures, **told)) == []
    told["pcie__current_link_speed"] = "32.0 GT/s PCIe"
    judgement = run("compute.bandwidth", figures, **told)
    assert ids(judgement) == ["TD-CPT-043"]
    assert "PCIe generation 5 x16" in judgement.reason


def test_a_copy_that_changes_bytes_fails() -> None:
    judgement = run("compute.bandwidth", copy__pinned="wrong")
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-040"])


def test_no_pinned_memory_is_degraded() -> None:
    figures = tuple(f for f in material.bandwidth_figures() if f.labels.get("memory") != "pinned")
    assert ids(run("compute.bandwidth", figures, copy__pinned="not here")) == ["TD-CPT-046"]


def test_bandwidths_have_expectations_by_kind() -> None:
    told = {(e.labels["kind"], e.labels.get("memory")): e for e in run("compute.bandwidth").expectations}
    assert set(told) == {("device", None), ("to device", "pinned"), ("to host", "pinned")}
    assert told["to device", "pinned"].value == pytest.approx(0.85 * 63.0e9, rel=0.01)


def test_memory_of_an_unknown_gpu_is_held_against_its_own_word_and_not_judged() -> None:
    judgement = run("compute.bandwidth", gpu__name="NVIDIA X1")
    assert (judgement.verdict, ids(judgement)) == (Verdict.UNSURE, ["TD-CPT-005"])
    device = next(e for e in judgement.expectations if e.labels["kind"] == "device")
    assert (device.value, device.limit) == (4814 * G, None)


def test_bytes_that_change_between_gpus_fail_whatever_the_speed() -> None:
    judgement = run(
        "compute.p2p", **{"p2p__0 to 1__wrong": "4097 of 4097 bytes differ, the first at 0; 4097 of them are 0"}
    )
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-050"])
    assert "GPU 0 to 1: 4097 of 4097 bytes differ" in judgement.reason


def test_slow_nvlink_is_degraded_and_a_copy_through_the_host_is_no_fault() -> None:
    assert ids(run("compute.p2p", material.p2p_figures(rate=200 * G))) == ["TD-CPT-052"]
    through_host = run(
        "compute.p2p", material.p2p_figures(rate=20 * G), **{f"p2p__{w}__peer": False for w in material.WAYS}
    )
    assert (through_host.verdict, ids(through_host)) == (Verdict.PASS, ["TD-CPT-053"])
    assert "through the host" in through_host.reason


def test_an_a800_is_not_blamed_for_the_nvlink_that_it_is_sold_with() -> None:
    slow = material.p2p_figures(rate=170 * G, links=8)
    assert ids(run("compute.p2p", slow, gpu__name="NVIDIA A800-SXM4-80GB")) == []
    assert ids(run("compute.p2p", slow, gpu__name="NVIDIA A100-SXM4-80GB")) == ["TD-CPT-052"]


# --- attention, gradients, bits ------------------------------------------------------------


def test_math_on_a_gpu_with_fused_kernels_is_degraded_with_pytorchs_reasons() -> None:
    facts = {
        "sdpa__causal-64__default": "math",
        "sdpa__causal-64__flash": "not usable",
        "sdpa__causal-64__efficient": "not usable",
        "sdpa__causal-64__cudnn": "not usable",
    }
    judgement = run("compute.sdpa", material.sdpa_figures(default=5080.0), **facts)
    assert (judgement.verdict, ids(judgement)) == (Verdict.DEGRADED, ["TD-CPT-062"])


def test_math_is_no_fault_where_nothing_is_fused() -> None:
    told = {"gpu__capability": "7.0", "gpu__name": "Tesla V100-SXM2-32GB", "sdpa__causal-64__default": "math"}
    assert run("compute.sdpa", material.sdpa_figures(default=5080.0), **told).verdict is Verdict.PASS


def test_a_wrong_attention_kernel_fails() -> None:
    wrong = figure("sdpa_error", 0.3, case="causal-64", backend="flash", dtype="bfloat16")
    judgement = run("compute.sdpa", (*material.sdpa_figures(), wrong))
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CPT-061"])


def test_a_choice_that_is_not_the_fastest_is_told() -> None:
    judgement = run("compute.sdpa", material.sdpa_figures(default=156.0), **{"sdpa__causal-64__default": "flash"})
    assert (judgement.verdict, ids(judgement)) == (Verdict.PASS, ["TD-CPT-065"])
    assert "default 156 us, cudnn 100 us" in judgement.findings[0].seen


def test_an_unread_choice_is_unsure() -> None:
    assert ids(run("compute.sdpa", **{"sdpa__causal-64__default": None})) == ["TD-CPT-064"]


@pytest.mark.parametrize(
    ("probe", "facts", "verdict", "told"),
    [
        ("compute.autograd", {"autograd__gradcheck__conv": "wrong"}, Verdict.FAIL, ["TD-CPT-070"]),
        ("compute.autograd", {"autograd__gradcheck__conv__message": "boom"}, Verdict.FAIL, ["TD-CPT-071"]),
        ("compute.autograd", {"autograd__step__fp32__missing": 1}, Verdict.FAIL, ["TD-CPT-072"]),
        ("compute.autograd", {"autograd__step__bf16__not_finite": 2}, Verdict.FAIL, ["TD-CPT-072"]),
        ("compute.autograd", {"autograd__detector": False}, Verdict.UNSURE, ["TD-CPT-073"]),
        ("compute.determinism", {"determinism__seed": "different"}, Verdict.FAIL, ["TD-CPT-090"]),
        ("compute.determinism", {"determinism__default__index_add": "different"}, Verdict.PASS, ["TD-CPT-091"]),
        ("compute.determinism", {"determinism__deterministic__matmul": "different"}, Verdict.DEGRADED, ["TD-CPT-092"]),
        (
            "compute.determinism",
            {
                "determinism__deterministic__cumsum": "different",
                "determinism__warned__cumsum": "cumsum_cuda_kernel does not",
            },
            Verdict.PASS,
            ["TD-CPT-095"],
        ),
        (
            "compute.determinism",
            {"determinism__warned__matmul": "Deterministic behavior … set CUBLAS_WORKSPACE_CONFIG=:4096:8"},
            Verdict.PASS,
            ["TD-CPT-093"],
        ),
        ("compute.determinism", {"determinism__default__cumsum__message": "boom"}, Verdict.FAIL, ["TD-CPT-094"]),
    ],
)
def test_one_fault_one_finding(probe: str, facts: dict[str, object], verdict: Verdict, told: list[str]) -> None:
    judgement = run(probe, **facts)
    assert (judgement.verdict, ids(judgement)) == (verdict, told)


def test_the_best_run_is_held_against_what_is_a_best_too() -> None:
    rates = tuple(f for f in material.gemm_figures() if f.labels.get("dtype") != "bf16" or "rate" not in f.name)
    disturbed = (
        figure("gemm_rate", 609 * T, "FLOP/s", dtype="bf16"),
        figure("gemm_best_rate", 798 * T, "FLOP/s", dtype="bf16"),
    )
    slow = (
        figure("gemm_rate", 400 * T, "FLOP/s", dtype="bf16"),
        figure("gemm_best_rate", 410 * T, "FLOP/s", dtype="bf16"),
    )
    assert ids(run("compute.gemm", (*rates, *disturbed))) == []
    assert ids(run("compute.gemm", (*rates, *slow))) == ["TD-CPT-003"]
