"""CPU, memory, limits, processes and the kernel's set-up, from trees of our own."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host_trees import plant, roots, state

from torchprobes.cells import UNREAD, Cell, CellState
from torchprobes.telemetry.host import Roots, cpu, kernel, limits, memory, tasks
from torchprobes.telemetry.host.rates import BACKWARDS

# --- CPU ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that the CPU's reader sees."""
    now = [100.0]
    monkeypatch.setattr(cpu.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def stat_of(*cores: tuple[int, int, int]) -> str:
    """User, idle and I/O wait of each core, after the sum of all."""
    sums = [sum(column) for column in zip(*cores, strict=True)]
    rows = [("cpu ", *sums), *((f"cpu{number}", *core) for number, core in enumerate(cores))]
    lines = [f"{name} {user} 0 0 {idle} {wait} 0 0 0 0 0" for name, user, idle, wait in rows]
    return "\n".join([*lines, "intr 1 2 3", "ctxt 5"]) + "\n"


def use_of(folder: Path, allowed: set[int], online: int) -> cpu.CpuUse:
    return cpu.CpuUse(roots(folder), lambda: frozenset(allowed), online)


def test_cpu_use_is_of_the_time_between_two_readings(tmp_path: Path, clock: Callable[[float], None]) -> None:
    plant(tmp_path, {"proc/stat": stat_of((0, 100, 0), (0, 100, 0))})
    use = use_of(tmp_path, {0, 1}, 2)
    assert use.read() == {"cpu_percent": UNREAD}
    plant(tmp_path, {"proc/stat": stat_of((75, 100, 25), (0, 200, 0))})
    assert use.read() == {"cpu_percent": UNREAD}, "in the same instant there is nothing to tell"
    clock(1.0)
    assert use.read() == {"cpu_percent": 37.5}, "waiting for I/O is idle"


def test_cpu_use_is_of_the_allowed_cores_only(tmp_path: Path, clock: Callable[[float], None]) -> None:
    plant(tmp_path, {"proc/stat": stat_of((0, 0, 0), (0, 0, 0), (0, 0, 0))})
    use = use_of(tmp_path, {1}, 3)
    use.read()
    clock(1.0)
    plant(tmp_path, {"proc/stat": stat_of((100, 0, 0), (10, 90, 0), (100, 0, 0))})
    assert use.read() == {"cpu_percent": 10.0}


def test_where_the_allowed_cores_are_numbered_otherwise_all_that_are_shown_count(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    plant(tmp_path, {"proc/stat": stat_of((0, 0, 0))})  # as lxcfs shows a container its one core, which is number 7
    use = use_of(tmp_path, {7}, 8)
    use.read()
    clock(1.0)
    plant(tmp_path, {"proc/stat": stat_of((20, 80, 0))})
    assert use.read() == {"cpu_percent": 20.0}


def test_ticks_that_run_backwards_are_told_and_the_next_count(tmp_path: Path, clock: Callable[[float], None]) -> None:
    plant(tmp_path, {"proc/stat": stat_of((500, 500, 0))})
    use = use_of(tmp_path, {0}, 1)
    seen: list[Cell] = []
    for content in (stat_of((10, 10, 0)), stat_of((20, 20, 0))):
        seen.append(use.read()["cpu_percent"])
        clock(1.0)
        plant(tmp_path, {"proc/stat": content})
    seen.append(use.read()["cpu_percent"])
    assert seen == [UNREAD, BACKWARDS, 50.0]


@pytest.mark.parametrize("content", ["", "cpu  1 2\n", "cpu  a b c d e f g h\n", "cpu  -1 0 0 0 0 0 0 0\n"])
def test_times_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    plant(tmp_path, {"proc/stat": content})
    with pytest.raises(ValueError, match="/proc/stat says"):
        use_of(tmp_path, {0}, 1).read()


def test_a_machine_of_512_cores_is_read_to_its_last_allowed_one(tmp_path: Path, clock: Callable[[float], None]) -> None:
    plant(tmp_path, {"proc/stat": stat_of(*[(10**9, 10**9, 10**9)] * 512)})
    use = use_of(tmp_path, {511}, 512)
    use.read()
    clock(1.0)
    plant(tmp_path, {"proc/stat": stat_of(*[(10**9, 10**9, 10**9)] * 511, (10**9 + 3, 10**9 + 1, 10**9))})
    assert use.read() == {"cpu_percent": 75.0}


def test_cores_are_written_as_the_kernel_writes_them() -> None:
    assert cpu.core_list({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11"
    assert cpu.core_list([]) == ""


def test_load_and_threads(tmp_path: Path) -> None:
    load = cpu.Load(roots(tmp_path, {"proc/loadavg": "1.25 0.5 0.1 3/4711 99\n"}))
    assert load.read() == {"load_1m": 1.25, "tasks": 4711}
    plant(tmp_path, {"proc/loadavg": "inf 0 0 1/2 3\n"})
    with pytest.raises(ValueError, match="loadavg"):
        load.read()
    plant(tmp_path, {"proc/loadavg": "1\n"})
    with pytest.raises(ValueError, match="loadavg"):
        load.read()


def test_pressures_are_of_the_last_ten_seconds(tmp_path: Path) -> None:
    both = "some avg10={} avg60=9.00 avg300=9.00 total=1\nfull avg10={} avg60=9.00 avg300=9.00 total=1\n"
    where = roots(tmp_path, {"proc/pressure/memory": both.format("1.50", "0.25"), "proc/pressure/io": "nonsense\n"})
    found = cpu.Pressures(where).read()
    assert (found["memory_pressure_percent"], found["memory_full_pressure_percent"]) == (1.5, 0.25)
    assert state(found["cpu_pressure_percent"]) is CellState.NOT_SUPPORTED
    assert state(found["io_pressure_percent"]) is CellState.ERROR
    assert set(found) == {cell for lines in cpu.PRESSURES.values() for cell in lines}


# --- memory ---------------------------------------------------------------------------------------------------------

MEMINFO = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n"


def test_memory_used_is_what_cannot_be_had_without_swapping(tmp_path: Path) -> None:
    found = memory.Memory(roots(tmp_path, {"proc/meminfo": MEMINFO})).read()
    assert found == {
        "memory_total_bytes": 1000 << 10,
        "memory_used_bytes": 600 << 10,
        "swap_total_bytes": 50 << 10,
        "swap_used_bytes": 30 << 10,
    }


def test_memory_that_is_not_said_or_cannot_be_is_not_0(tmp_path: Path) -> None:
    reader = memory.Memory(roots(tmp_path, {"proc/meminfo": MEMINFO.replace("MemAvailable", "Other")}))
    found = reader.read()
    assert state(found["memory_used_bytes"]) is CellState.NOT_SUPPORTED
    assert found["memory_total_bytes"] == 1000 << 10
    plant(tmp_path, {"proc/meminfo": MEMINFO.replace("400 kB", "4000 kB")})
    assert state(reader.read()["memory_used_bytes"]) is CellState.ERROR


def test_oom_kills_of_a_kernel_that_counts_them_and_of_one_that_does_not(tmp_path: Path) -> None:
    where = roots(tmp_path, {"proc/vmstat": "nr_free_pages 5\n" * 400 + "oom_kill 3\n"})
    assert memory.oom_kills(where) == {"oom_kills": 3}
    plant(tmp_path, {"proc/vmstat": "nr_free_pages 5\n"})
    assert memory.oom_kills(where) == {}


def test_shared_memory_is_that_of_its_file_system(tmp_path: Path) -> None:
    (tmp_path / "dev/shm").mkdir(parents=True)
    info = os.statvfs(tmp_path)
    found = memory.shared_memory(roots(tmp_path))
    assert isinstance(found["shm_total_bytes"], int)
    assert 0 < found["shm_total_bytes"] <= info.f_blocks * info.f_frsize


# --- limits and environment -----------------------------------------------------------------------------------------


@pytest.fixture
def fewer_files() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    yield soft - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_limits_are_numbers_or_unlimited(fewer_files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.limits()["open_files_limit"] == fewer_files
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert set(limits.limits().values()) == {"unlimited"}


def test_open_files_are_those_allocated_and_not_free(tmp_path: Path) -> None:
    where = roots(tmp_path, {"proc/sys/fs/file-nr": "1000\t100\t5000\n"})
    assert limits.open_files(where) == {"files_open": 900, "files_max": 5000}
    plant(tmp_path, {"proc/sys/fs/file-nr": "1000\n"})
    with pytest.raises(ValueError, match="file-nr"):
        limits.open_files(where)


def test_the_smaller_limit_of_tasks_holds(tmp_path: Path) -> None:
    where = roots(tmp_path, {"proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "9000\n"})
    assert limits.most_tasks(where) == {"tasks_max": 9000}


def test_variables_are_told_by_name_and_only_if_they_switch_something_on() -> None:
    found = limits.environment(
        {"CUDA_PROFILE": "0", "CUDA_INJECTION64_PATH": "/secret/tool.so", "COMPUTE_PROFILE": "1"}
    )
    assert found == {"environment_faults": "CUDA_INJECTION64_PATH, COMPUTE_PROFILE", "visible_devices": "not set"}


@pytest.mark.parametrize(
    ("value", "shown"), [("", ""), ("0,1", "0,1"), ("GPU-8f6d,MIG-1", "GPU-8f6d,MIG-1"), ("token=hf_abc", "token=***")]
)
def test_the_visible_gpus_are_told_without_secrets(value: str, shown: str) -> None:
    assert limits.environment({"CUDA_VISIBLE_DEVICES": value})["visible_devices"] == shown


def test_a_list_of_visible_gpus_without_end_is_refused() -> None:
    shown = limits.environment({"CUDA_VISIBLE_DEVICES": "0," * 100_000})["visible_devices"]
    assert state(shown) is CellState.ERROR


def test_the_visible_gpus_of_a_node_full_of_mig_devices_are_all_told() -> None:
    uuids = ",".join(f"MIG-41b35014-745a-56ab-833d-e0a2fa8a{number:04d}" for number in range(56))
    assert limits.environment({"CUDA_VISIBLE_DEVICES": uuids})["visible_devices"] == uuids


# --- processes ------------------------------------------------------------------------------------------------------


def process(pid: int, name: str, state_word: str, started: int = 5) -> dict[str, str]:
    line = f"{pid} ({name}) {state_word} 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {started} 0 0\n"
    return {f"proc/{pid}/stat": line}


def see_host(proc: Path) -> None:
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to("pid:[4026531836]")


def test_zombies_and_those_that_wait_in_the_kernel_are_counted(tmp_path: Path) -> None:
    files = {**process(1, "init", "S"), **process(2, "a) D (b", "Z"), **process(3, "nfs", "D"), **process(4, "", "D")}
    where = roots(tmp_path, {**files, "proc/9/comm": "ended\n", "proc/bus/stat": "no process"})
    see_host(tmp_path / "proc")
    assert tasks.Tasks(where).read() == {
        "zombies": 1,
        "uninterruptible": 2,
        "fabric_manager": 0,
        "persistence_daemon": 0,
    }


def test_who_waits_at_one_look_only_is_no_longer_counted_at_the_next(tmp_path: Path) -> None:
    waiting = [process(pid, "dd", "D") for pid in (2, 3, 4)]
    where = roots(tmp_path, {**process(1, "init", "S"), **{k: v for one in waiting for k, v in one.items()}})
    look = tasks.Tasks(where)
    assert look.read()["uninterruptible"] == 3
    plant(tmp_path, {**process(3, "dd", "S"), **process(4, "dd", "D", started=6), **process(5, "dd", "D")})
    assert look.read()["uninterruptible"] == 1, "3 goes on, 4 is another process by now, 5 waits since a moment"
    assert look.read()["uninterruptible"] == 3


@pytest.mark.parametrize("name", ["nv-fabricmanage", "nvidia-fabricma"])
def test_the_daemons_are_found_by_the_name_that_the_kernel_keeps(tmp_path: Path, name: str) -> None:
    where = roots(tmp_path, {**process(1, "init", "S"), **process(2, name, "S"), **process(3, "nvidia-persiste", "S")})
    see_host(tmp_path / "proc")
    found = tasks.Tasks(where).read()
    assert (found["fabric_manager"], found["persistence_daemon"]) == (1, 1)


def test_a_daemon_that_could_be_there_unseen_is_not_told_as_absent(tmp_path: Path) -> None:
    where = roots(tmp_path, {**process(1, "bash", "S"), **process(7, "nvidia-persiste", "S")})
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to("pid:[4026532001]")  # a container's
    found = tasks.Tasks(where).read()
    assert found["persistence_daemon"] == 1
    assert state(found["fabric_manager"]) is CellState.PERMISSION


def test_processes_hidden_by_hidepid_hide_daemons_too(tmp_path: Path) -> None:
    where = roots(tmp_path, process(70, "python", "R"))  # no process 1 to be seen
    see_host(tmp_path / "proc")
    assert state(tasks.Tasks(where).read()["fabric_manager"]) is CellState.PERMISSION


def test_too_many_processes_are_not_counted_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MAX_PROCESSES", 2)
    where = roots(tmp_path, {**process(1, "a", "Z"), **process(2, "a", "Z"), **process(3, "a", "Z")})
    with pytest.raises(ValueError, match="more than 2 processes"):
        tasks.Tasks(where).read()
    with pytest.raises(ValueError, match="no process"):
        tasks.Tasks(Roots(proc=str(tmp_path / "sys"))).read()


# --- the kernel's set-up --------------------------------------------------------------------------------------------


def test_drivers_that_keep_nvidias_away_are_named_loaded_or_built_in(tmp_path: Path) -> None:
    where = roots(tmp_path, {"proc/modules": "nvidia 1 0\nnouveau 12 0 - Live\nnvidia_peermem 1 0\n"})
    (tmp_path / "sys/bus/pci/drivers/nvidiafb").mkdir(parents=True)
    assert kernel.modules(where) == {"denied_modules": "nouveau, nvidiafb", "peermem_loaded": 1}
    plant(tmp_path, {"proc/modules": "nvidia_drm 1 0\nnouveau_not 1 0\n"})
    (tmp_path / "sys/bus/pci/drivers/nvidiafb").rmdir()
    assert kernel.modules(where) == {"denied_modules": "", "peermem_loaded": 0}


def test_a_kernel_without_modules_is_asked_for_its_drivers_only(tmp_path: Path) -> None:
    where = roots(tmp_path)
    assert {state(one) for one in kernel.modules(where).values()} == {CellState.NOT_SUPPORTED}
    (tmp_path / "sys/bus/pci/drivers/nouveau").mkdir(parents=True)
    found = kernel.modules(where)
    assert found["denied_modules"] == "nouveau"
    assert state(found["peermem_loaded"]) is CellState.NOT_SUPPORTED


def device(bdf: str, vendor: str, kind: str, group: str = "") -> dict[str, str]:
    files = {f"sys/bus/pci/devices/{bdf}/vendor": vendor, f"sys/bus/pci/devices/{bdf}/class": kind}
    return {**files, f"sys/bus/pci/devices/{bdf}/iommu_group/type": group} if group else files


def test_nvswitches_are_bridges_of_nvidia(tmp_path: Path) -> None:
    devices = {
        **device("0000:05:00.0", "0x10de\n", "0x068000\n"),
        **device("0000:06:00.0", "0x10de\n", "0x068000\n"),
        **device("0000:17:00.0", "0x10de\n", "0x030200\n"),
        **device("0000:18:00.0", "0x8086\n", "0x068000\n"),
    }
    assert kernel.bus(roots(tmp_path, devices))["nvswitches"] == 2


def test_nvswitches_that_only_their_driver_shows(tmp_path: Path) -> None:
    where = roots(tmp_path)
    assert state(kernel.bus(where)["nvswitches"]) is CellState.NOT_SUPPORTED
    (tmp_path / "proc/driver/nvidia-nvswitch/devices/0000:05:00.0").mkdir(parents=True)
    assert kernel.bus(where)["nvswitches"] == 1


@pytest.mark.parametrize(
    ("units", "gpu", "other", "expected"),
    [
        (0, "", "", "off"),
        (1, "", "DMA", "off"),
        (2, "identity\n", "DMA\n", "passthrough"),
        (2, "DMA-FQ\n", "identity\n", "translating"),
    ],
)
def test_the_iommu_is_told_as_the_gpus_have_it(tmp_path: Path, units: int, gpu: str, other: str, expected: str) -> None:
    devices = {**device("a", "0x10de", "0x030200", gpu), **device("b", "0x8086", "0x020000", other)}
    (tmp_path / "sys/class/iommu").mkdir(parents=True)
    for unit in range(units):
        (tmp_path / f"sys/class/iommu/dmar{unit}").mkdir()
    assert kernel.bus(roots(tmp_path, devices))["iommu"] == expected


def test_each_governor_in_use_is_named(tmp_path: Path) -> None:
    policy = "sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
    source = {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"}
    where = roots(tmp_path, {**{policy.format(n): "performance\n" for n in range(4)}, **source})
    assert kernel.clocks(where) == {"cpu_governor": "performance", "clocksource": "hpet"}
    plant(tmp_path, {policy.format(2): "powersave\n"})
    assert kernel.clocks(where)["cpu_governor"] == "performance, powersave"


def test_where_the_kernel_sets_no_frequency_it_says_so(tmp_path: Path) -> None:
    assert {state(one) for one in kernel.clocks(roots(tmp_path)).values()} == {CellState.NOT_SUPPORTED}
