"""The inventory of a node and a target: from trees of ours file by file, and from this machine through the child."""

from __future__ import annotations

import json
import os
import resource
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from torchprobes import child
from torchprobes.environment import take_inventory
from torchprobes.environment.inventory import cpus, groups, inventory, kernel, limits, mounts, network, packages, python
from torchprobes.environment.inventory.reading import MOST_VALUE, Told
from torchprobes.environment.inventory.sysctls import SYSCTLS
from torchprobes.environment.inventory.variables import variables
from torchprobes.environment.taking import take
from torchprobes.model import Like, Target

DEADLINE_S = 60.0


def plant(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


# --- kernel ----------------------------------------------------------------------------------------------------------


def test_a_sysctl_is_told_as_it_stands_one_that_is_missing_is_not_there_and_a_closed_one_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(
        tmp_path, {"/proc/sys/vm/swappiness": "60\n", "/proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n"}
    )
    (tmp_path / "proc/sys/kernel").mkdir()
    os.mkfifo(tmp_path / "proc/sys/kernel/pid_max")
    values, unread = kernel.sysctls(root)
    assert values == {"vm.swappiness": "60", "net.ipv4.tcp_rmem": "4096 131072 6291456"}
    assert unread == {}, "a FIFO is no setting of the kernel's, and nobody waits for it"

    def closed(path: str, _limit: int) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("torchprobes.environment.inventory.reading.read_regular", closed)
    values, unread = kernel.sysctls(root)
    assert values == {}
    assert unread == dict.fromkeys(SYSCTLS, "permission denied")


def test_the_table_of_sysctls_says_why_each_matters() -> None:
    assert len(SYSCTLS) >= 40
    assert all(why and not why.endswith(".") for why in SYSCTLS.values())


def test_parameters_of_the_kernel_are_told_one_by_one(tmp_path: Path) -> None:
    line = (
        "BOOT_IMAGE=/vmlinuz root=UUID=abc ro iommu=pt hugepagesz=1G hugepagesz=2M amd_iommu=on quiet -- init_word=1\n"
    )
    root = plant(tmp_path, {"/proc/cmdline": line, "/proc/sys/kernel/osrelease": "6.8.0-45-generic\n"})
    values, unread = kernel.kernel(root)
    assert {name: value for name, value in values.items() if name.startswith("cmdline")} == {
        "cmdline ro": "set", "cmdline iommu": "pt", "cmdline hugepagesz": "1G 2M", "cmdline amd_iommu": "on",
        "cmdline quiet": "set",
    }  # fmt: skip
    assert (values["release"], unread) == ("6.8.0-45-generic", {})


MODULES = """nvidia_uvm 4956160 4 - Live 0x0000000000000000 (POE)
nvidia 56623104 62 nvidia_uvm, Live 0x0000000000000000 (POE)
gdrdrv 28672 0 - Live 0x0000000000000000 (OE)
mlx5_core 2449408 0 - Live 0x0000000000000000
snd_hda 1 0 - Live 0x0
"""


def test_modules_have_their_version_and_the_drivers_their_parameters(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "/proc/modules": MODULES,
            "/sys/module/nvidia/version": "580.95.05\n",
            "/sys/module/nvidia_uvm/parameters/uvm_disable_hmm": "Y\n",
            "/sys/module/mlx5_core/srcversion": "ABCDEF\n",
            "/sys/module/snd_hda/version": "1\n",
            "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  x\n",
            "/proc/driver/nvidia/params": 'EnableMSI: 1\nRegistryDwords: ""\nno line\nEnableStreamMemOPs: 0\n',
        },
    )
    values, unread = kernel.modules(root)
    assert values == {
        "nvidia": "580.95.05", "nvidia_uvm": "loaded", "gdrdrv": "loaded", "mlx5_core": "ABCDEF",
        "nvidia_uvm.uvm_disable_hmm": "Y", "nvidia flavour": "open", "nvidia.EnableMSI": "1",
        "nvidia.RegistryDwords": '""', "nvidia.EnableStreamMemOPs": "0",
    }  # fmt: skip
    assert unread == {}
    assert kernel.modules(str(tmp_path / "no modules at all")) == [{}, {}]


# --- limits and groups -----------------------------------------------------------------------------------------------


def test_limits_of_this_process_are_those_that_it_has() -> None:
    values, _ = limits.limits("", os.getpid())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert values["nofile"] == (str(soft) if soft == hard else f"{soft}, hard {hard}")
    assert len([name for name in values if name in limits.LIMITS.values()]) == len(limits.LIMITS)
    assert values["cores"]


GROUP_2 = {
    "/proc/7/cgroup": "0::/pod/box\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "/sys/fs/cgroup/pod/cpu.max": "400000 100000\n",
    "/sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/pod/memory.max": "max\n",
    "/sys/fs/cgroup/pod/box/memory.max": "8589934592\n",
    "/sys/fs/cgroup/pod/box/cpuset.cpus.effective": "0-3\n",
    "/sys/fs/cgroup/pod/box/pids.max": "max\n",
}
GROUP_1 = {
    "/proc/7/cgroup": "4:memory:/pod\n3:cpuset:/pod\n2:cpu,cpuacct:/pod/box\n0::/\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu/pod/box/cpu.cfs_quota_us": "150000\n",
    "/sys/fs/cgroup/cpu/pod/box/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/cpuset/pod/cpuset.cpus": "4-7\n",
}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (GROUP_2, {"version": "2", "cpu.max": "4 cores", "memory.max": "8589934592", "cpuset.cpus": "0-3",
                   "pids.max": "no limit"}),
        (GROUP_1, {"version": "1", "cpu.max": "1.5 cores", "memory.max": "no limit", "cpuset.cpus": "4-7"}),
        ({"/proc/7/cgroup": "0::/\n"}, {"version": "1"}),
    ],
    ids=["version 2", "version 1", "no controller"],
)  # fmt: skip
def test_the_narrowest_limit_of_all_levels_counts(tmp_path: Path, files: dict[str, str], told: dict[str, str]) -> None:
    assert groups.groups(plant(tmp_path, files), 7) == [told, {}]


def test_a_limit_that_says_something_else_is_unread_and_never_no_limit(tmp_path: Path) -> None:
    values, unread = groups.groups(plant(tmp_path, {**GROUP_2, "/sys/fs/cgroup/pod/cpu.max": "lots\n"}), 7)
    assert "cpu.max" not in values
    assert "not understood" in unread["cpu.max"]


# --- places, cards, processors ---------------------------------------------------------------------------------------

MOUNTS = (
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro\n"
    "30 22 0:5 / /home rw,nosuid - nfs4 filer:/export/home rw,vers=4.2,addr=10.0.0.1,hard\n"
    "31 30 0:6 / /home/a\\040b ro - tmpfs tmpfs rw,size=1024k\n"
    "garbage\n"
)


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/etc", ("/", "ext4", "rw,relatime,errors=remount-ro", "/dev/sda1")),
        ("/homely", ("/", "ext4", "rw,relatime,errors=remount-ro", "/dev/sda1")),
        ("/home/me", ("/home", "nfs4", "rw,nosuid,vers=4.2,hard", "filer:/export/home")),
        ("/home/a b/c", ("/home/a b", "tmpfs", "ro,rw", "tmpfs")),
    ],
)
def test_the_mount_of_a_path_is_the_longest_that_holds_it(path: str, mounted: tuple[str, ...]) -> None:
    assert mounts._mounted(MOUNTS, path) == mounted


def test_a_place_that_is_not_made_yet_lies_where_it_would_be_made(tmp_path: Path) -> None:
    (values, _), (same, _) = (mounts.mount("", "x", str(path)) for path in (tmp_path, tmp_path / "not" / "made"))
    assert values["x"] == same["x"]
    assert values["x"].endswith(" GiB")


def test_processors_say_how_they_are_set_up(tmp_path: Path) -> None:
    files = {
        "/proc/cpuinfo": "model name\t: EPYC 9654\nmicrocode\t: 0xa1\nflags\t\t: fpu avx2 avx512f\n\nmodel name: b\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/sys/devices/system/cpu/smt/control": "on\n",
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance\n",
        "/sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "powersave\n",
        "/sys/devices/system/node/node0/cpulist": "0-95\n",
        "/sys/devices/system/node/node1/cpulist": "96-191\n",
    }
    assert cpus.cpus(plant(tmp_path, files)) == [
        {
            "model": "EPYC 9654", "microcode": "0xa1", "features": "avx2 avx512f", "transparent huge pages": "madvise",
            "threads per core": "on", "governor": "performance, powersave", "NUMA nodes": "2",
            "NUMA node0": "cores 0-95", "NUMA node1": "cores 96-191",
        },
        {},
    ]  # fmt: skip


def test_cards_and_ports_are_told_and_virtual_ones_are_not(tmp_path: Path) -> None:
    files = {
        "/sys/class/net/eth0/device/x": "", "/sys/class/net/eth0/mtu": "9000\n", "/sys/class/net/eth0/speed": "-1\n",
        "/sys/class/net/veth1/mtu": "1500\n", "/sys/class/infiniband/mlx5_0/fw_ver": "28.39.1002\n",
        "/sys/class/infiniband/mlx5_0/ports/1/rate": "400 Gb/sec (4X NDR)\n",
    }  # fmt: skip
    assert network.network(plant(tmp_path, files)) == [
        {"eth0 MTU": "9000", "mlx5_0 firmware": "28.39.1002", "mlx5_0 port 1 rate": "400 Gb/sec (4X NDR)"},
        {},
    ]


# --- the target ------------------------------------------------------------------------------------------------------


def record(site: Path, name: str, **files: str) -> None:
    (site / name).mkdir(parents=True)
    for stem, text in files.items():
        (site / name / f"{stem}.json").write_text(text)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A virtual environment's interpreter with nothing in it."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    return tmp_path / "env" / "bin" / "python"


def site_of(target: Path) -> Path:
    return next(target.parents[1].glob("lib/python3*/site-packages"))


def test_every_distribution_is_told_by_its_record_and_what_is_special_about_it(target: Path, tmp_path: Path) -> None:
    site, first = site_of(target), tmp_path / "first"
    vcs = json.dumps({"url": "https://token@host/x", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef0123"}})
    record(site, "flash_attn-2.8.3.dist-info", direct_url=vcs)
    record(site, "Some.Name_here-1.0.post1.dist-info", direct_url='{"dir_info": {"editable": true}}')
    record(site, "wheel_of_mine-2.dist-info", direct_url='{"archive_info": {"hashes": {"sha256": "feedfacecafebeef"}}}')
    record(site, "odd-1.dist-info", direct_url="[" * 20000)
    record(site, "numpy-2.1.0.dist-info")
    record(site, "apex-0.1-py3.11.egg-info")
    record(site, "~orch-1.dist-info")
    (site / "apex.egg-link").write_text("/src/apex\n")
    record(first, "numpy-1.26.4.dist-info")
    values, unread = packages.packages(str(target), [str(first)], "")
    assert values == {
        "flash-attn": "2.8.3 (commit 0123456789ab)", "some-name-here": "1.0.post1 (editable)",
        "wheel-of-mine": "2 (from a file, sha256 feedfacecafe)",
        "odd": "1 (not from an index; its record cannot be read)", "numpy": "1.26.4, shadows 2.1.0",
        "apex": "0.1 (editable)",
    }  # fmt: skip
    assert unread == {}
    assert "token" not in str(values)


def test_what_conda_installed_is_told_with_its_build(target: Path) -> None:
    (target.parents[1] / "conda-meta").mkdir()
    (target.parents[1] / "conda-meta" / "mkl-2024.2.2-ha957f24_16.json").touch()
    (target.parents[1] / "conda-meta" / "history").touch()
    assert packages.packages(str(target), [], "")[0] == {"conda:mkl": "2024.2.2 ha957f24_16"}


def test_the_build_of_torch_is_read_and_never_run(target: Path) -> None:
    folder = site_of(target) / "torch"
    folder.mkdir()
    (folder / "version.py").write_text(
        "raise SystemExit('run')\n__version__ = '2.6.0+cu124'\ncuda = '12.4'\nhip = None\n"
    )
    values, _ = python.python(str(target), [], "")
    assert (values["torch"], values["torch CUDA"], values["torch HIP"]) == ("2.6.0+cu124", "12.4", "none")
    assert values["version"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")


def test_a_package_of_the_system_is_told_if_it_matters_and_is_installed(tmp_path: Path) -> None:
    status = (
        "Package: libnccl2\nStatus: install ok installed\nVersion: 2.27.5-1+cuda12.9\nDescription: x\n Package: y\n\n"
        "Package: libcups2\nStatus: install ok installed\nVersion: 2\n\n"
        "Package: cuda-toolkit-12\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    root = plant(tmp_path, {"/var/lib/dpkg/status": status})
    assert packages.system_packages(root) == [{"deb:libnccl2": "2.27.5-1+cuda12.9"}, {}]


def test_variables_are_those_that_matter_raw_and_an_empty_one_is_there(tmp_path: Path) -> None:
    rows = (
        b"NCCL_DEBUG=INFO\0HF_TOKEN=hf_secret\0RANK=3\0TORCHELASTIC_RUN_ID=x\0TORCHDOCTOR_STATE=/s\0OMP_NUM_THREADS=\0"
    )
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/environ").write_bytes(rows + b"LD_LIBRARY_PATH=/\xff\0MINE=1\0no row\0")
    values, unread = variables(str(tmp_path), 7)
    assert values == {
        "NCCL_DEBUG": "INFO", "HF_TOKEN": "hf_secret", "OMP_NUM_THREADS": '""', "LD_LIBRARY_PATH": "/\ufffd"
    }  # fmt: skip
    assert unread == {}


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_values_are_cut_lines_are_joined_and_names_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.environment.inventory.reading.MOST_NAMES", 2)
    told = Told()
    told.put("a", "x" * (MOST_VALUE + 1))
    told.put("b", "one\ntwo\x00")
    told.put("c", "")
    told.put("d", "too much")
    values, unread = told.answer()
    assert values == {"a": "x" * MOST_VALUE + " [cut]", "b": "one two\x00"}
    assert unread == {"": "only the first 2 are told"}


# --- through the child -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here() -> Any:
    return take_inventory(Target(python=sys.executable), DEADLINE_S)


def test_this_machine_and_python_have_every_kind(here: Any) -> None:
    assert {"sysctl", "kernel", "cpu", "cgroup", "limit", "mount", "variable", "package", "python"} <= here.parts.keys()
    assert here.parts["kernel"]["release"] == os.uname().release
    assert here.parts["package"]["pytest"].startswith(pytest.__version__)
    assert here.parts["python"]["executable"] == sys.executable
    assert not [key for key in here.unread if key in ("", "package", "python")]
    assert all(value for values in here.parts.values() for value in values.values())


def test_a_target_behind_a_prefix_is_not_told_from_the_files_that_lie_here(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"sysctl": lambda: 0, "variable": lambda: 0}
    monkeypatch.setattr(child, "ask_each", lambda *_: {name: child.Part("done", [{"x": "1"}, {}]) for name in asked})
    found = take(Target(python=sys.executable, prefix=("docker", "exec", "-i", "box")), DEADLINE_S, {})
    assert found.parts == {"sysctl": {"x": "1"}}
    assert found.unread.keys() == {"package", "python", "variable"}
    assert take(None, DEADLINE_S, {}).unread.keys() == {"package", "python"}


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (child.Part("hung", cause="no answer"), "no answer"),
        (child.Part("failed", cause="broken"), "broken"),
        (child.Part("done", ["words"]), "the child says it in a way that is not understood"),
    ],
)
def test_what_gives_no_answer_is_unread_and_not_empty(
    monkeypatch: pytest.MonkeyPatch, part: child.Part, why: str
) -> None:
    monkeypatch.setattr(child, "ask_each", lambda *_: {"mount/home": part, "cpu": part})
    found = take(None, DEADLINE_S, {})
    assert (found.parts, found.unread["mount/home"], found.unread["cpu"]) == ({}, why, why)


def test_a_child_that_says_nothing_leaves_all_of_it_unread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "inspector.py").write_text("raise SystemExit('broken')")
    monkeypatch.setattr(child, "INSPECTOR", tmp_path / "inspector.py")
    assert take(None, DEADLINE_S).unread == {"": "broken"}


def test_the_variables_of_a_process_that_has_ended_are_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Like(pid=os.getpid(), started=1, user="me", command="train.py", folder="/")  # another has its pid by now
    found = take_inventory(Target(python=sys.executable, like=gone), DEADLINE_S)
    assert found.unread["variable"] == found.unread["limit"] == "another process has this pid by now"
    assert found.parts.keys() & {"variable", "limit", "cgroup"} == set()


def test_every_item_is_asked_by_itself() -> None:
    items = inventory(python="/x", places={"home": "/home"})
    assert {"sysctl", "cpu", "package", "package/deb:", "mount/home", "variable"} <= items.keys()
