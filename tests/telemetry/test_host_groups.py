"""Control groups of both versions, from trees of our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from host_trees import plant, roots, state

from torchprobes.cells import UNREAD, CellState
from torchprobes.samples import GroupSample
from torchprobes.telemetry.host import Group, Roots
from torchprobes.telemetry.host.groups import MAX_GROUPS, NO_LIMIT, Groups
from torchprobes.telemetry.host.rates import BACKWARDS

NOW = 1e9
JOB = "/system.slice/slurmstepd.scope/job_42/step_0"


def v2(
    path: str, files: Mapping[str, str] | None = None, *, cpu: str = "max 100000", periods: int = 0, throttled: int = 0
) -> dict[str, str]:
    at = f"sys/fs/cgroup{path}"
    said = {
        "cpu.max": f"{cpu}\n", "cpu.stat": f"usage_usec 5\nnr_periods {periods}\nnr_throttled {throttled}\n",
        "cpu.pressure": "some avg10=2.50 avg60=0.00 avg300=0.00 total=1\n", "memory.current": "1000\n",
        "memory.max": "max\n", "memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n", **(files or {}),
    }  # fmt: skip
    return {f"{at}/{file}": content for file, content in said.items()}


def unified(tmp_path: Path, *trees: dict[str, str]) -> Roots:
    where = roots(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "cpu memory\n", "proc/self/cgroup": "0::/user\n"})
    for tree in trees:
        plant(tmp_path, tree)
    return where


def look(groups: Groups, *wanted: Group) -> tuple[GroupSample, ...]:
    groups.want(wanted)
    groups.found.take()
    return groups.rows(NOW)


def test_limits_use_and_pressure_of_a_job(tmp_path: Path) -> None:
    tree = v2(JOB, {"memory.max": "4000\n"}, cpu="250000 100000", periods=100, throttled=10)
    groups = Groups(unified(tmp_path, tree))
    (first,) = look(groups, Group(JOB, "42.0"))
    assert (first.path, first.job, first.cpu_limit_cores) == (JOB, "42.0", 2.5)
    assert first.cpu_throttled_percent is UNREAD, "there is nothing to compare with"
    assert (first.cpu_pressure_percent, first.oom_kills) == (2.5, 2)
    assert (first.memory_used_bytes, first.memory_limit_bytes) == (1000, 4000)
    plant(tmp_path, v2(JOB, cpu="250000 100000", periods=120, throttled=15))
    (second,) = look(groups, Group(JOB, "42.0"))
    assert second.cpu_throttled_percent == 25.0
    (third,) = look(groups, Group(JOB, "42.0"))
    assert third.cpu_throttled_percent == 0.0, "in no period at all it was not held back"
    plant(tmp_path, v2(JOB, cpu="250000 100000", periods=1, throttled=0))
    (fourth,) = look(groups, Group(JOB, "42.0"))
    assert fourth.cpu_throttled_percent is BACKWARDS


def test_no_limit_is_told_as_none(tmp_path: Path) -> None:
    (row,) = look(Groups(unified(tmp_path, v2(JOB))), Group(JOB))
    assert row.cpu_limit_cores is row.cpu_throttled_percent is row.memory_limit_bytes is NO_LIMIT
    assert row.memory_used_bytes == 1000


def test_a_limit_on_a_group_above_holds_for_the_job(tmp_path: Path) -> None:
    pod = v2("/kubepods/pod1", {"memory.max": "10000\n", "memory.current": "9900\n"}, cpu="400000 100000")
    own = v2("/kubepods/pod1/c1", {"memory.max": "20000\n"}, cpu="800000 100000")
    groups = Groups(unified(tmp_path, pod, own))
    (row,) = look(groups, Group("/kubepods/pod1/c1"))
    assert row.cpu_limit_cores == 4.0
    assert (row.memory_used_bytes, row.memory_limit_bytes) == (9900, 10000), "that is the limit which is near"
    plant(tmp_path, v2("/kubepods/pod1", cpu="400000 100000", periods=10, throttled=9))
    plant(tmp_path, v2("/kubepods/pod1/c1", cpu="800000 100000", periods=10, throttled=1))
    (row,) = look(groups, Group("/kubepods/pod1/c1"))
    assert row.cpu_throttled_percent == 90.0


def test_a_group_without_a_controller_is_told_by_the_one_above(tmp_path: Path) -> None:
    where = unified(tmp_path, v2("/user", {"memory.max": "5000\n"}, cpu="100000 100000"))
    plant(tmp_path, {"sys/fs/cgroup/user/leaf/cgroup.procs": "1\n"})
    (row,) = look(Groups(where), Group("/user/leaf"))
    assert (row.cpu_limit_cores, row.memory_limit_bytes) == (1.0, 5000)
    assert state(row.cpu_pressure_percent) is state(row.oom_kills) is CellState.NOT_SUPPORTED


def test_without_any_controller_nothing_is_a_number(tmp_path: Path) -> None:
    where = unified(tmp_path)
    plant(tmp_path, {"sys/fs/cgroup/bare/cgroup.procs": "1\n"})
    (row,) = look(Groups(where), Group("/bare"))
    cells = [getattr(row, name) for name in GroupSample.__struct_fields__ if name not in ("path", "job")]
    assert {state(cell) for cell in cells} == {CellState.NOT_SUPPORTED}


@pytest.mark.parametrize("path", ["/gone", "/../../other", "/a/../../../etc"])
def test_a_group_that_cannot_be_seen_here_says_so_and_no_path_leads_out(tmp_path: Path, path: str) -> None:
    (row,) = look(Groups(unified(tmp_path, v2(JOB))), Group(path, "1.0"))
    assert (row.path, row.job) == (path, "1.0")
    assert state(row.memory_used_bytes) is state(row.cpu_limit_cores) is CellState.PERMISSION


def test_a_container_that_is_told_the_hosts_path_finds_its_group_at_the_root(tmp_path: Path) -> None:
    where = unified(tmp_path, v2("", cpu="300000 100000"))
    plant(tmp_path, {"proc/self/cgroup": "0::/docker/abc\n"})
    rows = look(Groups(where), Group("/docker/abc"), Group("/docker/other"))
    assert rows[0].cpu_limit_cores == 3.0
    assert state(rows[1].cpu_limit_cores) is CellState.PERMISSION


def test_the_root_has_a_row_in_a_container_with_a_limit_and_none_on_a_machine(tmp_path: Path) -> None:
    groups = Groups(unified(tmp_path, {"sys/fs/cgroup/cgroup.procs": "1\n"}))
    assert look(groups, Group("/", "bare", 1)) == ()
    plant(tmp_path, v2("", {"memory.max": "9000\n"}))
    (row,) = look(groups, Group("/", "pod", 1))
    assert (row.path, row.job, row.memory_limit_bytes) == ("/", "pod", 9000)


@pytest.mark.parametrize(
    ("file", "content"), [("cpu.max", "fast 100000\n"), ("memory.current", "-5\n"), ("cpu.stat", "nr_periods x\n")]
)
def test_files_that_hold_something_else_are_told(tmp_path: Path, file: str, content: str) -> None:
    tree = v2(JOB, cpu="100000 100000")
    (row,) = look(Groups(unified(tmp_path, tree, {f"sys/fs/cgroup{JOB}/{file}": content})), Group(JOB))
    cell = row.memory_used_bytes if file == "memory.current" else row.cpu_limit_cores
    assert state(cell) is CellState.ERROR


def test_version_1_has_a_path_a_controller(tmp_path: Path) -> None:
    cpu, memory = "sys/fs/cgroup/cpu/slurm/job_42", "sys/fs/cgroup/memory/slurm/uid_0/job_42"
    tree = {
        f"{cpu}/cpu.cfs_quota_us": "150000\n", f"{cpu}/cpu.cfs_period_us": "100000\n",
        f"{cpu}/cpu.stat": "nr_periods 10\nnr_throttled 5\nthrottled_time 9\n",
        "sys/fs/cgroup/cpu/slurm/cpu.cfs_quota_us": "-1\n",
        f"{memory}/memory.usage_in_bytes": "700\n", f"{memory}/memory.limit_in_bytes": "9000\n",
        f"{memory}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "proc/77/cgroup": "4:memory:/slurm/uid_0/job_42\n1:cpu,cpuacct:/slurm/job_42\n0::/\n",
        "proc/self/cgroup": "4:memory:/\n",
    }  # fmt: skip
    groups = Groups(roots(tmp_path, tree))
    (row,) = look(groups, Group("/slurm/uid_0/job_42", "42", 77))
    assert (row.cpu_limit_cores, row.memory_used_bytes, row.memory_limit_bytes, row.oom_kills) == (1.5, 700, 9000, 1)
    assert state(row.cpu_pressure_percent) is CellState.NOT_SUPPORTED
    plant(tmp_path, {f"{cpu}/cpu.stat": "nr_periods 30\nnr_throttled 15\n"})
    (row,) = look(groups, Group("/slurm/uid_0/job_42", "42", 77))
    assert row.cpu_throttled_percent == 50.0
    (row,) = look(groups, Group("/slurm/uid_0/job_42", "42"))
    assert row.memory_used_bytes == 700
    assert state(row.cpu_limit_cores) is CellState.PERMISSION, "without a process nothing leads to the other path"


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    tree = {
        "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "7\n",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0\n",
        "proc/self/cgroup": "4:memory:/\n",
    }
    (row,) = look(Groups(roots(tmp_path, tree)), Group("/a"))
    assert (row.memory_used_bytes, row.memory_limit_bytes) == (7, NO_LIMIT)
    assert state(row.oom_kills) is CellState.NOT_SUPPORTED, "before Linux 4.13 kills are not counted"


def test_of_a_process_that_has_ended_the_path_is_left(tmp_path: Path) -> None:
    at = "sys/fs/cgroup/memory/x"
    tree = {f"{at}/memory.usage_in_bytes": "7\n", f"{at}/memory.limit_in_bytes": "9\n", "proc/self/cgroup": ""}
    (row,) = look(Groups(roots(tmp_path, tree)), Group("/x", "", 99))
    assert (row.memory_used_bytes, row.memory_limit_bytes) == (7, 9)
    assert state(row.cpu_limit_cores) is CellState.PERMISSION


def test_a_new_group_is_read_soon_and_the_job_of_a_known_one_may_change(tmp_path: Path) -> None:
    groups = Groups(unified(tmp_path, v2(JOB), v2("/b")))
    look(groups, Group(JOB, "42.0", 7))
    groups.want([Group(JOB, "42.1", 8)])
    assert not groups.found.is_due(0.0)
    assert [row.job for row in groups.rows(NOW)] == ["42.1"]
    groups.want([Group(JOB), Group("/b", "b")])
    assert groups.found.is_due(0.0)
    known, new = groups.rows(NOW)
    assert known.memory_used_bytes == 1000
    assert (new.path, new.job, new.memory_used_bytes) == ("/b", "b", UNREAD)


def test_groups_that_give_no_answer_say_so_each(tmp_path: Path) -> None:
    groups = Groups(unified(tmp_path, v2(JOB)))
    look(groups, Group(JOB))
    groups.found.began = NOW - 9
    (row,) = groups.rows(NOW)
    assert state(row.memory_used_bytes) is CellState.HUNG


def test_no_more_groups_are_read_than_fit(tmp_path: Path) -> None:
    groups = Groups(unified(tmp_path))
    assert len(look(groups, *(Group(f"/{number}") for number in range(MAX_GROUPS + 9)))) == MAX_GROUPS
