"""The peak table: every cell has a source, names match as a whole, and peaks agree with what the silicon is made of."""

from __future__ import annotations

import pytest

from torchprobes.judge.compute.peaks import DEGRADED_BELOW, FAIL_BELOW, PARTS, Part, part, reach

T = 1e12


@pytest.mark.parametrize("known", [p for p in PARTS if p.silicon is not None], ids=lambda p: p.name)
def test_a_16_bit_peak_is_clock_times_units_times_fma_times_two(known: Part) -> None:
    assert known.silicon is not None
    assert known.silicon.peak == pytest.approx(known.peak["fp16"].value, rel=0.01)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA A100-SXM4-80GB", 312), ("AMD Instinct MI300X", 1307)],
)
def test_the_formula_gives_the_published_numbers(name: str, tflops: float) -> None:
    known = part(name)
    assert known is not None
    assert known.silicon is not None
    assert round(known.silicon.peak / T) in (round(tflops), round(tflops) + 1)


def test_every_cell_says_whose_number_it_is_and_is_dense() -> None:
    names = [p.name for p in PARTS]
    assert len(names) == len(set(names))
    for p in PARTS:
        assert "memory" in p.peak, p.name
        for kind, rate in {**p.peak, **p.reached}.items():
            assert rate.source, (p.name, kind)
        assert all(0.4 < share.value < 1 for share in p.reached.values()), p.name
        # A sparse rate slipped into a row would be twice its neighbours.
        if "tf32" in p.peak and "bf16" in p.peak:
            assert p.peak["bf16"].value == pytest.approx(2 * p.peak["tf32"].value, rel=0.02), p.name
        if "bf16" in p.peak and "fp8" in p.peak:
            assert p.peak["fp8"].value == pytest.approx(2 * p.peak["bf16"].value, rel=0.02), p.name
        if "fp16" in p.peak and "int8" in p.peak and p.name not in ("RTX 4090",):
            assert p.peak["int8"].value == pytest.approx(2 * p.peak["fp16"].value, rel=0.02), p.name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("NVIDIA A10", "A10"),
        ("NVIDIA A10G", "A10G"),
        ("A10G", "A10G"),
        ("NVIDIA A100-SXM4-40GB", "A100 SXM 40 GB"),
        ("A100-SXM4-40GB", "A100 SXM 40 GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe 80 GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 PCIe 40 GB"),
        ("NVIDIA A800-SXM4-80GB", "A800 SXM 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H800", "H800 SXM"),
        ("NVIDIA H20", "H20"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-32GB", "V100 SXM2"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)
def test_a_name_finds_its_part(name: str, wanted: str) -> None:
    known = part(name)
    assert known is not None
    assert known.name == wanted


@pytest.mark.parametrize(
    "name",
    [
        "",
        "NVIDIA",
        "NVIDIA A1",
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "NVIDIA A10-24Q",
        "NVIDIA H100",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA H200 NVL",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA L40",
        "Some H200",
        "AMD Instinct MI300X VF",
    ],
)
def test_a_near_name_is_unknown(name: str) -> None:
    assert part(name) is None
    assert reach(name, "bf16") is None


def test_one_name_has_one_part() -> None:
    import re

    for name in ("NVIDIA H100 80GB HBM3", "NVIDIA A10", "NVIDIA H200", "NVIDIA H20", "Tesla T4"):
        assert sum(re.fullmatch(p.pattern, name) is not None for p in PARTS) == 1


def test_a_measured_share_gives_both_limits() -> None:
    expected = reach("NVIDIA H200", "bf16")
    assert expected is not None
    assert expected.value == pytest.approx(989e12 * 0.803)
    assert (expected.limit, expected.fail) == (expected.value * DEGRADED_BELOW, expected.value * FAIL_BELOW)
    assert "80.3%" in expected.source


def test_without_a_measured_share_half_of_the_peak_is_no_fault_and_nothing_fails() -> None:
    expected = reach("NVIDIA A10", "bf16")
    assert expected is not None
    assert expected.limit == pytest.approx(125e12 * 0.25)
    assert expected.fail is None


def test_what_is_only_recalled_is_shown_and_not_judged_by() -> None:
    expected = reach("NVIDIA A10", "tf32")
    assert expected is not None
    assert (expected.value, expected.limit, expected.fail) == (62.5e12, None, None)
    assert "recalled" in expected.source
