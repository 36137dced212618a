"""Which files are read, how, and whose they are: by their path, and for one named file by its first bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchprobes.compilelog.sources import Role, Sourced, sniffed, sourced

RUN = "run_2026_11_23_06_15_03_373024-pid_18663"
TRACE = b'V1123 06:12:11.791000 13688 torch/_dynamo/utils.py:2350] {"chromium_event": {}}\n'


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("torch_compile_debug/tlparse/dedicated_log_torch_trace_c0hjpt90.log", Sourced(Role.TRACE)),
        ("torch_trace/dedicated_log_torch_trace_rank_3_c0hj_t90.log", Sourced(Role.TRACE, rank=3)),
        (f"{RUN}/torchdynamo/debug.log", Sourced(Role.DEBUG, pid=18663)),
        (f"{RUN}/torchinductor/aot_model___4_debug.log", Sourced(Role.DEBUG, pid=18663)),
        ("probes/compile.default/stderr.log", Sourced(Role.TEXT)),
        ("probes/compile.default/end.json", Sourced(Role.END)),
        ("stdout", Sourced(Role.TEXT)),
        ("nohup.out", Sourced(Role.TEXT)),
        ("slurm-4711.out", Sourced(Role.TEXT)),
        ("torch_logs_of_me.log", Sourced(Role.TEXT)),
        (
            "nodes/gpu1/logs/none_abc/attempt_1/2/stderr.log",
            Sourced(Role.TEXT, rank=2, attempt=1, group="/r/nodes/gpu1/logs/none_abc"),
        ),
    ],
)
def test_what_is_read(below: str, expected: Sourced) -> None:
    assert sourced(f"/r/{below}", below) == expected


@pytest.mark.parametrize(
    "below",
    [
        f"{RUN}/torchinductor/model__0_inference_0.0/output_code.py",
        f"{RUN}/torchinductor/model__0_inference_0.0/ir_pre_fusion.txt",
        f"{RUN}/minifier/checkpoints/a.log",
        "nodes/gpu1/nccl/gpu1.42.log",
        "nodes/gpu1/flight/0.log",
        "probes/x/events/12.jsonl",
        "run.json",
        "telemetry.jsonl",
        "train.py",
        "README.txt",
        "dedicated_log_torch_trace_.log.swp",
    ],
)
def test_what_is_left_alone(below: str) -> None:
    assert sourced(f"/r/{below}", below) is None


def test_a_folder_above_the_root_does_not_hide_its_logs() -> None:
    assert sourced("/home/me/events/job/stderr.log", "stderr.log") == Sourced(Role.TEXT)


def test_a_root_within_a_debug_tree_still_knows_the_process() -> None:
    path = f"/d/torch_compile_debug/{RUN}/torchdynamo/debug.log"
    assert sourced(path, "debug.log") == Sourced(Role.DEBUG, pid=18663)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("renamed.txt", TRACE, Sourced(Role.TRACE)),
        ("stderr.log", TRACE, Sourced(Role.TRACE)),
        ("job.txt", b"[rank0]:" + TRACE, Sourced(Role.TEXT)),
        ("job.txt", b"W1123 06:12:11.791000 13688 torch/_dynamo/x.py:1] [0/0] words\n", Sourced(Role.TEXT)),
        ("dedicated_log_torch_trace_rank_1_abcdefgh.log", b"", Sourced(Role.TRACE, rank=1)),
        ("empty", b"", Sourced(Role.TEXT)),
        ("output_code.py", b"import torch\n", None),
        ("ir_post_fusion.txt", b"op0\n", None),
    ],
)
def test_one_named_file_is_known_by_its_name_or_its_first_bytes(
    tmp_path: Path, name: str, data: bytes, expected: Sourced | None
) -> None:
    (tmp_path / name).write_bytes(data)
    assert sniffed(str(tmp_path / name)) == expected


def test_a_pipe_is_not_sniffed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        sniffed(str(tmp_path / "pipe"))
