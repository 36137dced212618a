"""Accelerators by their device files, in a made-up /dev and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchprobes.samples import Accelerator
from torchprobes.telemetry.vendors import accelerators


def machine(root: Path, nodes: tuple[str, ...], vendors: dict[str, str] | None = None) -> Path:
    for node in nodes:
        path = root / "dev" / node
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for where, vendor in (vendors or {}).items():
        path = root / "sys" / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(vendor + "\n")
    return root


def drm(number: int) -> str:
    return f"class/drm/renderD{number}/device/vendor"


@pytest.mark.parametrize(
    ("nodes", "vendors", "expected"),
    [
        (("davinci0", "davinci7", "davinci_manager"), {}, ("Huawei", "Ascend NPU", "/dev/davinci0", 2)),
        (("accel/accel0", "accel/accel1"), {f"class/accel/accel{i}/device/vendor": "0x1da3" for i in (0, 1)},
         ("Intel", "Habana Gaudi", "/dev/accel/accel0", 2)),
        (("hl0", "hl_controlD0"), {}, ("Intel", "Habana Gaudi", "/dev/hl0", 1)),
        (("neuron0", "neuron10", "neuron2"), {}, ("AWS", "Neuron", "/dev/neuron0", 3)),
        (("cambricon_dev0", "cambricon_ctl"), {}, ("Cambricon", "MLU", "/dev/cambricon_dev0", 1)),
        (("xpu0", "xpuctrl"), {}, ("Baidu", "Kunlun XPU", "/dev/xpu0", 1)),
        (("mtgpu.0",), {}, ("Moore Threads", "GPU", "/dev/mtgpu.0", 1)),
        (("vfio/3", "vfio/vfio"), {"kernel/iommu_groups/3/devices/0000:00:05.0/vendor": "0x1ae0"},
         ("Google", "TPU", "/dev/vfio/3", 1)),
        (("dri/renderD128", "dri/renderD129", "dri/card0", "kfd"), {drm(128): "0x1002", drm(129): "0x1002"},
         ("AMD", "GPU", "/dev/dri/renderD128", 2)),
    ],
)  # fmt: skip
def test_a_device_is_named_and_counted(
    tmp_path: Path, nodes: tuple[str, ...], vendors: dict[str, str], expected: tuple[str, str, str, int]
) -> None:
    vendor, what, node, count = expected
    found = accelerators.found(root=machine(tmp_path, nodes, vendors))
    assert found == (Accelerator(vendor=vendor, what=what, node=node, count=count),)


def test_gpus_of_a_vendor_that_is_read_are_not_named_twice(tmp_path: Path) -> None:
    root = machine(tmp_path, ("dri/renderD128", "dri/renderD129"), {drm(128): "0x1002", drm(129): "0x8086"})
    assert [row.vendor for row in accelerators.found(root=root)] == ["AMD", "Intel"]
    assert [row.vendor for row in accelerators.found(("amd",), root)] == ["Intel"]


def test_a_device_file_with_an_older_name_is_not_counted_twice(tmp_path: Path) -> None:
    root = machine(tmp_path, ("hl0", "accel/accel0"), {"class/accel/accel0/device/vendor": "0x1da3"})
    assert [(row.what, row.count) for row in accelerators.found(root=root)] == [("Habana Gaudi", 1)]


def test_nvidia_render_nodes_and_foreign_groups_are_no_accelerators(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        ("dri/renderD128", "vfio/9", "nvidia0", "accel/accel0"),
        {drm(128): "0x10de", "kernel/iommu_groups/9/devices/0000:01:00.0/vendor": "0x10de"},
    )
    assert accelerators.found(root=root) == ()


def test_a_machine_without_dev_has_none(tmp_path: Path) -> None:
    assert accelerators.found(root=tmp_path) == ()
