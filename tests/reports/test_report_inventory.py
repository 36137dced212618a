"""The inventory of a report: files, identity and facts joined, and what nobody knows told from what is not there."""

from __future__ import annotations

import msgspec
import pytest
from report_material import MACHINE, TARGET, report, result

from torchprobes.model import Fact, Inventory, Report
from torchprobes.reports import inventory
from torchprobes.reports.inventory import KINDS
from torchprobes.reports.said_inventory import FAMILIES, NAMED


def told(probe: str, **facts: object) -> Report:
    rows = tuple(Fact(name=name, value=value, evidence="seen") for name, value in facts.items())  # type: ignore[arg-type]
    return report((result(probe, facts=rows),))


def with_inventory(base: Report, parts: dict[str, dict[str, str]], **unread: str) -> Report:
    machine = msgspec.structs.replace(base.machine, inventory=Inventory(parts=parts, unread=unread))
    return msgspec.structs.replace(base, machine=machine)


def test_machine_target_and_gpus_are_in_it() -> None:
    gpus = ({"index": 0, "name": "NVIDIA H200", "power_limit_w": 350.0},)
    machine = msgspec.structs.replace(MACHINE, driver="570.1", gpus=gpus)
    parts = inventory.of(msgspec.structs.replace(report(), machine=machine, target=TARGET)).parts
    assert parts["driver"] == {"driver": "570.1"}
    assert parts["gpu"] == {"GPU0 name": "NVIDIA H200", "GPU0 power limit": "350 W"}
    assert parts["python"] == {"executable": "/env/bin/python", "version": "3.11.7", "torch CUDA": "12.4"}
    assert parts["package"] == {"torch": "2.6.0"}


def test_every_kind_that_a_fact_speaks_of_is_a_kind() -> None:
    kinds = {row.kind for row in NAMED.values()} | {family.kind for family in FAMILIES.values()}
    assert kinds <= KINDS.keys()


@pytest.mark.parametrize(
    ("probe", "fact", "value", "kind", "name", "text"),
    [
        ("compute.numerics", "flag.cuda.matmul.allow_tf32", False, "setting", "CUDA matmul TF32", "False"),
        ("compile.toolchain", "toolchain.triton.version", None, "toolchain", "triton", "none"),
        ("system.cpu", "cpu.quota", 4.0, "cgroup", "cpu.max", "4 cores"),
        ("system.cpu", "cpu.quota", "none", "cgroup", "cpu.max", "no limit"),
        ("env.packages", "installed.flash-attn", "2.8.3", "package", "flash-attn", "2.8.3"),
        ("env.libraries", "library.libnccl.so.2", "22809, build-id ab, wheel", "library", "libnccl.so.2",
         "22809, build-id ab, wheel"),
        ("env.libraries", "nccl.plugin.libnccl-net.so", "build-id cd, loaded", "library",
         "NCCL plugin libnccl-net.so", "build-id cd, loaded"),
        ("compute.p2p", "p2p.0 to 1.peer", False, "topology", "P2P: 0 to 1", "False"),
        ("env.variables", "environ.OMP_NUM_THREADS", "1", "variable", "OMP_NUM_THREADS", "1"),
    ],
)  # fmt: skip
def test_a_fact_says_what_it_names(probe: str, fact: str, value: object, kind: str, name: str, text: str) -> None:
    found = inventory.of(told(probe, **{fact: value}))
    assert found.parts[kind][name] == text
    assert inventory.unread(found, kind, name) == ""


@pytest.mark.parametrize(
    ("probe", "fact"),
    [
        ("env.identity", "library.libx.so"),  # that probe does not list libraries
        ("compute.p2p", "p2p.0 to 1.wrong"),
        ("env.libraries", "nccl.plugin.missing"),
        ("env.libraries", "librarywhatever"),
        ("data.csv", "csv.rows"),
    ],
)
def test_a_fact_that_names_nothing_is_left_out(probe: str, fact: str) -> None:
    assert inventory.of(told(probe, **{fact: "x"})).parts == inventory.of(told(probe)).parts


def test_files_count_before_facts_and_facts_add_nothing_to_what_files_list_whole() -> None:
    base = told("env.packages", **{"installed.torch": "2.6.0", "installed.ghost": "1", "python.version": "3.11"})
    found = inventory.of(with_inventory(base, {"package": {"numpy": "2.4.6"}, "python": {"version": "3.11.7"}}))
    assert found.parts["package"] == {"numpy": "2.4.6", "torch": "2.6.0"}
    assert found.parts["python"]["version"] == "3.11.7"


def test_what_the_target_says_of_its_build_is_more_than_the_packages_name() -> None:
    """PyPI's CUDA wheel calls itself 2.6.0; a report without an inventory says 2.6.0+cu124 of the same wheel."""
    target = msgspec.structs.replace(TARGET, torch="2.6.0+cu124")
    base = msgspec.structs.replace(report((result(),)), target=target)
    listed = inventory.of(with_inventory(base, {"package": {"torch": "2.6.0"}}))
    assert listed.parts["package"] == inventory.of(base).parts["package"] == {"torch": "2.6.0+cu124"}


def test_two_files_of_one_library_are_both_said() -> None:
    rows = [Fact(name="library.libgomp.so.1", value=value) for value in ("build-id a, torch", "build-id b, system")]
    found = inventory.of(report((result("env.libraries", facts=(*rows, rows[0])),)))
    assert found.parts["library"]["libgomp.so.1"] == "build-id a, torch | build-id b, system"


def test_a_library_whose_content_is_not_known_is_unread_and_not_absent() -> None:
    found = inventory.of(told("env.libraries", **{"library.libx.so": None}))
    assert inventory.unread(found, "library", "libx.so") == "seen"


@pytest.mark.parametrize(
    ("unread", "kind", "name", "why"),
    [
        ({}, "package", "apex", ""),
        ({"": "none was taken"}, "package", "apex", "none was taken"),
        ({"package": "hung"}, "package", "apex", "hung"),
        ({"package": "hung"}, "package", "torch", ""),
        ({"package": "hung"}, "sysctl", "vm.swappiness", ""),
        ({"sysctl/vm.swappiness": "denied"}, "sysctl", "vm.swappiness", "denied"),
        ({"package/deb:": "hung"}, "package", "deb:libnccl2", "hung"),
        ({"package/deb:": "hung"}, "package", "apex", ""),
        ({}, "setting", "cuDNN TF32", inventory.NOT_ASKED),
        ({}, "topology", "P2P: GPU0-GPU1", inventory.NOT_ASKED),
        ({}, "python", "torch CUDA", ""),
    ],
)
def test_only_what_was_looked_for_is_known_not_to_be_there(
    unread: dict[str, str], kind: str, name: str, why: str
) -> None:
    known = Inventory(parts={"package": {"torch": "2.6.0"}, "python": {"version": "3"}}, unread=unread)
    assert inventory.unread(known, kind, name) == why


def test_what_one_inventory_knows_another_cannot_make_unread() -> None:
    first = Inventory(parts={"gpu": {"GPU0 VBIOS": "96"}}, unread={"cpu": "hung"})
    second = Inventory(parts={"gpu": {"GPU0 VBIOS": "97", "GPU0 ECC": "on"}}, unread={"gpu/GPU0 VBIOS": "denied"})
    both = inventory.joined(first, second)
    assert both.parts == {"gpu": {"GPU0 VBIOS": "96", "GPU0 ECC": "on"}}
    assert both.unread == {"cpu": "hung"}
