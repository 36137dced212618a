"""What code of one architecture does on a device: the rules of NVIDIA as a table."""

from __future__ import annotations

import pytest

from torchprobes.judge.cuda.architectures import Capability, Match, best_of, capability_of, runs_on


@pytest.mark.parametrize(
    ("arch", "capability", "match"),
    [
        ("sm_80", (8, 0), "exact"),
        ("sm_80", (8, 6), "compatible"),
        ("sm_80", (8, 9), "compatible"),
        ("sm_86", (8, 9), "compatible"),
        ("sm_89", (8, 6), "no"),
        ("sm_80", (9, 0), "no"),
        ("sm_90", (8, 9), "no"),
        ("sm_90", (10, 0), "no"),
        ("sm_120", (12, 0), "exact"),
        ("sm_120", (12, 1), "compatible"),
        ("sm_100", (12, 0), "no"),
        ("compute_90", (9, 0), "ptx"),
        ("compute_90", (12, 0), "ptx"),
        ("compute_90", (8, 9), "no"),
        ("compute_120", (10, 0), "no"),
        # architecture-specific: this device alone, as PTX too
        ("sm_90a", (9, 0), "exact"),
        ("sm_100a", (10, 0), "exact"),
        ("sm_100a", (10, 3), "no"),
        ("sm_120a", (12, 1), "no"),
        ("compute_90a", (9, 0), "ptx"),
        ("compute_90a", (10, 0), "no"),
        # family-specific: later minors of its major, as PTX too
        ("sm_100f", (10, 0), "exact"),
        ("sm_100f", (10, 3), "compatible"),
        ("sm_103f", (10, 0), "no"),
        ("sm_120f", (12, 1), "compatible"),
        ("compute_100f", (10, 3), "ptx"),
        ("compute_100f", (12, 0), "no"),
        # Jetson: machine code does not cross
        ("sm_86", (8, 7), "no"),
        ("sm_87", (8, 9), "no"),
        ("sm_87", (8, 7), "exact"),
        ("sm_70", (7, 2), "no"),
        ("compute_86", (8, 7), "ptx"),
        ("sm_101", (11, 0), "exact"),
        ("sm_110", (10, 1), "exact"),
        ("sm_100", (10, 1), "no"),
        # not NVIDIA's
        ("gfx942", (9, 4), "no"),
        ("", (8, 0), "no"),
        ("sm_", (8, 0), "no"),
        ("sm_90x", (9, 0), "no"),
    ],
)
def test_one_architecture_on_one_device(arch: str, capability: Capability, match: Match) -> None:
    assert runs_on(arch, capability) == match


def test_code_built_with_cuda_13_2_runs_on_orin_too() -> None:
    assert runs_on("sm_80", (8, 7), cuda=(13, 2)) == "compatible"
    assert runs_on("sm_80", (8, 7), cuda=(13, 0)) == "no"
    assert runs_on("sm_87", (8, 9), cuda=(13, 2)) == "no"
    assert runs_on("sm_100", (10, 1), cuda=(13, 2)) == "no"


@pytest.mark.parametrize(
    ("archs", "capability", "match"),
    [
        ("sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", (8, 9), "compatible"),  # the 4090 on cu121
        ("sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", (12, 0), "no"),  # pytorch#150733
        ("sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120", (6, 1), "no"),  # pytorch cu130 on Pascal
        ("sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120", (12, 1), "compatible"),
        ("sm_70 compute_70", (12, 0), "ptx"),
        ("sm_90 compute_90", (8, 0), "no"),
        ("sm_90a compute_80", (9, 0), "exact"),
        ("gfx90a gfx942", (9, 4), None),
        ("", (8, 0), None),
    ],
)
def test_the_best_of_a_build(archs: str, capability: Capability, match: Match | None) -> None:
    assert best_of(archs.split(), capability) == match


def test_a_capability_is_read_from_its_text() -> None:
    assert (capability_of("9.0"), capability_of("12.1 "), capability_of("?"), capability_of("")) == (
        (9, 0),
        (12, 1),
        None,
        None,
    )
