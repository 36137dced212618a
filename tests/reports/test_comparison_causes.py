"""Causes: what is planted between two reports, or on one node of many, is among the first three, in the right words."""

from __future__ import annotations

import msgspec
import planted
import pytest
from report_material import finding

from torchprobes.model import Inventory, Report, Severity
from torchprobes.reports.comparison import compared, platforms
from torchprobes.reports.comparison.model import Cause, Comparison


def held(*reports: Report) -> Comparison:
    return compared(platforms([(f"{index}.json", each) for index, each in enumerate(reports)]))


def place(causes: tuple[Cause, ...], kind: str, name: str) -> int:
    """Where the cause is, counted from 0; far behind all where it is none."""
    return next((n for n, cause in enumerate(causes) if cause.kind == kind and name in cause.name), len(causes) + 100)


def other_torch(report: Report) -> Report:
    """From an image with another PyTorch and all that comes with it, numpy and Python, and 200 other packages."""
    found = planted.other_image(report)
    own = found.machine.inventory.parts
    wheel = {("package", name): f"{text}+other" for name, text in own["package"].items()
             if name.startswith(("torch", "triton", "nvidia", "numpy"))}  # fmt: skip
    library = {("library", name): f"{text}0" for name, text in own.get("library", {}).items() if "net" not in name}
    return planted.with_inventory(found, {**wheel, **library, ("python", "version"): "3.13.1"})


@pytest.mark.parametrize("felt", [True, False], ids=["felt", "unfelt"])
@pytest.mark.parametrize("name", planted.PLANTED)
def test_what_is_planted_is_among_the_first_three_though_200_packages_differ_too(name: str, felt: bool) -> None:
    kind, part = planted.PLANTED[name][2]
    causes = held(*planted.pair(name, felt=felt, images=True)).causes
    assert place(causes, kind, part) < 3, [cause.words for cause in causes[:5]]


@pytest.mark.parametrize("name", planted.PLANTED)
def test_another_pytorch_does_not_hide_what_is_planted(name: str) -> None:
    kind, part = planted.PLANTED[name][2]
    good, bad = planted.pair(name)
    causes = held(good, other_torch(bad)).causes
    assert place(causes, kind, part) < 3, [cause.words for cause in causes[:5]]


@pytest.mark.parametrize("name", planted.PLANTED)
def test_one_bad_node_of_seven_is_named(name: str) -> None:
    plant, where, (kind, part) = planted.PLANTED[name]
    good = planted.sound(where)
    nodes = [planted.noisy(good, number) for number in range(7)]
    causes = held(*nodes[:6], plant(nodes[6])).causes
    found = place(causes, kind, part)
    assert found < 3, [cause.words for cause in causes[:5]]
    assert "node-0006" in causes[found].words


WORDS = {
    "power limit": "power limit of GPU0, GPU1: 700 W on node-1, 350 W on node-7",
    "library path": "environment variable LD_LIBRARY_PATH: not set on node-1, /usr/local/cuda-12.4/lib64 on node-7",
    "disabled P2P": "environment variable NCCL_P2P_DISABLE: not set on node-1, 1 on node-7",
    "memory clock": "max memory clock of GPU0, GPU1: 3201 MHz on node-1, 2619 MHz on node-7",
    "NCCL plugin": "loaded library libnccl-net.so: 10.2.1 build-id 8d20b6f4a1c9 on node-1, not loaded on node-7",
    "flash-attn": "package flash-attn: 2.8.3 on node-1, not installed on node-7",
    "OMP threads": "environment variable OMP_NUM_THREADS: not set on",
    "CPU quota": "cpu.max: no limit on",
    "TF32": "environment variable NVIDIA_TF32_OVERRIDE: not set on node-1, 0 on node-7",
}


@pytest.mark.parametrize("name", planted.PLANTED)
def test_a_cause_names_both_sides_and_what_it_explains(name: str) -> None:
    kind, part = planted.PLANTED[name][2]
    found = held(*planted.pair(name))
    cause = found.causes[place(found.causes, kind, part)]
    assert cause.words.startswith(WORDS[name])
    assert cause.why
    differ = {row.name for row in found.differing}
    assert cause.explains
    assert set(cause.explains) <= differ


def test_what_a_way_ties_to_a_row_is_sure_and_what_only_could_be_is_not() -> None:
    sure = held(*planted.pair("disabled P2P")).causes
    assert sure[place(sure, "variable", "NCCL_P2P_DISABLE")].sure
    unsure = held(*planted.pair("power limit")).causes
    assert not unsure[place(unsure, "gpu", "power limit")].sure


def with_inventory(host: str, parts: dict[str, dict[str, str]], unread: dict[str, str] | None = None) -> Report:
    base = planted.on_host(planted.real("cpu"), host)
    inventory = Inventory(parts=parts, unread=unread or {})
    return planted.with_results(
        msgspec.structs.replace(base, machine=msgspec.structs.replace(base.machine, inventory=inventory)), ()
    )


def test_what_could_not_be_read_is_no_difference() -> None:
    a = with_inventory("a", {"variable": {"NCCL_DEBUG": "INFO"}})
    hung = with_inventory("b", {"variable": {}}, {"variable": "hung"})
    found = held(a, hung)
    assert place(found.causes, "variable", "NCCL_DEBUG") > len(found.causes)
    assert any("variable on b is not known: hung" in note for note in found.notes)


def test_a_kind_that_a_report_does_not_have_at_all_is_not_read() -> None:
    found = held(with_inventory("a", {"sysctl": {"vm.swappiness": "60"}}), with_inventory("b", {}))
    assert place(found.causes, "sysctl", "vm.swappiness") > len(found.causes)


def test_of_three_one_that_was_not_read_is_said_so() -> None:
    reports = (
        with_inventory("a", {"variable": {"NCCL_DEBUG": "INFO"}}),
        with_inventory("b", {"variable": {}}),
        with_inventory("c", {}, {"variable": "hung"}),
    )
    causes = held(*reports).causes
    cause = causes[place(causes, "variable", "NCCL_DEBUG")]
    assert cause.values == ("INFO", None, "")
    assert cause.words == "environment variable NCCL_DEBUG: INFO on a, not set on b, not read on c"


def test_what_is_another_on_every_node_is_an_identity_and_ranks_last() -> None:
    reports = [
        with_inventory(f"n{n}", {"variable": {"NCCL_HOSTID": str(n), "NCCL_ALGO": "Ring" if n == 3 else "Tree"}})
        for n in range(6)
    ]
    causes = held(*reports).causes
    assert place(causes, "variable", "NCCL_ALGO") < place(causes, "variable", "NCCL_HOSTID")


def test_a_critical_finding_of_one_machine_comes_before_settings_that_nobody_knows_of() -> None:
    nodes = [planted.noisy(planted.sound("two"), number) for number in range(5)]
    sick = msgspec.structs.replace(nodes[4], findings=(finding(Severity.CRITICAL, "XID 79"),))
    cause = held(*nodes[:4], planted.other_image(sick)).causes[0]
    assert (cause.kind, cause.words) == ("finding", "TD-HST-001, XID 79 on node-0004")


def test_a_limit_that_only_a_probe_read_is_a_cause_too() -> None:
    """A report of schema 1 has no inventory: NVML told the probe what held."""
    good = planted.real("h200")
    slow = planted.with_probe(good, "compute.gemm", lambda result: planted.figure_set(result, "power_limit", 350.0))
    first = held(good, planted.on_host(slow, "other")).causes[0]
    assert (first.kind, first.words) == ("gpu", f"power limit: 700 W on {good.machine.host}, 350 W on other")


def test_the_same_report_twice_has_no_cause_and_no_difference() -> None:
    good = planted.sound("two")
    found = held(good, planted.on_host(good, "node-2"))
    assert (found.causes, found.differing) == ((), ())
