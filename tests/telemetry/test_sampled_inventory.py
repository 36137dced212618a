"""What a sample says of a node's inventory: settings in words, absences with their reason, links once."""

from __future__ import annotations

from typing import Any

import msgspec
from sample_material import CELL_DENIED, CELL_LOST, CELL_UNSUPPORTED, sample
from sample_material import gpu as idle

from torchprobes.cells import UNREAD
from torchprobes.environment import gpu_settings, is_settled, sampled_inventory
from torchprobes.samples import GpuSample


def gpu(index: int = 0, **changes: Any) -> GpuSample:
    """A healthy GPU that was read whole."""
    return idle(index, **{"cpu_affinity": "0-47", **changes})


def test_settings_of_a_gpu_are_said_in_their_units() -> None:
    parts = sampled_inventory(sample(gpu(power_limit_w=350.0, mig_mode=1, compute_mode=3))).parts
    said = parts["gpu"]
    assert said["GPU0 power limit"] == "350 W"
    assert said["GPU0 default power limit"] == "700 W"
    assert (said["GPU0 ECC"], said["GPU0 MIG"], said["GPU0 compute mode"]) == ("on", "on", "exclusive process")
    assert (said["GPU0 max memory clock"], said["GPU0 memory"]) == ("3201 MHz", "80.0 GiB")
    assert parts["driver"]["driver"] == "570.86.15"
    assert parts["driver"]["peer memory module"] == "loaded"


def test_nothing_is_told_that_changes_by_the_second() -> None:
    busy = gpu(utilization_percent=100, power_w=690.0, temperature_c=80, sm_clock_mhz=1200, pcie_generation=1)
    assert sampled_inventory(sample(busy)).parts == sampled_inventory(sample(gpu())).parts


def test_what_a_device_does_not_have_is_not_there_and_what_could_not_be_read_says_why() -> None:
    found = sampled_inventory(sample(gpu(vbios=CELL_DENIED, ecc_mode=CELL_UNSUPPORTED, power_limit_w=CELL_LOST)))
    assert found.unread == {"gpu/GPU0 VBIOS": CELL_DENIED.why, "gpu/GPU0 power limit": CELL_LOST.why}
    assert not {"GPU0 VBIOS", "GPU0 ECC", "GPU0 power limit"} & found.parts["gpu"].keys()


def test_a_link_is_told_once_and_a_matrix_that_is_not_read_is_unread() -> None:
    matrix = (("X", "NV18", "SYS"), ("NV18", "X", "PIX"), ("SYS", "PIX", "X"))
    three = (gpu(0), gpu(2), gpu(5))
    links = sampled_inventory(sample(*three, topology=matrix)).parts["topology"]
    assert links == {"GPU0-GPU2": "NV18", "GPU0-GPU5": "SYS", "GPU2-GPU5": "PIX"}
    assert "topology" in sampled_inventory(sample(*three)).unread


def test_peer_access_is_told_with_its_reason_and_what_is_unknown_is_unread() -> None:
    two, why = (gpu(0), gpu(1)), "no: switched off by a key of the driver's registry"
    found = sampled_inventory(sample(*two, topology=(("X", "?"), ("?", "X")), peers=(("X", why), (why, "X"))))
    assert found.parts["topology"] == {"P2P: GPU0-GPU1": why}
    assert found.unread == {"topology/GPU0-GPU1": "the driver did not say it"}


def test_a_sample_is_settled_when_no_setting_has_its_turn_to_come() -> None:
    first = GpuSample(index=0, uuid="GPU-0", bus_id="0")
    assert not is_settled(sample(first))
    assert is_settled(sample())
    assert is_settled(sample(gpu(power_limit_w=CELL_DENIED)))
    assert not is_settled(sample(gpu(power_limit_w=msgspec.structs.replace(UNREAD))))
    assert not is_settled(sample(gpu(0), gpu(1)))
    assert not is_settled(sample(kernel_module=UNREAD))
    assert is_settled(sample(msgspec.structs.replace(first, state="lost"))), "nobody waits for a GPU that is gone"


def test_a_gpu_of_a_report_is_said_as_that_of_a_sample() -> None:
    kept = {"index": 3, "name": "NVIDIA H200", "power_limit_w": 700.0, "memory_total_bytes": {"state": "lost"}}
    assert gpu_settings(kept) == {"GPU3 name": "NVIDIA H200", "GPU3 power limit": "700 W"}
