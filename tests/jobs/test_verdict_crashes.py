"""Verdicts on ranks that ended: by their own fault, as victims, too early, or because they were told to."""

from __future__ import annotations

import msgspec
import pytest
from evidence_builder import (
    ASLEEP,
    CLOSED,
    RAISED,
    TIMED_OUT,
    RankSeen,
    closing,
    four,
    node,
    ns,
    ops,
    twice,
    victim,
)

from torchprobes.jobs.signs import Scanner
from torchprobes.jobs.verdict import Judged, judge
from torchprobes.rank_evidence import AgentEvidence, Exit, NodeEvidence
from torchprobes.samples import KernelEvent


def with_victims(ranks: list[RankSeen], *guilty: int, at: float = -0.4) -> NodeEvidence:
    for rank in ranks:
        if rank.rank not in guilty:
            victim(rank, at=at)
    return node(*ranks, agent=closing())


def test_a_rank_that_raised_is_named_with_exception_and_call_site() -> None:
    ranks = four()
    ranks[2].says(RAISED.format(2), at=-1.6).exits(1, at=-1.0)
    judged = judge([with_victims(ranks, 2)])
    assert judged.verdict.line == "rank 2 on node1 raised ValueError: bad batch at train.py:41 (load)"
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "raised", True)
    assert judged.evidence[0].text.startswith("rank 2 on node1: exit code 1")
    assert judged.states[0][0] == "exited"
    assert "another rank" in judged.states[0][1]


@pytest.mark.parametrize(
    ("end", "cause", "words"),
    [
        ({"code": 3}, "exited", "exit code 3"),
        ({"signal": "SIGKILL"}, "killed", "SIGKILL"),
        ({"signal": "SIGSEGV", "core_dumped": True}, "segfault", "SIGSEGV, core dumped"),
        ({"signal": "SIGBUS"}, "segfault", "SIGBUS"),
        ({"signal": "SIGABRT"}, "aborted", "SIGABRT"),
        ({"code": 139}, "segfault", "exit code 139 (128 + SIGSEGV)"),
        ({"code": 0}, "returned-early", "ended with exit code 0 while"),
    ],
)
def test_the_kernels_own_word_for_an_end(end: dict[str, object], cause: str, words: str) -> None:
    ranks = four()
    ranks[2].exits(at=-1.0, **end)  # type: ignore[arg-type]
    judged = judge([with_victims(ranks, 2)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), cause, True), judged.verdict
    assert words in judged.verdict.line


def test_ranks_that_the_launcher_ended_are_no_culprits() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        ranks[rank].exits(signal="SIGTERM", at=-0.7)
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    judged = judge([node(*ranks, agent=closing(-0.8))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "killed", True)


def test_a_launcher_that_closes_a_moment_after_a_kill_has_not_killed() -> None:
    """It looks ten times a second: its stamp may lie anywhere up to 100 ms after the end that made it close the job."""
    ranks = four()
    for rank in (0, 1, 3):
        ranks[rank].exits(signal="SIGTERM", at=-0.7, asked="SIGTERM")
    ranks[2].exits(signal="SIGKILL", at=-0.816)
    judged = judge([node(*ranks, agent=closing(-0.8))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "killed", True)


def test_peers_that_are_killed_because_they_ignored_the_launchers_sigterm() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        ranks[rank].exits(signal="SIGKILL", at=29.2, asked="SIGKILL")
    ranks[2].exits(3, at=-1.0)
    judged = judge([node(*ranks, agent=closing(-0.8))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "exited", True)


def test_what_torchrun_calls_the_root_cause_is_never_believed() -> None:
    scanner = Scanner(None, now_ns=ns(0))
    text = (
        "E1126 05:00:00.073000 900 torch/distributed/elastic] failed (exitcode: 1) local_rank: 0 (pid: 1000) of x",
        "Root Cause (first observed failure):",
        "  rank      : 0 (local_rank: 0)",
    )
    signs = tuple(sign for line in text if (sign := scanner.feed(line)) is not None)
    assert [sign.id for sign in signs] == ["agent-failed", "agent-rank"]
    ranks = four()
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    victim(ranks[0], at=-0.9)
    for rank in (1, 3):
        ranks[rank].exits(signal="SIGTERM", at=-0.7)
    judged = judge([node(*ranks, agent=closing(-0.8, signs=signs))])
    assert judged.verdict.ranks == (2,)


# --- out of memory ---


def oom(pid: int) -> KernelEvent:
    text = f"Memory cgroup out of memory: Killed process {pid} (python3) total-vm:9kB, anon-rss:1234368kB, file-rss:0kB"
    return KernelEvent(t_ns=ns(-1.05), kind="oom", source="kmsg", pid=pid, process="python3", text=text)


def test_an_oom_kill_is_told_from_a_kill_and_with_its_size() -> None:
    ranks = four()
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    for rank in (0, 1, 3):
        victim(ranks[rank])
    judged = judge([node(*ranks, agent=closing(), kernel=(oom(ranks[2].pid),))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "oom", True)
    assert judged.verdict.line == "rank 2 on node1 was OOM-killed at 1.18 GiB"
    assert any(piece.kind == "kernel" and "Killed process" in piece.text for piece in judged.evidence)


def test_an_oom_kill_of_another_process_is_not_this_ranks() -> None:
    ranks = four()
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    judged = judge([with_victims(ranks, 2), node(host="node2", kernel=(oom(ranks[2].pid),))])
    assert judged.verdict.cause == "killed", "the pid is of another host"


def test_a_kill_says_when_nobody_could_read_the_kernels_log() -> None:
    ranks = four()
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    for rank in ranks:
        rank.without("kernel")
    judged = judge([with_victims(ranks, 2)])
    assert "it may be an OOM kill" in judged.verdict.line


def test_a_worker_of_the_loader_that_the_kernel_killed() -> None:
    ranks = four()
    ranks[1].says(
        "[rank1]: Traceback (most recent call last):\n"
        '[rank1]:   File "/workspace/train.py", line 60, in <module>\n'
        "[rank1]: RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. ",
        at=-1.2,
    ).exits(1, at=-1.0)
    for rank in (0, 2, 3):
        victim(ranks[rank])
    without = judge([node(*ranks, agent=closing())])
    assert (without.verdict.ranks, without.verdict.cause) == ((1,), "raised")
    assert "lost a worker of its DataLoader" in without.verdict.line
    judged = judge([node(*ranks, agent=closing(), kernel=(oom(4711),))])
    assert (judged.verdict.ranks, judged.verdict.cause) == ((1,), "oom")


def test_a_gpu_out_of_memory() -> None:
    ranks = four()
    ranks[3].says(
        "[rank3]: Traceback (most recent call last):\n"
        '[rank3]:   File "/workspace/train.py", line 44, in forward\n'
        "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 3 has a total",
        at=-1.4,
    ).exits(1, at=-1.0)
    judged = judge([with_victims(ranks, 3)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((3,), "oom", True)
    assert "ran out of GPU memory" in judged.verdict.line
    assert judged.verdict.site == "train.py:44 (forward)"


# --- victims in other clothes ---


def test_an_error_that_was_handled_long_ago_does_not_make_a_victim_a_culprit() -> None:
    ranks = four()
    ranks[0].says(RAISED.format(0), at=-60)
    ranks[2].exits(signal="SIGSEGV", at=-1.0)
    judged = judge([with_victims(ranks, 2)])
    assert judged.verdict.ranks == (2,)


def test_a_framework_that_wraps_the_victims_error_is_a_victim_still() -> None:
    wrapped = (
        CLOSED + "\n[rank{0}]: \n"
        "[rank{0}]: The above exception was the direct cause of the following exception:\n[rank{0}]: \n"
        "[rank{0}]: Traceback (most recent call last):\n"
        '[rank{0}]:   File "/workspace/train.py", line 99, in fit\n'
        "[rank{0}]: TrainingError: the epoch failed"
    )
    ranks = four()
    for rank in (0, 1, 3):
        victim(ranks[rank], text=wrapped)
    ranks[2].exits(signal="SIGKILL", at=-1.0)
    judged = judge([node(*ranks, agent=closing())])
    assert judged.verdict.ranks == (2,)


def test_store_warnings_while_a_rank_ends_do_not_hide_what_it_raised() -> None:
    ranks = four()
    ranks[2].says(RAISED.format(2), at=-1.6)
    ranks[2].says(
        "[rank2]:[W1126 04:59:58.000000000 TCPStore.cpp:125] recvValue failed on SocketImpl(fd=3): "
        "Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?",
        at=-1.5,
    ).exits(1, at=-1.0)
    judged = judge([with_victims(ranks, 2)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "raised", True)


def test_the_same_error_on_all_ranks_is_one_fault_of_all() -> None:
    ranks = four()
    for rank in ranks:
        rank.says(RAISED.format(rank.rank).replace("ValueError: bad", "FileNotFoundError: no"), at=-1.2)
        rank.exits(1, at=-1.0 + 0.01 * rank.rank)
    judged = judge([node(*ranks, agent=closing(-0.5))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((0, 1, 2, 3), "raised", True)
    assert "ranks 0–3 on node1 raised FileNotFoundError" in judged.verdict.line


def test_the_same_error_on_all_ranks_of_which_the_launcher_ended_most() -> None:
    ranks = four()
    for rank in ranks:
        rank.says(RAISED.format(rank.rank).replace("ValueError: bad", "KeyError: no"), at=-1.2)
    ranks[3].exits(1, at=-1.0)
    for rank in (0, 1, 2):
        ranks[rank].exits(signal="SIGTERM", at=-0.4)
    told = judge([node(*ranks, agent=closing(-0.5))]).verdict
    assert (told.ranks, told.cause, told.sure) == ((0, 1, 2, 3), "raised", True)


def test_a_crash_after_a_peer_had_left_is_not_sure() -> None:
    ranks = four()
    ranks[1].exits(0, at=-2.0)
    ranks[2].exits(signal="SIGSEGV", at=-1.0)
    for rank in (0, 3):
        victim(ranks[rank], at=-0.5)
    judged = judge([node(*ranks, agent=closing(-0.8))])
    assert not judged.verdict.sure
    assert "rank 1" in judged.verdict.line


# --- when it is not sure ---


def test_ends_without_a_log_are_not_sure() -> None:
    ranks = four()
    for rank in ranks:
        rank.without("log").exits(1, at=-1.0 + 0.3 * rank.rank)
    judged = judge([node(*ranks)])
    assert not judged.verdict.sure
    assert judged.verdict.ranks == (0,)
    assert "its log could not be read" in judged.verdict.line


def test_a_code_of_its_own_speaks_without_a_log() -> None:
    ranks = four()
    ranks[2].without("log").exits(3, at=-1.0)
    for rank in (0, 1, 3):
        ranks[rank].without("log").exits(1, at=-0.3)
    judged = judge([node(*ranks)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "exited", True)


def test_two_crashes_at_one_moment_are_not_sure_and_both_are_named() -> None:
    ranks = four()
    ranks[1].exits(signal="SIGSEGV", at=-1.0)
    ranks[2].exits(signal="SIGSEGV", at=-1.0 + 0.0005)
    judged = judge([with_victims(ranks, 1, 2)])
    assert not judged.verdict.sure
    assert set(judged.verdict.ranks) == {1, 2}


def on_two_hosts(apart: float, error: float | None) -> Judged:
    """Rank 1 on node1 and rank 2 on node2, whose clock is 500 ms behind, crash `apart` seconds from each other."""
    here = [RankSeen(0), RankSeen(1).exits(signal="SIGSEGV", at=-1.0)]
    there = [RankSeen(2, host="node2").exits(signal="SIGSEGV", at=-1.0 + apart - 0.5), RankSeen(3, host="node2")]
    victim(here[0], at=0.5)
    victim(there[1], at=0.5)
    return judge(
        [
            node(*here, world=4, agent=closing(-0.5)),
            node(*there, host="node2", world=4, agent=closing(0.0), offset=0.5, error=error),
        ]
    )


@pytest.mark.parametrize(
    ("apart", "error", "sure"),
    [(0.2, 0.3, False), (-0.2, 0.3, False), (0.9, 0.3, True), (0.9, None, False), (0.02, 0.001, True)],
)
def test_clocks_of_two_hosts(apart: float, error: float | None, sure: bool) -> None:
    judged = on_two_hosts(apart, error)
    assert judged.verdict.sure is sure, judged.verdict
    if sure:
        assert judged.verdict.ranks == (1,)
    else:
        assert set(judged.verdict.ranks) == {1, 2}


def test_a_node_whose_agent_names_a_victim_is_merged_with_the_node_of_the_culprit() -> None:
    here = [victim(RankSeen(rank), at=-0.2) for rank in (0, 1)]
    there = [RankSeen(rank, host="node2") for rank in (2, 3)]
    there[0].says(RAISED.format(2), at=-1.5).exits(1, at=-1.0)
    there[1].exits(signal="SIGTERM", at=-0.6)
    first = node(*here, world=4, agent=closing(-0.1))
    judged = judge([first, node(*there, host="node2", world=4, agent=closing(-0.8), error=0.01)])
    assert judged.verdict.line == "rank 2 on node2 raised ValueError: bad batch at train.py:41 (load)"
    assert judged.verdict.sure
    alone = judge([first])
    assert not alone.verdict.sure, "one node alone sees only victims"
    assert not set(alone.verdict.ranks) & {0, 1}


# --- ends that were asked for ---


def test_a_stop_that_a_person_asked_for() -> None:
    ranks = [rank.exits(signal="SIGTERM", at=-0.5) for rank in four()]
    agent = closing(-0.6, alive=False, stop_asked_ns=ns(-0.7))
    judged = judge([node(*ranks, agent=agent)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((), "cancelled", True)


def test_a_crash_before_the_stop_stays_the_cause() -> None:
    ranks = four()
    ranks[2].exits(signal="SIGSEGV", at=-20.0)
    for rank in (0, 1, 3):
        ranks[rank].exits(signal="SIGTERM", at=-0.5)
    agent = closing(-0.6, alive=False, stop_asked_ns=ns(-0.7))
    judged = judge([node(*ranks, agent=agent)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "segfault", True)


def test_ctrl_c_is_nobodys_fault() -> None:
    interrupted = (
        "[rank{0}]: Traceback (most recent call last):\n"
        '[rank{0}]:   File "/workspace/train.py", line 52, in step\n'
        "[rank{0}]: KeyboardInterrupt"
    )
    ranks = [r.says(interrupted.format(r.rank), at=-1.1).exits(signal="SIGINT", at=-1.0) for r in four()]
    assert judge([node(*ranks)]).verdict.cause == "cancelled"


def test_slurm_and_its_time_limit() -> None:
    line = "slurmstepd: error: *** STEP 6.0 ON n1 CANCELLED AT 2026-11-26T05:00:00 DUE TO TIME LIMIT ***"
    sign = Scanner(None, now_ns=ns(0)).feed(line, ns(-2))
    assert sign is not None
    ranks = [rank.exits(signal="SIGTERM", at=-0.5) for rank in four()]
    judged = judge([node(*ranks, agent=AgentEvidence(pid=900, alive=False, signs=(sign,)))])
    assert judged.verdict.cause == "cancelled"
    assert "time limit" in judged.verdict.line


def test_a_launcher_that_was_killed_and_left_its_ranks() -> None:
    ranks = [rank.looks() for rank in four()]
    agent = AgentEvidence(pid=900, alive=False, exit=Exit(t_ns=ns(-5), signal="SIGKILL"))
    judged = judge([node(*ranks, agent=agent)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((), "killed", True)
    assert "ranks 0–3 live on without it" in judged.verdict.line


# --- others ---

TAKEN = (
    "[rank0]: Traceback (most recent call last):\n"
    '[rank0]:   File "/workspace/train.py", line 12, in <module>\n'
    "[rank0]: torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. "
    "port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
)


def test_a_port_that_is_taken() -> None:
    ranks = four()
    ranks[0].says(TAKEN, at=-1.2).exits(1, at=-1.0)
    for rank in (1, 2, 3):
        ranks[rank].exits(signal="SIGTERM", at=-0.6)
    judged = judge([node(*ranks, agent=closing(-0.8))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((0,), "port-taken", True)
    assert "port 29500" in judged.verdict.line


def test_a_port_that_is_taken_before_there_are_ranks() -> None:
    sign = Scanner(None, now_ns=ns(0)).feed(TAKEN.splitlines()[-1].removeprefix("[rank0]: "), ns(-1))
    assert sign is not None
    judged = judge([node(agent=AgentEvidence(pid=900, alive=False, signs=(sign,)))])
    assert (judged.verdict.cause, judged.verdict.sure) == ("port-taken", True)


XID = {"t_ns": ns(-1.2), "kind": "xid", "source": "nvml"}


@pytest.mark.parametrize(("code", "cause"), [(79, "gpu-fault"), (94, "gpu-fault"), (31, "raised"), (45, "raised")])
def test_hardware_outranks_the_log_and_what_a_program_brings_about_does_not(code: int, cause: str) -> None:
    ranks = [RankSeen(rank, gpu=f"GPU-{rank}") for rank in range(4)]
    ranks[1].says(RAISED.format(1).replace("ValueError: bad batch", "RuntimeError: CUDA error: unknown error"), at=-1.1)
    ranks[1].exits(1, at=-0.9)
    for rank in (0, 2, 3):
        victim(ranks[rank])
    event = KernelEvent(**XID, code=code, gpu_uuid="GPU-1", text=f"NVRM: Xid (PCI:0000:60:00): {code}, pid=1001")
    judged = judge([node(*ranks, agent=closing(-0.5), kernel=(event,))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((1,), cause, True)
    assert any(f"XID {code}" in piece.text for piece in judged.evidence)


def test_an_xid_of_somebody_elses_gpu_or_of_before_is_not_the_jobs() -> None:
    ranks = [RankSeen(rank, gpu=f"GPU-{rank}") for rank in range(4)]
    ranks[2].exits(signal="SIGSEGV", at=-1.0)
    for rank in (0, 1, 3):
        victim(ranks[rank])
    before = KernelEvent(t_ns=ns(-200), kind="xid", source="kmsg", code=79, gpu_uuid="GPU-1")
    foreign = KernelEvent(**XID, code=79, gpu_uuid="GPU-9")
    judged = judge([node(*ranks, agent=closing(), kernel=(before, foreign))])
    assert (judged.verdict.ranks, judged.verdict.cause) == ((2,), "segfault")


def test_all_ranks_that_only_waited_are_no_crash() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        victim(ranks[rank], text=TIMED_OUT)
    ranks[2].exits(signal="SIGTERM", at=-0.2)
    judged = judge([node(*ranks, agent=closing(-0.3))])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((2,), "hung-in-collective", False)


def test_a_job_that_ended_well() -> None:
    ranks = [rank.exits(0, at=-1.0 + 0.01 * rank.rank) for rank in four()]
    judged = judge([node(*ranks)])
    assert (judged.verdict.ranks, judged.verdict.cause, judged.verdict.sure) == ((), "none", True)
    assert judged.verdict.line == "4 ranks ended with exit code 0"
    assert {state for state, _ in judged.states.values()} == {"ended"}


def test_the_newest_attempt_counts() -> None:
    old = [rank.exits(signal="SIGSEGV", at=-50.0) for rank in four()]
    new = four()
    for rank in new:
        identity = msgspec.structs.replace(rank.evidence.identity, attempt=1, pid=2000 + rank.rank)
        rank.evidence = msgspec.structs.replace(rank.evidence, identity=identity)
        rank.exits(0, at=-1.0)
    assert judge([node(*old, *new)]).verdict.cause == "none"


# --- before they have ended ---


def test_what_a_living_rank_raised_is_named_at_once_and_is_not_sure() -> None:
    ranks = four()
    ranks[2].says(RAISED.format(2), at=-0.3)
    told = judge([node(*ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "raised", False)
    assert told.line.startswith("rank 2 on node1 raised ValueError: bad batch at train.py:41 (load)")
    for rank in (0, 3):
        ranks[rank].says(CLOSED.format(rank), at=-0.1)
    assert judge([node(*ranks)]).verdict.ranks == (2,)


def test_what_a_rank_has_caught_is_no_fault() -> None:
    long_ago, went_on = four(), four()
    long_ago[2].says(RAISED.format(2), at=-60)
    assert judge([node(*long_ago)]).verdict.ranks == ()
    went_on[2].says(RAISED.format(2), at=-8).tells(moved_ns=99 * 10**9)
    assert judge([node(*went_on, m_ns=100 * 10**9)]).verdict.ranks == ()
    went_on[2].tells(moved_ns=92 * 10**9)
    assert judge([node(*went_on, m_ns=100 * 10**9)]).verdict.ranks == (2,)


def test_a_rank_that_left_is_sure_as_soon_as_living_peers_complain() -> None:
    ranks = four()
    ranks[2].exits(0, at=-0.2)
    for rank in (0, 1):
        ranks[rank].says(CLOSED.format(rank), at=-0.4)
    told = judge([node(*ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "returned-early", True)
    assert "while ranks 0 and 1 still waited for it" in told.line


def test_living_ranks_that_lost_a_peer_are_not_called_healthy() -> None:
    ranks = four()
    ranks[1].says(CLOSED.format(1), at=-0.4)
    told = judge([node(*ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((), "unknown", False)
    assert "rank 1 lost a peer: RuntimeError" in told.line


def test_a_healthy_job_that_was_cancelled_between_two_steps_did_not_hang() -> None:
    """A look caught it in the middle of a step, and a person ended it then."""
    ranks = four()
    for rank in ranks:
        calls = [(seq, "all_reduce", 8) for seq in range(1, 5 if rank.rank == 2 else 6)]
        rank.flies(*twice(ops(*calls, completed=4, age=3.0))).exits(signal="SIGTERM", at=-0.3)
    told = judge([node(*ranks, agent=closing(-0.5, alive=False, stop_asked_ns=ns(-0.6)))]).verdict
    assert (told.ranks, told.cause) == ((), "cancelled")


def test_a_hang_that_a_person_ended_was_cancelled_and_what_held_it_is_kept() -> None:
    ranks = four()
    for rank in ranks:
        calls = [(seq, "all_reduce", 8) for seq in range(1, 5 if rank.rank == 2 else 6)]
        rank.flies(*twice(ops(*calls, completed=4, age=45.0))).exits(signal="SIGTERM", at=-0.3)
    judged = judge([node(*ranks, agent=closing(-0.5, alive=False, stop_asked_ns=ns(-0.6)))])
    told = judged.verdict
    assert (told.ranks, told.cause, told.sure) == ((), "cancelled", True)
    assert judged.evidence[0].text.startswith("before it was stopped: no progress for 45 s: ranks 0, 1 and 3 wait in")
    assert judged.states[0] == ("killed", "SIGTERM, told to end")


def test_a_kill_is_sure_once_the_kernel_had_its_time_to_tell() -> None:
    ranks = four()
    early = judge([with_victims([r.exits(signal="SIGKILL") if r.rank == 2 else r for r in ranks], 2)])
    assert early.verdict.sure
    ranks[2].exits(signal="SIGKILL", settled=False, cgroup=True)
    waits = judge([with_victims(ranks, 2)]).verdict
    assert (waits.ranks, waits.cause, waits.sure) == ((2,), "killed", False)
    assert waits.doubt == "the kernel's log and its cgroup may yet tell of an OOM kill"
    ranks[2].exits(signal="SIGKILL", cgroup=False)
    told = judge([with_victims(ranks, 2)]).verdict
    assert told.sure
    assert told.line.endswith("was killed: SIGKILL (its cgroup could not be read: it may be an OOM kill)")


ASSERTED = (
    "/pytorch/aten/src/ATen/native/cuda/IndexKernelUtils.cu:16: vectorized_gather_kernel: block: [0,0,0], "
    "thread: [1,0,0] Assertion `ind >=0 && ind < ind_dim_size && "
    '"vectorized gather kernel index out of bounds"` failed.'
)
WATCHDOG_DIED = (
    "terminate called after throwing an instance of 'c10::DistBackendError'\n"
    "  what():  [PG ID 0 PG GUID 0(default_pg) Rank 1] Process group watchdog thread terminated with exception: "
    "CUDA error: device-side assert triggered"
)


def test_a_device_side_assert_is_told_by_the_kernels_own_line() -> None:
    ranks = [RankSeen(0).exits(signal="SIGTERM", at=-0.5, asked="SIGTERM"), RankSeen(1).says(ASSERTED, WATCHDOG_DIED)]
    ranks[1].exits(signal="SIGABRT", at=-1.0)
    judged = judge([node(*ranks, agent=closing(-0.7))])
    assert judged.verdict.line == (
        "rank 1 on node1 hit a CUDA device-side assert: Assertion `vectorized gather kernel index out of bounds` "
        "failed in IndexKernelUtils.cu:16"
    )
    assert any("CUDA_LAUNCH_BLOCKING=1" in piece.text for piece in judged.evidence)
    assert judged.states[0] == ("killed", "SIGTERM from its launcher")
    ranks[1].stands(ASLEEP)
    placed = judge([node(*ranks, agent=closing(-0.7))]).verdict
    assert placed.line.endswith("IndexKernelUtils.cu:16, reported at train.py:41 (load_batch)")
    assert placed.site == "train.py:41 (load_batch)"
