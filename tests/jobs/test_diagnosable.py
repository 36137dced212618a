"""What to export so that a job can be diagnosed later: valid for its torch and NCCL, and in forms that are valid."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from torchprobes.jobs.diagnosable import as_pod, as_shell, as_slurm, exports

OLD = {"TORCH_NCCL_TRACE_BUFFER_SIZE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"}
NEW = {"TORCH_FR_BUFFER_SIZE", "TORCH_FR_DUMP_TEMP_FILE"}
PIPE = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE"


def names(torch: str, nccl: str = "2.28.9") -> set[str]:
    return {row.name for row in exports(torch, nccl, "/run/job")}


@pytest.mark.parametrize(
    ("torch", "there", "absent"),
    [
        ("2.1.2+cu121", set[str](), OLD | NEW | {PIPE, "TORCH_TRACE"}),
        ("2.2.0", OLD, NEW | {PIPE}),
        ("2.6.0+cu124", OLD | {PIPE, "TORCH_TRACE"}, NEW),
        ("2.7.1", OLD | {PIPE}, NEW),
        ("2.8.0", NEW | {PIPE}, OLD),
        ("2.13.0+cpu", NEW | {PIPE}, OLD),
        ("3.0.0a0+gitabc", NEW | {PIPE}, OLD),
        ("", OLD | NEW | {PIPE}, set[str]()),
    ],
)
def test_each_torch_gets_the_names_that_it_reads(torch: str, there: set[str], absent: set[str]) -> None:
    found = names(torch)
    assert there <= found
    assert not absent & found


def test_ras_is_asked_for_where_nccl_has_it() -> None:
    assert "NCCL_RAS_ENABLE" in names("2.13.0", "2.24.3")
    assert "NCCL_RAS_ENABLE" in names("2.13.0", "")
    assert "NCCL_RAS_ENABLE" not in names("2.6.0", "2.21.5")
    assert "NCCL_DEBUG_FILE" in names("2.1.2", "2.18.1")


def test_the_pipe_comes_with_the_size_without_which_torch_makes_none() -> None:
    for torch, size in (("2.6.0", "TORCH_NCCL_TRACE_BUFFER_SIZE"), ("2.13.0", "TORCH_FR_BUFFER_SIZE")):
        values = {row.name: row.value for row in exports(torch, "", "/run/job/")}
        assert int(values[size]) > 0
        assert values[PIPE] == "/run/job/flight_pipe_"


def test_the_lines_run_in_a_shell_and_give_the_values(tmp_path: Path) -> None:
    folder = f"{tmp_path}/it's a 'run' $HOME"
    rows = exports("2.13.0", "2.28.9", folder)
    script = as_shell(rows, folder) + "env -0"
    done = subprocess.run(["/bin/sh", "-euc", script], capture_output=True, check=True)
    said = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if "=" in line)
    assert {row.name: said[row.name] for row in rows} == {row.name: row.value for row in rows}
    assert Path(folder).is_dir()
    assert Path(folder).stat().st_mode & 0o777 == 0o700


def test_a_variable_at_the_beginning_of_the_folder_stays_one(tmp_path: Path) -> None:
    rows = exports("2.13.0", "2.28.9", "$SCRATCH/runs of mine")
    script = as_shell(rows, "$SCRATCH/runs of mine") + 'printf %s "$TORCH_FR_DUMP_TEMP_FILE"'
    environ = {"SCRATCH": f"{tmp_path}/a b", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-euc", script], capture_output=True, check=True, env=environ)
    assert done.stdout.decode() == f"{tmp_path}/a b/runs of mine/flight_rank_"


def test_every_line_says_what_it_is_for() -> None:
    rows = exports("2.13.0", "2.28.9", "/run/job")
    lines = as_shell(rows, "/run/job").splitlines()
    for at, line in enumerate(lines):
        if line.startswith("export "):
            assert lines[at - 1].startswith("# ")
    assert all(row.why for row in rows)


def test_slurm_makes_the_folder_on_every_node() -> None:
    text = as_slurm(exports("2.13.0", "2.28.9", "/run/job"), "/run/job")
    subprocess.run(["/bin/sh", "-n"], input=text.encode(), check=True)
    assert "srun --ntasks-per-node=1 --nodes=$SLURM_JOB_NUM_NODES mkdir -p -m 700 /run/job" in text
    assert "export NCCL_DEBUG_FILE=/run/job/nccl.%h.%p.log" in text


def test_a_pod_gets_variables_and_a_volume() -> None:
    rows = exports("2.13.0", "2.28.9", '/a "b"\\c')
    text = as_pod(rows, '/a "b"\\c')
    found = dict(re.findall(r'- name: (\w+)\n    value: "((?:[^"\\]|\\.)*)"', text))
    unescaped = {name: re.sub(r"\\(.)", r"\1", value) for name, value in found.items()}
    assert unescaped == {row.name: row.value for row in rows}
    assert 'mountPath: "/a \\"b\\"\\\\c"' in text
    assert "emptyDir: {}" in text
