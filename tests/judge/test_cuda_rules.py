"""cuda.*, accel.*, compute.launch and compute.memory judged: each single fault in a sound run gives its one finding."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cuda_sound import (
    ACCEL,
    ARCH,
    AVAILABLE,
    BUDGET,
    CONVOLUTIONS,
    CUDNN,
    DRIVER,
    LAUNCH,
    LAUNCHES,
    LIBRARIES,
    MEMORY,
    TOOLKITS,
)
from sound import Facts, figure, ids, judged, readings

from torchprobes.judge.cuda.driver import CODES, LEAST_DRIVER
from torchprobes.judge.cuda.stack import wheels_for
from torchprobes.model import Figure, Verdict

F, D, P, U = Verdict.FAIL, Verdict.DEGRADED, Verdict.PASS, Verdict.UNSURE

SOUND: Mapping[str, tuple[Facts, tuple[Figure, ...]]] = {
    "cuda.driver": (DRIVER, ()),
    "cuda.available": (AVAILABLE, ()),
    "cuda.arch": (ARCH, ()),
    "cuda.toolkits": (TOOLKITS, ()),
    "cuda.libraries": (LIBRARIES, ()),
    "cuda.cudnn": (CUDNN, CONVOLUTIONS),
    "accel.backends": (ACCEL, ()),
    "compute.launch": (LAUNCH, LAUNCHES),
    "compute.memory": (MEMORY, BUDGET),
}

Change = Mapping[str, object]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_is_a_pass_without_a_finding(name: str) -> None:
    facts, figures = SOUND[name]
    judgement = judged(readings(name, facts, figures))
    assert (judgement.verdict, ids(judgement)) == (P, []), judgement.reason


# What a broken driver leaves of the readings of cuda.available.
DEAD: Change = {"cuda.available": False, "cuda.answer": ..., "cuda.name": ..., "driver.devices": ...}


@pytest.mark.parametrize(
    ("name", "change", "card", "verdict"),
    [
        ("cuda.driver", {"node.nvidia": 0, "driver.module": None, "driver.library": None}, "TD-CUD-001", F),
        ("cuda.driver", {"driver.library": None, "driver.init": ..., "driver.library.kind": ...}, "TD-CUD-002", F),
        ("cuda.driver", {"driver.library.kind": "stub", "driver.init": 34}, "TD-CUD-003", F),
        ("cuda.driver", {"driver.cuda": "12.8", "driver.init": 0}, "TD-CUD-004", F),
        ("cuda.driver", {"driver.cuda": "12.8", "driver.init": 36}, "TD-CUD-004", F),
        ("cuda.driver", {"driver.init": 802, "driver.devices": ...}, "TD-CUD-005", F),
        ("cuda.driver", {"driver.init": 803, "driver.library.kind": "other"}, "TD-CUD-006", F),
        ("cuda.driver", {"driver.init": 804, "driver.library.kind": "compat"}, "TD-CUD-007", F),
        ("cuda.driver", {"driver.init": 100}, "TD-CUD-008", F),
        ("cuda.driver", {"driver.init": 999}, "TD-CUD-009", F),
        ("cuda.driver", {"driver.init": 12345}, "TD-CUD-009", F),
        ("cuda.driver", {"driver.question": "hung", "driver.init": ...}, "TD-CUD-010", F),
        ("cuda.driver", {"driver.question": "killed by SIGSEGV", "driver.init": ...}, "TD-CUD-011", F),
        ("cuda.driver", {"driver.init": 805}, "TD-CUD-015", F),
        ("cuda.driver", {"torch.build.cuda": "12.4", "driver.cuda": "12.2", "nccl.cuda": "12"}, "TD-CUD-016", P),
        ("cuda.driver", {"driver.library.kind": "compat"}, "TD-CUD-017", P),
        ("cuda.driver", {"driver.cuda": "12.8", "torch.build.cuda": "12.6"}, "TD-CUD-018", F),
        ("cuda.driver", {"driver.library.kind": "other"}, "TD-CUD-019", P),
        # one cause, however many consequences
        ("cuda.available", {**DEAD, "torch.build.gpu": False, "driver.init": 802, "visible.state": "none"},
         "TD-ENV-004", F),
        ("cuda.available", {**DEAD, "driver.init": 802, "cuda.init": "builtins.RuntimeError"}, "TD-CUD-005", F),
        ("cuda.available", {**DEAD, "cuda.code": 803}, "TD-CUD-006", F),
        ("cuda.available", {**DEAD, "driver.cuda": ..., "driver.init": ..., "cuda.code": 35}, "TD-CUD-004", F),
        ("cuda.available", {**DEAD, "driver.init": 999, "opening./dev/nvidia0": "EPERM"}, "TD-CUD-012", F),
        ("cuda.available", {**DEAD, "driver.init": 304, "opening./dev/nvidia-uvm": "ENOENT"}, "TD-CUD-012", F),
        ("cuda.available", {**DEAD, "driver.init": 100, "visible.state": "none"}, "TD-CUD-013", D),
        ("cuda.available", {**DEAD, "driver.init": 100, "visible.state": "unknown"}, "TD-CUD-014", F),
        ("cuda.available", {**DEAD, "cuda.init": "builtins.RuntimeError"}, "TD-CUD-021", F),
        ("cuda.available", {"cuda.answer": "wrong"}, "TD-CUD-022", F),
        ("cuda.available", {"cuda.answer": ..., "cuda.kernel": "builtins.RuntimeError"}, "TD-CUD-022", F),
        ("cuda.available", {"cuda.answer": ..., "cuda.kernel": "torch.AcceleratorError",
                            "cuda.kernel.message": "CUDA error: no kernel image is available"}, "TD-CUD-030", F),
        ("cuda.available", {"visible.state": "unknown", "visible.devices": 1}, "TD-CUD-023", P),
        ("cuda.arch", {"device.1.capability": "6.1", "arch.answer": "right"}, "TD-CUD-030", F),
        ("cuda.arch", {"device.0.capability": "6.1", "arch.answer": ..., "arch.kernel": "E"}, "TD-CUD-030", F),
        ("cuda.arch", {"arch.list": "sm_80 compute_80"}, "TD-CUD-031", D),
        ("cuda.arch", {"arch.list": "sm_100a sm_90a", "device.0.capability": "10.3"}, "TD-CUD-030", F),
        ("cuda.arch", {"arch.answer": "wrong"}, "TD-CUD-022", F),
        ("cuda.arch", {"device.0.capability": ..., "device.1.capability": ..., "device.0.gcn": "gfx1100",
                       "arch.list": "gfx90a gfx942"}, "TD-CUD-030", F),
        ("cuda.toolkits", {"link": "dangling", "link.version": ...}, "TD-CUD-040", D),
        ("cuda.toolkits", {"home.version": "12.4", "link.version": "12.4", "nvcc.0": "13.0"}, "TD-CUD-041", D),
        ("cuda.toolkits", {"link.version": "12.4"}, "TD-CUD-042", D),
        ("cuda.toolkits", {"named.CUDA_HOME.version": "13.0", "nvcc.0": "12.4"}, "TD-CUD-042", D),
        ("cuda.toolkits", {"named.CUDA_HOME": "/x", "named.CUDA_HOME.nvcc": False}, "TD-CUD-043", D),
        ("cuda.toolkits", {"home.version": "13.2", "link.version": "13.2", "nvcc.0": "13.2"}, "TD-CUD-044", P),
        ("cuda.libraries", {"copies.libcudnn.so.9": 2, "origin.libcudnn.so.9": "environment: LD_LIBRARY_PATH /x",
                            "own.libcudnn.so.9": False}, "TD-CUD-050", F),
        ("cuda.libraries", {"origin.libcudnn.so.9": "environment: LD_LIBRARY_PATH /x", "own.libcudnn.so.9": False},
         "TD-CUD-051", D),
        ("cuda.libraries", {"use.answer": ..., "use": "builtins.RuntimeError"}, "TD-CUD-022", F),
        ("cuda.cudnn", {"cudnn.available": False}, "TD-CUD-060", D),
        ("cuda.cudnn", {"cudnn.mismatch": "builtins.RuntimeError", "cudnn.version": ..., "cudnn.available": False},
         "TD-CUD-061", F),
        ("cuda.cudnn", {"conv.float16": "builtins.RuntimeError"}, "TD-CUD-063", F),
        ("cuda.cudnn", {"cudnn.enabled": False}, "TD-CUD-064", D),
        ("cuda.cudnn", {"cudnn.allow_tf32": False}, "TD-CUD-062", F),  # 3e-4 is then no rounding
        ("accel.backends", {"plugin.npu": ..., "loaded.torch_npu": ..., "answer.npu:0": ...}, "TD-ACC-001", D),
        ("accel.backends", {"answer.npu:0": "wrong"}, "TD-ACC-002", F),
        ("accel.backends", {"answer.npu:0": ..., "load.torch_npu": "builtins.ImportError"}, "TD-ACC-003", F),
        ("accel.backends", {"answer.npu:0": ..., "accel.import": "builtins.RuntimeError"}, "TD-ACC-003", F),
        ("accel.backends", {"answer.npu:0": ...}, "TD-ACC-005", D),
        ("compute.launch", {"launch.answer": False}, "TD-CPT-100", F),
        ("compute.launch", {"launch.blocking": True, "kernel.gvisor": True}, "TD-CPT-101", D),
        ("compute.memory", {"memory.recovered": False, "memory.content": ...}, "TD-CPT-110", F),
        ("compute.memory", {"memory.content": "wrong"}, "TD-CPT-111", F),
        ("compute.memory", {"memory.too_much": "RuntimeError"}, "TD-CPT-112", F),
        ("compute.memory", {"allocator.caching": False, "memory.too_much": "given"}, "TD-CPT-113", D),
        ("compute.memory", {"memory.large": "out of memory"}, "TD-CPT-114", P),
        ("compute.memory", {"memory.too_much": "given"}, "TD-CPT-115", U),
    ],
)  # fmt: skip
def test_one_fault_is_told_once(name: str, change: Change, card: str, verdict: Verdict) -> None:
    facts, figures = SOUND[name]
    judgement = judged(readings(name, {**facts, **change}, figures, evidence=dict.fromkeys(change, "as seen")))
    assert (ids(judgement), judgement.verdict) == ([card], verdict), judgement.reason
    assert judgement.findings[0].seen


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cuda.driver", {"driver.cuda": "13.1"}),
        ("cuda.driver", {"torch.build.cuda": None, "nccl.cuda": ..., "nccl.version": ...}),
        ("cuda.driver", {"driver.cuda": "nonsense"}),
        # A job's cgroup hides other jobs' GPUs: no fault while its own answer.
        ("cuda.available", {"opening./dev/nvidia3": "EPERM"}),
        ("cuda.available", {"visible.state": "all known", "visible.devices": 1}),
        ("cuda.arch", {"device.1.capability": "8.9"}),
        ("cuda.arch", {"device.0.capability": "12.1"}),
        ("cuda.toolkits", {"home": None, "home.version": ..., "link": "absent", "link.version": ..., "nvcc.0": ...}),
        ("cuda.toolkits", {"torch.build.cuda": None}),
        # A build that was linked to a toolkit finds it by LD_LIBRARY_PATH.
        ("cuda.libraries", {"origin.libcudnn.so.9": "environment: LD_LIBRARY_PATH /x", "own.libcudnn.so.9": ...}),
        ("cuda.cudnn", {"conv.bfloat16.unsupported": "not implemented for 'BFloat16'"}),
        ("accel.backends", {"node.ascend": ...}),
        ("compute.launch", {"kernel.gvisor": True, "cpu.governor": "powersave"}),  # but no launch is dear
    ],
)
def test_what_is_no_fault_is_no_finding(name: str, change: Change) -> None:
    facts, figures = SOUND[name]
    judgement = judged(readings(name, {**facts, **change}, figures))
    assert (judgement.verdict, ids(judgement)) == (P, []), judgement.reason


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("cuda.driver", "driver.init"),
        ("cuda.driver", "driver.devices"),
        ("cuda.available", "cuda.answer"),
        ("cuda.arch", "arch.answer"),
        ("cuda.arch", "arch.list"),
        ("cuda.toolkits", "toolkits.searched"),
        ("cuda.libraries", "use.answer"),
        ("cuda.cudnn", "cudnn.version"),
        ("compute.launch", "launch.answer"),
        ("compute.memory", "memory.content"),
        ("compute.memory", "memory.recovered"),
    ],
)
def test_without_its_evidence_there_is_no_pass(name: str, lacks: str) -> None:
    facts, figures = SOUND[name]
    assert judged(readings(name, {**facts, lacks: ...}, figures)).verdict is U


def test_a_driver_that_is_too_old_is_told_with_all_numbers() -> None:
    change = {"driver.cuda": "12.2", "driver.module": "535.86.10", "driver.init": 0}
    (finding,) = judged(readings("cuda.driver", {**DRIVER, **change})).findings
    assert finding.seen == (
        "driver 535.86.10 takes CUDA up to 12.2, this torch is built for CUDA 13.0, which needs driver 580 or later"
    )
    assert LEAST_DRIVER == {11: "450.80.02", 12: "525.60.13", 13: "580"}


@pytest.mark.parametrize(("driver", "build", "card"), [
    ("12.0", "12.1", "TD-CUD-016"),  # A10 with driver 525.85: CUDA 12.0, PyTorch 2.1.2 for 12.1
    ("12.2", "12.1", None),  # RTX 4090 with driver 535.86
    ("11.4", "12.1", "TD-CUD-004"),
    ("12.0", "11.8", None),
])  # fmt: skip
def test_drivers_of_the_migration_case(driver: str, build: str, card: str | None) -> None:
    change = {"driver.cuda": driver, "torch.build.cuda": build, "nccl.cuda": ...}
    assert ids(judged(readings("cuda.driver", {**DRIVER, **change}))) == ([card] if card else [])


def test_each_code_leads_to_a_card_that_a_rule_can_tell() -> None:
    for code, (card, words) in CODES.items():
        judgement = judged(readings("cuda.driver", {**DRIVER, "driver.init": code, "driver.devices": ...}))
        assert (code, ids(judgement)) == (code, [card])
        assert words in judgement.reason or card in ("TD-CUD-003", "TD-CUD-004")


@pytest.mark.parametrize(
    ("capability", "machine", "builds"),
    [
        ((6, 1), "x86_64", ("cu118", "cu126")),
        ((7, 0), "x86_64", ("cu118", "cu126")),
        ((12, 0), "x86_64", ("cu128", "cu130", "cu132")),
        ((9, 0), "x86_64", ("cu118", "cu126", "cu128", "cu130", "cu132")),
        ((3, 5), "x86_64", ()),
        ((11, 0), "aarch64", ("cu130", "cu132")),
        ((12, 1), "aarch64", ("cu128", "cu130", "cu132")),
    ],
)
def test_which_wheels_hold_code_for_a_device(
    capability: tuple[int, int], machine: str, builds: tuple[str, ...]
) -> None:
    assert wheels_for(capability, machine) == builds


def test_a_gpu_that_the_wheel_lacks_is_told_with_the_builds_that_have_it() -> None:
    change = {"device.0.capability": "12.0", "device.1.capability": ..., "arch.list": "sm_80 sm_90", "arch.answer": ...}
    (finding,) = judged(
        readings("cuda.arch", {**ARCH, **change}, evidence={"device.0.capability": "NVIDIA GeForce RTX 5090"})
    ).findings
    assert finding.seen == (
        "NVIDIA GeForce RTX 5090 (12.0): this build holds sm_80 sm_90; cu128, cu130, cu132 of download.pytorch.org "
        "hold it"
    )


def test_ptx_is_told_with_what_its_first_kernel_cost() -> None:
    told = readings("cuda.arch", {**ARCH, "arch.list": "sm_80 compute_80"}, (figure("first_kernel_s", 4.2),))
    assert "the first kernel took 4.2 s" in judged(told).reason


@pytest.mark.parametrize(
    ("change", "figures", "card", "verdict"),
    [
        ({"kernel.gvisor": True}, (), "TD-CPT-102", D),
        ({"cpu.quota": 0.5}, (figure("throttled_share", 0.4),), "TD-CPT-103", D),
        ({"cpu.quota": 64.0}, (figure("throttled_share", 0.0),), "TD-CPT-105", U),
        ({"cpu.governor": "ondemand"}, (), "TD-CPT-104", D),
        ({"cpu.governor": "powersave", "cpu.frequency_driver": "acpi-cpufreq"}, (), "TD-CPT-104", D),
        ({"cpu.governor": "powersave"}, (), "TD-CPT-105", U),  # the usual one of intel_pstate
        ({}, (), "TD-CPT-105", U),
    ],
)
def test_a_dear_launch_is_degraded_with_its_cause_and_unsure_without(
    change: Change, figures: tuple[Figure, ...], card: str, verdict: Verdict
) -> None:
    dear = (*LAUNCHES, figure("issue_us", 40.0, n=100, of="median"), *figures)
    judgement = judged(readings("compute.launch", {**LAUNCH, **change}, dear))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)
    on_cpu = judged(readings("compute.launch", {**LAUNCH, **change}, dear, device="cpu"))
    assert (ids(on_cpu), on_cpu.verdict) == ([], P)


def test_a_convolution_that_is_off_is_told_with_error_and_limit() -> None:
    wrong = figure("conv_error", 0.31, dtype="bfloat16", part="weight gradient", switch="on")
    judgement = judged(readings("cuda.cudnn", CUDNN, (*CONVOLUTIONS, wrong)))
    assert (ids(judgement), judgement.verdict) == (["TD-CUD-062"], F)
    assert "bfloat16 weight gradient: error 0.31, limit 0.016" in judgement.reason
    nan = figure("conv_error", float("nan"), dtype="float32", part="result", switch="on")
    assert ids(judged(readings("cuda.cudnn", CUDNN, (*CONVOLUTIONS, nan)))) == ["TD-CUD-062"]


def test_what_benchmark_gains_is_worth_a_line_and_no_verdict() -> None:
    gained = (figure("benchmark_speedup", 1.6), figure("conv_us", 80.0, benchmark="False"),
              figure("conv_us", 50.0, benchmark="True"))  # fmt: skip
    judgement = judged(readings("cuda.cudnn", CUDNN, (*CONVOLUTIONS, *gained)))
    assert (ids(judgement), judgement.verdict) == (["TD-CUD-065"], P)
    assert judgement.findings[0].seen == "80 µs as chosen by rule, 50 µs as found by trial"


def test_the_switch_is_tried_where_cudnn_is_not() -> None:
    off = figure("conv_error", 3e-7, dtype="float32", part="result", switch="off")
    exact = tuple(
        figure("conv_error", 3e-7, dtype="float32", part=p, switch="on") for p in ("result", "weight gradient")
    )
    told = {**CUDNN, "cudnn.available": False, "cudnn.version": ..., "cudnn.device": "doctor:0"}
    assert judged(readings("cuda.cudnn", told, (*exact, off), device="doctor:0")).verdict is P
    assert judged(readings("cuda.cudnn", told, exact, device="doctor:0")).verdict is U
