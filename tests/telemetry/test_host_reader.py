"""The host as a whole: what hangs holds up only itself, whatever stands in the kernel's files, and on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from host_trees import plant, roots, state

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.samples import HostSample
from torchprobes.telemetry.host import HUNG_S, Group, HostReader
from torchprobes.telemetry.host import errands as errands_module
from torchprobes.telemetry.host.errands import Errands, Reading

DEADLINE_S = 30.0
ROWS = ("disks", "network", "ports", "groups")


@contextmanager
def eventually(what: str) -> Iterator[Callable[[bool], bool]]:
    """A loop's condition: until it holds, or for so long that something is wrong."""
    end = time.monotonic() + DEADLINE_S

    def not_yet(condition: bool) -> bool:
        assert condition or time.monotonic() < end, what
        return not condition and not time.sleep(0.01)

    yield not_yet


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes a tenth of a second hangs."""
    monkeypatch.setattr(errands_module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(errands_module, "HUNG_S", 0.1)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Whoever waits for it is let go at the end."""
    event = threading.Event()
    yield event
    event.set()


# --- readings that hang ---------------------------------------------------------------------------------------------


def test_one_that_hangs_holds_up_only_itself_and_comes_back(impatient: None, gate: threading.Event) -> None:
    errands = Errands()
    stuck = errands.add(Reading(lambda: gate.wait() and 1, 0.06))
    counts = [0, 0]

    def count(which: int) -> int:
        counts[which] += 1
        return counts[which]

    for which in (0, 1):
        errands.add(Reading(lambda which=which: count(which), 0.06))
    assert errands.wait(DEADLINE_S)
    assert min(counts) >= 1
    with eventually("it is told as hung") as not_yet:
        while not_yet(stuck.why_not(time.monotonic()) not in (None, UNREAD)):
            errands.turn()
    why = stuck.why_not(time.monotonic())
    assert isinstance(why, Absent)
    assert why.state is CellState.HUNG
    assert why.age_s is not None
    assert why.age_s >= 0.1
    before = list(counts)
    with eventually("the others go on") as not_yet:
        while not_yet(all(now > then + 3 for now, then in zip(counts, before, strict=True))):
            errands.turn()
    gate.set()
    with eventually("it comes back") as not_yet:
        while not_yet(stuck.taken):
            errands.turn()
    assert stuck.value == 1
    assert stuck.why_not(time.monotonic()) is None


def test_there_are_no_more_threads_than_readings_that_hang_and_they_end(impatient: None, gate: threading.Event) -> None:
    before = threading.active_count()
    errands = Errands()
    stuck = [errands.add(Reading(gate.wait, 60.0)) for _ in range(4)]
    fine = errands.add(Reading(lambda: 7, 60.0))
    assert errands.wait(DEADLINE_S)
    for _ in range(50):
        errands.turn()
    assert fine.value == 7
    assert threading.active_count() - before <= len(stuck) + 1
    gate.set()
    with eventually("those that were left with a hung reading end") as not_yet:
        while not_yet(all(one.taken for one in stuck) and threading.active_count() - before <= 1):
            pass


def test_where_no_thread_can_be_started_the_next_tick_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    errands = Errands()
    one = errands.add(Reading(lambda: 1, 0.0))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as at_limit:
        at_limit.setattr(threading.Thread, "start", refuse)
        errands.turn()
        assert not errands.wait(0.05)
        assert one.why_not(time.monotonic()) is UNREAD
    assert errands.wait(DEADLINE_S)
    assert one.value == 1


def test_a_fault_of_ours_costs_its_cells_and_not_the_thread() -> None:
    errands = Errands()
    broken: Reading[int] = errands.add(Reading(lambda: 1 // 0, 60.0))
    fine = errands.add(Reading(lambda: 1, 60.0))
    assert errands.wait(DEADLINE_S)
    why = broken.why_not(time.monotonic())
    assert why == Absent(state=CellState.ERROR, why="ZeroDivisionError: integer division or modulo by zero")
    assert fine.value == 1


def test_what_costs_much_rests_the_longer() -> None:
    def work() -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    dear, cheap = Reading(work, 1.0), Reading(lambda: None, 1.0)
    for one in (dear, cheap):
        one.take()
    now = time.monotonic()
    assert dear.due - now > 15.0
    assert cheap.due - now <= 1.0


# --- the whole ------------------------------------------------------------------------------------------------------


def read(reader: HostReader, *groups: Group) -> HostSample:
    reader.start()
    assert reader.wait(DEADLINE_S, groups)
    return reader.read(groups)


def test_a_frozen_disk_is_hung_and_all_else_is_read(frozen_mount: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    environ = {"TRITON_CACHE_DIR": str(frozen_mount / "cache"), "HOME": str(other)}
    reader = HostReader(environ=environ)
    sample = read(reader)
    with eventually("the disk is told as hung") as not_yet:
        while not_yet(any(isinstance(d.used_bytes, Absent) and d.used_bytes is not UNREAD for d in sample.disks)):
            began = time.monotonic()
            sample = reader.read()
            assert time.monotonic() - began < HUNG_S / 2, "a reader never waits"
    disks = {disk.what: disk for disk in sample.disks}
    frozen = disks.pop("triton cache")
    assert frozen.path == str(frozen_mount / "cache")
    assert state(frozen.used_bytes) is state(frozen.total_bytes) is CellState.HUNG
    assert all(isinstance(disk.used_bytes, int) for disk in disks.values())
    assert isinstance(sample.shm_total_bytes, int)
    assert isinstance(sample.zombies, int)


def test_of_an_empty_machine_every_cell_says_why(tmp_path: Path) -> None:
    sample = read(HostReader(roots(tmp_path), {}), Group("/gone", "a job"))
    (tmp_path / "dev").rmdir()
    by_hand = {"cpu_affinity_cores", "environment_faults", "visible_devices", "shm_used_bytes", "shm_total_bytes",
               "memlock_limit_bytes", "open_files_limit", "processes_limit"}  # fmt: skip
    names = set(HostSample.__struct_fields__) - {"host", "cores", *ROWS} - by_hand
    for name in sorted(names):
        why = getattr(sample, name)
        assert isinstance(why, Absent), name
        assert why != UNREAD, f"{name} is filled by nobody"
    (group,) = sample.groups
    assert (group.job, state(group.memory_used_bytes)) == ("a job", CellState.NOT_SUPPORTED)
    assert sample.network == sample.ports == ()


HOSTILE = {
    "binary": b"\xff\xfe\x00\x01" * 5000,
    "no end": b"9" * 200_000,
    "no line end": b"cpu  " + b"1 " * 50_000,
    "empty": b"",
    "control": b"\x1b]0;x\x07" * 100,
    "negative": b"-1 -1 -1 -1\n",
}


@pytest.mark.parametrize("content", list(HOSTILE.values()), ids=list(HOSTILE))
def test_whatever_stands_in_the_kernels_files_the_sample_stands(tmp_path: Path, content: bytes) -> None:
    for name in (
        "proc/stat", "proc/meminfo", "proc/loadavg", "proc/uptime", "proc/vmstat", "proc/modules", "proc/net/dev",
        "proc/pressure/cpu", "proc/sys/fs/file-nr", "proc/sys/kernel/pid_max", "proc/sys/kernel/threads-max",
        "proc/1/stat", "proc/self/cgroup", "sys/class/net/eth0/flags", "sys/class/net/eth0/operstate",
        "sys/class/net/eth0/speed", "sys/class/net/eth0/device/vendor", "sys/class/infiniband/mlx5_0/ports/1/state",
        "sys/class/infiniband/mlx5_0/ports/1/rate", "sys/class/infiniband/mlx5_0/ports/1/counters/port_rcv_data",
        "sys/bus/pci/devices/x/vendor", "sys/fs/cgroup/cgroup.controllers", "sys/fs/cgroup/a/cpu.max",
        "sys/fs/cgroup/a/memory.max", "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    reader = HostReader(roots(tmp_path), {"CUDA_VISIBLE_DEVICES": content.decode(errors="replace")})
    read(reader, Group("/a"))
    assert reader.wait(DEADLINE_S)
    sample = reader.read([Group("/a")])
    said = msgspec.json.encode(sample)
    assert len(said) < 40_000
    assert msgspec.json.decode(said, type=HostSample) == sample
    for name in ("load_1m", "uptime_s", "memory_total_bytes", "files_open", "tasks_max", "cpu_pressure_percent"):
        assert state(getattr(sample, name)) in (CellState.ERROR, CellState.NOT_SUPPORTED), name


def test_ports_and_groups_are_found_by_a_single_look(tmp_path: Path) -> None:
    tree = {
        "sys/class/infiniband/mlx5_0/ports/1/state": "1: DOWN\n",
        "sys/fs/cgroup/cgroup.controllers": "memory\n",
        "sys/fs/cgroup/a/memory.current": "5\n",
        "sys/fs/cgroup/a/memory.max": "max\n",
        "proc/self/cgroup": "0::/\n",
    }
    sample = read(HostReader(roots(tmp_path, tree), {}), Group("/a", "job"))
    assert [port.state for port in sample.ports] == ["down"]
    assert [group.memory_used_bytes for group in sample.groups] == [5]


def test_cpu_use_is_measured_since_the_start(tmp_path: Path) -> None:
    where = roots(tmp_path, {"proc/stat": "cpu  0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0\n"})
    reader = HostReader(where, {}, allowed=lambda: frozenset({0}))
    reader.start()
    plant(tmp_path, {"proc/stat": "cpu  30 0 0 70 0 0 0 0\ncpu0 30 0 0 70 0 0 0 0\n"})
    sample = reader.read()
    with eventually("there is a CPU use") as not_yet:
        while not_yet(isinstance(sample.cpu_percent, float)):
            sample = reader.read()
    assert sample.cpu_percent == 30.0
    assert (sample.cores, sample.cpu_affinity_cores) == (1, "0")


# --- this machine ---------------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's own files")


@linux
def test_this_machine_gives_sensible_numbers() -> None:
    sample = read(HostReader(), Group("/nowhere", "", os.getpid()))
    assert sample.host == os.uname().nodename
    assert sample.cores == len(os.sched_getaffinity(0))
    assert isinstance(sample.memory_total_bytes, int)
    assert isinstance(sample.memory_used_bytes, int)
    assert 1 << 28 < sample.memory_used_bytes < sample.memory_total_bytes < 1 << 50
    assert isinstance(sample.uptime_s, float)
    assert abs(sample.uptime_s - time.clock_gettime(time.CLOCK_BOOTTIME)) < 3600, "a container may count from its start"
    assert isinstance(sample.tasks, int)
    assert isinstance(sample.tasks_max, int)
    assert 1 <= sample.tasks < sample.tasks_max
    assert isinstance(sample.files_open, int)
    assert sample.files_open > 0
    assert isinstance(sample.load_1m, float)
    assert sample.disks[0].path == "/"
    assert isinstance(sample.disks[0].used_bytes, int)
    left = [name for name in HostSample.__struct_fields__ if getattr(sample, name) == UNREAD]
    assert left in ([], ["cpu_percent"]), "a single look has at most no CPU use yet"


@linux
def test_a_busy_core_is_seen() -> None:
    reader = HostReader(allowed=lambda: frozenset(os.sched_getaffinity(0)))
    read(reader)
    sample = reader.read()
    with eventually("there is a CPU use") as not_yet:
        while not_yet(isinstance(sample.cpu_percent, float) and sample.cpu_percent > 0.0):
            end = time.thread_time() + 0.02
            while time.thread_time() < end:
                pass
            sample = reader.read()


def test_it_imports_neither_psutil_nor_subprocess_nor_sockets() -> None:
    code = (
        "import sys, types\n"
        "for name in ('torchprobes', 'torchprobes.telemetry'):\n"
        "    sys.modules[name] = package = types.ModuleType(name)\n"
        "    package.__path__ = [sys.argv[1] + '/' + name.replace('.', '/')]\n"
        "import torchprobes.telemetry.host\n"
        "print(*sorted({'psutil', 'subprocess', 'socket', 'pathlib', 'asyncio'} & set(sys.modules)))"
    )
    probes = str(Path(__file__).parents[2] / "probes")
    said = subprocess.run([sys.executable, "-I", "-c", code, probes], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "", "the sampler child's start is paid for by everybody"
