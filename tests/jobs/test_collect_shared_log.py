"""A log that all ranks of a node write into, such as Slurm's: a line is of the rank that it names, or of nobody."""

from __future__ import annotations

from pathlib import Path

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.collect import logs


def rank(number: int, stdout: str = "", stderr: str = "") -> RankIdentity:
    return RankIdentity(rank=number, pid=100 + number, start_ticks=1, stdout=stdout, stderr=stderr)


def test_an_exception_in_a_shared_log_is_no_ranks_own(tmp_path: Path) -> None:
    path = tmp_path / "slurm-42.out"
    path.write_text(
        'Traceback (most recent call last):\n  File "/w/t.py", line 7, in <module>\nValueError: bad batch\n'
    )
    ranks = [rank(number, stdout=str(path), stderr=str(path)) for number in (0, 1)]
    shared = logs.shared_by(ranks)
    assert shared == {str(path)}
    for each in ranks:
        log = logs.of_rank(each, shared)
        assert log.signs == ()
        assert log.state.available
        assert log.tail[-1] == "ValueError: bad batch"
    assert [sign.id for sign in logs.of_rank(ranks[0]).signs] == ["exception"], "alone it is its writer's"


def test_a_line_that_names_its_rank_is_that_ranks(tmp_path: Path) -> None:
    path = tmp_path / "slurm-42.out"
    text = ["Traceback (most recent call last):", '  File "/w/t.py", line 7, in <module>', "ValueError: bad batch"]
    path.write_text("".join(f"[rank1]: {line}\n" for line in text))
    ranks = [rank(number, stdout=str(path)) for number in (0, 1)]
    found = [logs.of_rank(each, logs.shared_by(ranks)).signs for each in ranks]
    assert found[0] == ()
    assert [(sign.id, sign.rank) for sign in found[1]] == [("exception", 1)]


def test_its_own_file_counts_beside_a_shared_one(tmp_path: Path) -> None:
    own, common = tmp_path / "1.err", tmp_path / "all.out"
    head = 'Traceback (most recent call last):\n  File "/w/t.py", line 7, in <module>\n'
    own.write_text(f"{head}ValueError: mine\n")
    common.write_text(f"{head}ValueError: anybody's\n")
    ranks = [rank(0, stdout=str(common)), rank(1, stdout=str(common), stderr=str(own))]
    log = logs.of_rank(ranks[1], logs.shared_by(ranks))
    assert [sign.exception for sign in log.signs] == ["ValueError: mine"]
