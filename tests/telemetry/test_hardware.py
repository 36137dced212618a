"""Which GPUs the kernel shows, counted below roots of our own."""

from __future__ import annotations

from pathlib import Path

from torchprobes.telemetry.hardware import device_nodes, pci_gpus


def plant(root: Path, name: str, vendor: str, kind: str) -> None:
    (root / name).mkdir()
    (root / name / "vendor").write_text(vendor + "\n")
    (root / name / "class").write_text(kind + "\n")


def test_gpus_of_nvidia_count_and_nothing_else(tmp_path: Path) -> None:
    plant(tmp_path, "0000:b3:00.0", "0x10de", "0x030200")
    plant(tmp_path, "0000:17:00.0", "0x10de", "0x030000")
    plant(tmp_path, "0000:18:00.0", "0x10de", "0x068000")  # an NVSwitch
    plant(tmp_path, "0000:19:00.0", "0x10de", "0x040300")  # the sound of a graphics card
    plant(tmp_path, "0000:03:00.0", "0x1a03", "0x030000")  # the board's own display
    (tmp_path / "0000:20:00.0").mkdir()
    (tmp_path / "0000:21:00.0").mkdir()
    (tmp_path / "0000:21:00.0" / "vendor").write_bytes(b"\xff\xfe")
    assert pci_gpus(tmp_path) == ("0000:17:00.0", "0000:b3:00.0")


def test_device_files_of_gpus_count_and_their_neighbours_do_not(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia11", "nvidiactl", "nvidia-uvm", "nvidia-caps", "nvidia1.bak"):
        (tmp_path / name).touch()
    assert device_nodes(tmp_path) == (str(tmp_path / "nvidia0"), str(tmp_path / "nvidia11"))


def test_where_nothing_can_be_listed_there_is_none(tmp_path: Path) -> None:
    assert pci_gpus(tmp_path / "absent") == ()
    assert device_nodes(tmp_path / "absent") == ()
