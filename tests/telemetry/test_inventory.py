"""Which GPUs were seen in this boot: three witnesses, of which one lies where others may write."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fake_driver import FakeDriver, absent, bus, sample_where, sampling, until

from torchprobes.cells import CellState
from torchprobes.telemetry import hardware
from torchprobes.telemetry.sampling import inventory
from torchprobes.telemetry.sampling.gpu_rows import claim
from torchprobes.telemetry.sampling.inventory import FILE, Inventory, Known, from_bus, from_proc, merged, place

BOOT = "a boot of this test"


def short(gpu: int) -> str:
    return bus(gpu)[:-2]


def known(gpu: int, **changes: Any) -> Known:
    fields = {"bus_id": short(gpu), "uuid": f"GPU-fake-{gpu}", "index": gpu, "name": "H200", "minor": gpu, **changes}
    return Known(seen=time.time() - 60, **fields)


@pytest.fixture
def root(driver: FakeDriver) -> Path:
    """A machine of our own, on which nothing is yet."""
    hardware._count.cache_clear()
    return driver.root


def left(folder: Path, gpus: list[dict[str, Any]] | Any, boot: str = BOOT, **changes: Any) -> None:
    """What a sampler before left in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_text(json.dumps({"boot": boot, "module": True, "gpus": gpus, **changes}))


def read(root: Path, folder: Path) -> Inventory:
    one = Inventory(root, folder)
    one.read_file()
    return one


ROW = {"bus_id": short(3), "uuid": "GPU-fake-3", "index": 3, "name": "H200", "minor": 3, "seen": 1000.0}

# --- the file ---------------------------------------------------------------------------------------------------


def test_who_is_healthy_is_kept_and_found_by_the_next_sampler_of_this_boot(root: Path, tmp_path: Path) -> None:
    first = Inventory(root, tmp_path)
    first.note([known(0), known(1)])
    first.save()
    assert os.stat(tmp_path / FILE).st_mode & 0o777 == 0o600
    later = read(root, tmp_path)
    assert [(k.bus_id, k.uuid, k.index, k.name, k.minor) for k in later.known] == [
        (short(n), f"GPU-fake-{n}", n, "H200", n) for n in range(2)
    ]
    assert abs(later.known[0].seen - (time.time() - 60)) < 10
    later.note([known(1)])
    later.save()
    assert [k.index for k in read(root, tmp_path).known] == [0, 1], "one that is gone stays for the boot"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_what_an_earlier_boot_left_does_not_count(root: Path, tmp_path: Path) -> None:
    left(tmp_path / "f", [ROW], boot="another boot")
    assert read(root, tmp_path / "f").known == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b'{"boot": "a boot of this test"}',
        b'{"boot": "a boot of this test", "module": true, "gpus": [{"bus_id": 7}]}',
        b'{"boot": "a boot of this test", "module": true, "gpus": ' + b"[" * 30_000,
        b'{"boot": "a boot of this test", "module": true, "gpus": []}' + b" " * (1 << 20),
    ],
    ids=["empty", "binary", "list", "short", "types", "deep", "large"],
)
def test_a_file_of_another_shape_is_no_file(root: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert read(root, tmp_path).known == ()


def test_nothing_in_the_file_is_believed_beyond_its_shape(root: Path, tmp_path: Path) -> None:
    rows = [
        {**ROW, "bus_id": "../../etc"},
        {**ROW, "name": "\x1b[31mH200\n" + "x" * 500, "seen": time.time() + 1e9, "index": -4},
        *({**ROW, "bus_id": f"0001:{n:02x}:00"} for n in range(256)),
    ]
    left(tmp_path / "f", rows)
    found = read(root, tmp_path / "f").known
    assert len(found) <= inventory.MOST_GPUS
    (odd,) = (k for k in found if "[31m" in k.name)
    assert (odd.name.isprintable(), len(odd.name), odd.seen, odd.index) == (True, inventory.MOST_TEXT, 0.0, None)


def test_a_link_and_a_pipe_are_not_followed(root: Path, tmp_path: Path) -> None:
    left(tmp_path / "theirs", [ROW])
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / FILE).symlink_to(tmp_path / "theirs" / FILE)
    assert read(root, tmp_path / "ours").known == ()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / FILE)
    assert read(root, tmp_path / "pipe").known == (), "and nobody waits for its other end"


def test_a_folder_that_cannot_be_written_costs_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    one = Inventory(root, tmp_path / "file")
    one.note([known(0)])
    one.save()
    assert [k.index for k in one.known] == [0]


def test_the_place_is_ours_alone(tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert place(runtime) == tmp_path / "torchdoctor"
    assert os.stat(tmp_path / "torchdoctor").st_mode & 0o777 == 0o700
    (tmp_path / "torchdoctor").chmod(0o777)
    assert place(runtime) != tmp_path / "torchdoctor", "others can write into it"
    (tmp_path / "torchdoctor").chmod(0o700)
    (tmp_path / "torchdoctor").rename(tmp_path / "elsewhere")
    (tmp_path / "torchdoctor").symlink_to(tmp_path / "elsewhere")
    assert place(runtime) != tmp_path / "torchdoctor", "it is a link"
    assert place({"XDG_RUNTIME_DIR": "relative"}) != Path("relative/torchdoctor")


# --- kernel -----------------------------------------------------------------------------------------------------


def test_the_bus_and_the_drivers_folder_tell_of_each_gpu(driver: FakeDriver) -> None:
    driver.on_bus(0, 1)
    driver.on_bus(2, driver="vfio-pci")
    driver.in_proc(1)
    driver._file("proc/driver/nvidia/gpus/not a bus/information", "Model: x\n")
    driver._file(f"proc/driver/nvidia/gpus/{bus(5)}/information", "GPU UUID: GPU-????????-????\nDevice Minor: -1\n")
    assert [k.bus_id for k in from_bus(driver.root)] == [short(0), short(1)], "one was given to a virtual machine"
    assert from_proc(driver.root) == (
        Known(bus_id=short(1), uuid="GPU-fake-1", name="NVIDIA Fake 1", minor=1),
        Known(bus_id=short(5)),
    )


def test_of_two_witnesses_each_fills_what_the_other_does_not_know() -> None:
    ours = Known(bus_id=short(1), index=1, seen=50.0)
    theirs = Known(bus_id=short(1), uuid="GPU-fake-1", index=7, name="H200", minor=1, seen=20.0)
    (both,) = merged([ours], [theirs])
    assert both == Known(bus_id=short(1), uuid="GPU-fake-1", index=1, name="H200", minor=1, seen=50.0)


# --- who is missing ---------------------------------------------------------------------------------------------


def missing(driver: FakeDriver, shown: list[int], gpus: list[int]) -> list[int | None]:
    hardware._count.cache_clear()
    one = Inventory(driver.root, driver.runtime)
    one.known = tuple(known(gpu) for gpu in gpus)
    return [k.minor for k in one.missing([(f"GPU-fake-{gpu}", f"0000{bus(gpu)}") for gpu in shown])]


def test_on_a_bare_node_everyone_is_missed(driver: FakeDriver) -> None:
    driver.on_bus(*range(4))
    assert missing(driver, [0, 1, 3], [0, 1, 2, 3]) == [2]
    assert missing(driver, [], [0, 1, 2, 3]) == [0, 1, 2, 3]
    assert missing(driver, [0, 1, 2, 3], [0, 1, 2, 3]) == []
    assert missing(driver, [0, 1, 2, 3], [0, 1, 2, 3, 4]) == [4], "it left the bus as well"


def test_in_a_container_only_those_with_a_device_file_are_missed(driver: FakeDriver) -> None:
    driver.container()
    driver.on_bus(*range(8))
    driver.device_files(2, 3)
    assert missing(driver, [2, 3], list(range(8))) == []
    assert missing(driver, [2], list(range(8))) == [3]


@pytest.mark.parametrize("mark", ["variables", "control group"])
def test_in_a_slurm_job_nobody_is_missed(driver: FakeDriver, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its control group hides the GPUs of others, and device files and bus do not say which."""
    driver.on_bus(*range(8))
    driver.device_files(*range(8))
    if mark == "variables":
        monkeypatch.setenv("SLURM_JOB_GPUS", "2,3")
    else:
        driver._file("proc/self/cgroup", "0::/system.slice/slurmstepd.scope/job_12/step_extern/user/task_0\n")
    assert missing(driver, [2, 3], list(range(8))) == []
    assert missing(driver, [2], list(range(8))) == []


@pytest.mark.parametrize(
    ("unnamed", "gone", "claims"),
    [
        ([], [], {}),
        ([1], [1], {1: 1}),
        ([1], [], {}),
        ([0, 2], [2, 0], {0: 0, 2: 2}),
        ([1], [5], {1: 5}),  # one is left of each: it must be that
        ([2, 1], [6, 5], {1: 5, 2: 6}),  # in the order of the bus
        ([1], [5, 6], {}),  # who is who is not known
        ([1, 2], [5], {}),
        ([1, 2], [1, 6], {1: 1, 2: 6}),
    ],
)
def test_a_gpu_without_a_handle_is_named_if_it_is_sure(
    unnamed: list[int], gone: list[int], claims: dict[int, int]
) -> None:
    found = claim(unnamed, [known(gpu) for gpu in gone])
    assert {index: k.minor for index, k in found.items()} == claims


# --- as rows ----------------------------------------------------------------------------------------------------


def test_a_gpu_that_was_lost_before_the_start_is_named_by_the_kernel(driver: FakeDriver) -> None:
    driver.gpus(3)
    driver.rules("1:*:15")
    driver.on_bus(0, 1, 2)
    driver.in_proc(0, 1, 2)
    row = driver.look().gpus[1]
    assert (row.state, row.uuid, row.bus_id, row.name) == ("lost", "GPU-fake-1", "00000000:18:00.0", "NVIDIA Fake 1")
    assert absent(row.power_w).code == 15


def test_a_gpu_that_the_driver_does_not_show_is_missed_with_what_the_boot_knows(driver: FakeDriver) -> None:
    driver.gpus(8)
    driver.on_bus(*range(8))
    with sampling(20.0, driver.command("0.05")) as sampler:
        sample_where(sampler, lambda s: len(s.gpus) == 8 and all(isinstance(g.minor_number, int) for g in s.gpus))
        file = driver.runtime / "torchdoctor" / FILE
        until(lambda: file.exists() and len(json.loads(file.read_bytes())["gpus"]) == 8)
    driver.gpus(7)
    rows = driver.look().gpus
    assert [row.state for row in rows] == ["ok"] * 7 + ["lost"]
    gone = rows[7]
    assert (gone.index, gone.uuid, gone.bus_id, gone.name) == (7, "GPU-fake-7", "00000000:1E:00.0", "NVIDIA Fake 7")
    cell = absent(gone.power_w)
    assert cell.state is CellState.LOST
    assert cell.why.startswith("the driver does not show it; it was there at ")
    assert cell.why.endswith(" in this boot")


def test_a_gpu_that_only_the_bus_shows_is_a_row_too(driver: FakeDriver) -> None:
    driver.gpus(1)
    driver.on_bus(0, 4)
    rows = driver.look().gpus
    assert [(row.state, row.bus_id, row.uuid) for row in rows] == [
        ("ok", "00000000:17:00.0", "GPU-fake-0"),
        ("lost", "00000000:1B:00.0", "pci-0000:1b:00"),
    ]
    assert absent(rows[1].power_w).why == "the driver does not show it; the kernel shows it"


def test_a_driver_that_is_not_loaded_leaves_the_rows_with_its_reason(driver: FakeDriver) -> None:
    driver.init(9)
    driver.on_bus(0, 1)
    sample = driver.look()
    assert [row.state for row in sample.gpus] == ["starting", "starting"]
    assert "modprobe nvidia" in absent(sample.gpus[0].power_w).why
    assert sample.gpus[0].bus_id == "00000000:17:00.0"
