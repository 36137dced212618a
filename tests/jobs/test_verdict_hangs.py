"""Verdicts on jobs that stand: who is missing where, what it does meanwhile, and when that is sure."""

from __future__ import annotations

import msgspec
import pytest
from evidence_builder import (
    ASLEEP,
    IN_ALL_REDUCE,
    IN_COMPILE,
    IN_INIT,
    IN_LOADER,
    IN_SAVE,
    SECOND,
    TIMED_OUT,
    TORCH,
    RankSeen,
    closing,
    four,
    frame,
    node,
    ops,
    ras,
    twice,
    victim,
)

from torchprobes.jobs.verdict import Judged, judge
from torchprobes.rank_evidence import AgentEvidence, Flight, NodeEvidence

CAME = ((3, "all_reduce", 1024), (4, "all_reduce", 1024))
ALL = (*CAME, (5, "all_reduce", 1024))


def hung(guilty: RankSeen, age: float = 5.0, **waiters: object) -> list[RankSeen]:
    """Four ranks with recorders, of which all but one wait in number 5."""
    ranks = four()
    ranks[guilty.rank] = guilty
    for rank in ranks:
        missing = rank is guilty
        flight = ops(*(CAME if missing else ALL), completed=4, age=age)
        rank.flies(*twice(flight))
        if not missing:
            rank.stands(IN_ALL_REDUCE).looks()
    return ranks


def verdict(*ranks: RankSeen, **fields: object) -> Judged:
    return judge([node(*ranks, **fields)])


# --- one rank is missing ---


def test_a_hang_is_named_with_the_call_site_and_is_not_sure_at_first() -> None:
    judged = verdict(*hung(RankSeen(2).stands(ASLEEP).looks(), age=14.0))
    told = judged.verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-in-collective", False)
    assert told.line == (
        "no progress for 14 s: ranks 0, 1 and 3 wait in all_reduce #5 for rank 2 on node1, which is at "
        "train.py:41 (load_batch), using no CPU; not sure: it may only be slow (sure from 90 s on)"
    )
    assert told.doubt == "it may only be slow (sure from 90 s on)"
    assert judged.states[2] == ("hung", "at train.py:41 (load_batch)")
    assert judged.states[0][0] == "waiting"
    assert [group.ranks for group in judged.stacks] == [(2,), (0, 1, 3)], "the odd group comes first"


def test_a_long_silence_of_an_idle_rank_is_sure() -> None:
    told = verdict(*hung(RankSeen(2).stands(ASLEEP).looks(), age=95.0)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-in-collective", True)
    minute = verdict(*hung(RankSeen(2).stands(ASLEEP).looks(), age=65.0)).verdict
    assert (minute.ranks, minute.sure) == ((2,), False), "a sound job pauses for a minute"


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(RankSeen(2).stands(ASLEEP).looks(cpu=(10.0, 12.4)), id="computing"),
        pytest.param(RankSeen(2).stands(IN_SAVE).looks(bytes_=(0, 10**9)), id="checkpoint"),
        pytest.param(RankSeen(2).stands(IN_COMPILE).looks(cpu=(10.0, 12.4)), id="compiling"),
        pytest.param(RankSeen(2).stands(ASLEEP).looks().on_gpu(80, 600), id="evaluation on its GPU"),
        pytest.param(RankSeen(2).stands(IN_LOADER).looks(cpu=(10.0, 12.4)), id="slow loader"),
        pytest.param(RankSeen(2).stands(ASLEEP).looks(cpu=(None, None)), id="CPU unread"),
        pytest.param(RankSeen(2).stands(ASLEEP), id="processes unread"),
        pytest.param(RankSeen(2).stands(ASLEEP).looks(bytes_=(None, None)), id="bytes unread"),
    ],
)
def test_a_slow_rank_is_never_a_sure_hang(slow: RankSeen) -> None:
    told = verdict(*hung(slow, age=500.0)).verdict
    assert told.ranks == (2,)
    assert not told.sure
    assert told.cause in ("hung-in-collective", "compiling", "dataloader-stuck")


def test_a_loader_whose_workers_do_nothing_for_long() -> None:
    told = verdict(*hung(RankSeen(1).stands(IN_LOADER).looks(), age=99.0)).verdict
    assert (told.ranks, told.cause, told.sure) == ((1,), "dataloader-stuck", True)
    assert "waits for the workers of its DataLoader" in told.line


def test_one_look_is_never_sure() -> None:
    ranks = hung(RankSeen(2).stands(ASLEEP).looks(), age=500.0)
    for rank in ranks:
        evidence = rank.evidence
        rank.evidence = msgspec.structs.replace(
            evidence, flights=evidence.flights[-1:], stacks=evidence.stacks[-1:], processes=evidence.processes[-1:]
        )
    told = verdict(*ranks, looks_s=0.0).verdict
    assert (told.ranks, told.sure, told.doubt) == ((2,), False, "one look only so far")


@pytest.mark.parametrize(
    ("age", "patience_s", "ranks"), [(3.0, 10.0, ()), (9.0, 10.0, ()), (11.0, 10.0, (2,)), (3.0, 0.0, (2,))]
)
def test_a_watcher_is_patient_until_somebody_asks(age: float, patience_s: float, ranks: tuple[int, ...]) -> None:
    judged = verdict(*hung(RankSeen(2).stands(ASLEEP).looks(), age=age), patience_s=patience_s)
    assert judged.verdict.ranks == ranks
    assert ("hung" in {state for state, _ in judged.states.values()}) is bool(ranks)


def test_patience_ends_where_a_rank_has_ended_while_others_wait() -> None:
    ranks = [RankSeen(0).exits(0, at=-3.0), RankSeen(1).looks().stands(IN_ALL_REDUCE)]
    ranks[0].flies(*twice(ops((1, "all_reduce", 8), completed=1, ranks=(0, 1))))
    waits = ops((1, "all_reduce", 8), (2, "all_reduce", 8), completed=1, ranks=(0, 1), age=3.0)
    told = verdict(ranks[0], ranks[1].flies(*twice(waits)), patience_s=10.0).verdict
    assert (told.ranks, told.cause) == ((0,), "returned-early")


def test_a_watcher_of_somebody_elses_job_says_for_how_long_it_stood() -> None:
    ranks = [rank.stands(IN_ALL_REDUCE).looks() for rank in four()]
    ranks[2].stands(ASLEEP)
    calm = verdict(*ranks, patience_s=10.0)
    assert calm.verdict.ranks == ()
    told = verdict(*ranks, patience_s=10.0, still_s=17.0).verdict
    assert (told.ranks, told.sure) == ((2,), False)
    assert told.line.startswith("no progress for 17 s: ranks 0, 1 and 3 wait in all_reduce for rank 2")


IN_BACKWARD = (
    frame("_engine_run_backward", f"{TORCH}/autograd/graph.py", 979),
    frame("backward", f"{TORCH}/_tensor.py", 623),
    frame("step", line=53),
)


def test_ddp_waits_in_backward_where_it_uses_nothing() -> None:
    """One look at somebody else's job: DDP's collectives are called from C++, and no recorder can be read."""

    def looked(cpu_s: float) -> Judged:
        ranks = [rank.stands(IN_BACKWARD).looks(cpu=(10.0, 10.0 + cpu_s)) for rank in four()]
        ranks[2].stands(ASLEEP)
        for rank in ranks:
            rank.evidence = msgspec.structs.replace(rank.evidence, stacks=rank.evidence.stacks[-1:])
        return verdict(*ranks, looks_s=1.0)

    told = looked(0.0).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-in-collective", False)
    assert "ranks 0, 1 and 3 wait in backward for rank 2 on node1, which is at train.py:41 (load_batch)" in told.line
    assert looked(0.9).verdict.ranks == (), "who computes there waits for nobody"


def test_uninterruptible_sleep_in_a_checkpoint_is_no_alarm_at_once() -> None:
    ranks = hung(RankSeen(2).stands(IN_SAVE).looks("D", wchan="nfs_wait_on_request"), age=3.0)
    assert verdict(*ranks, patience_s=10.0).verdict.cause == "none"


def test_a_group_is_named_only_where_a_rank_has_more_than_one() -> None:
    told = verdict(*hung(RankSeen(2).stands(ASLEEP).looks())).verdict
    assert "group" not in told.line
    ranks = hung(RankSeen(2).stands(ASLEEP).looks())
    for rank in ranks:
        both = [
            msgspec.structs.replace(flight, groups=(*flight.groups, ops(completed=0, group="7").groups[0]))
            for flight in rank.evidence.flights
        ]
        rank.flies(*both)
    assert "all_reduce #5 of group 0 for rank 2" in verdict(*ranks).verdict.line


def test_looks_that_differ_are_no_hang() -> None:
    ranks = four()
    for rank in ranks:
        before, after = ops(*CAME, completed=4, age=3.0), ops(*ALL, completed=4, age=0.1)
        rank.flies(msgspec.structs.replace(before, t_ns=before.t_ns - SECOND), after)
        rank.stands(ASLEEP, IN_ALL_REDUCE).looks(cpu=(10.0, 11.0))
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause) == ((), "none")


def test_long_steps_need_a_longer_silence() -> None:
    ranks = hung(RankSeen(2).stands(ASLEEP).looks(), age=70.0)
    for rank in ranks:
        rank.tells(longest_step_s=30.0)
    told = verdict(*ranks).verdict
    assert not told.sure
    assert told.cause == "none"
    assert "steps took up to 30 s" in told.line


@pytest.mark.parametrize(
    ("age", "longest", "sure"), [(80, 0.1, False), (100, 0.1, True), (100, 9.0, False), (190, 9.0, True)]
)
def test_a_timeout_of_half_an_hour_is_not_waited_for(age: float, longest: float, sure: bool) -> None:
    ranks = four()
    ranks[2].stands(ASLEEP).looks()
    for rank in ranks:
        flight = ops(*(CAME if rank.rank == 2 else ALL), completed=4, age=age, timeout_ms=1_800_000)
        rank.flies(*twice(flight)).tells(longest_step_s=longest)
    assert verdict(*ranks).verdict.sure is sure


def test_a_stopped_rank_is_sure_at_once() -> None:
    told = verdict(*hung(RankSeen(2).stands(ASLEEP).looks("T"), age=3.0)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "stopped", True)
    assert "SIGSTOP" in told.line


def test_a_stopped_rank_whose_peers_ran_into_their_timeout() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        victim(ranks[rank], text=TIMED_OUT)
    ranks[2].looks("T")
    told = verdict(*ranks, agent=closing()).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "stopped", True)


def test_a_debugger_and_a_frozen_cgroup() -> None:
    held = verdict(*hung(RankSeen(2).looks("t", tracer_pid=77))).verdict
    assert (held.cause, held.ranks) == ("stopped", (2,))
    assert "a debugger holds it (pid 77)" in held.line
    frozen = verdict(*hung(RankSeen(2).looks("S", frozen=True))).verdict
    assert (frozen.cause, frozen.ranks) == ("stopped", (2,))


def test_stopped_once_is_not_sure() -> None:
    told = verdict(*hung(RankSeen(2).looks(states=("S", "T")))).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "stopped", False)


def test_uninterruptible_sleep() -> None:
    told = verdict(*hung(RankSeen(2).looks("D", wchan="nfs_wait_on_request"))).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "blocked-io", True)
    assert "nfs_wait_on_request" in told.line


def test_waking_between_two_sleeps_is_ordinary_input() -> None:
    ranks = hung(RankSeen(2).stands(ASLEEP).looks("D"))
    first, last = ranks[2].evidence.processes
    woke = msgspec.structs.replace(last, switches=900)
    ranks[2].evidence = msgspec.structs.replace(ranks[2].evidence, processes=(first, woke))
    told = verdict(*ranks).verdict
    assert (told.ranks, told.sure) == ((2,), False)
    assert told.cause == "hung-in-collective"


def test_who_waits_in_its_turn_is_no_culprit() -> None:
    """Rank 3 has not come to group 0, for it waits in group 1 for rank 2."""
    ranks = four()
    for rank in (0, 1):
        ranks[rank].flies(*twice(ops(*ALL, completed=4, age=9.0)))
    pair = (2, 3)
    inner = [ops((7, "all_reduce", 8), completed=7, group="1", ranks=pair),
             ops((7, "all_reduce", 8), (8, "all_reduce", 8), completed=7, group="1", ranks=pair)]  # fmt: skip
    outer = ops(*CAME, completed=4)
    for rank, inside in zip(pair, inner, strict=True):
        both = msgspec.structs.replace(
            outer, groups=(*outer.groups, *inside.groups), entries=(*outer.entries, *inside.entries)
        )
        ranks[rank].flies(*twice(both))
    ranks[2].stands(ASLEEP).looks()
    told = verdict(*ranks).verdict
    assert told.ranks == (2,), told


def test_ranks_that_wait_for_each_other() -> None:
    """Rank 0 calls in group 1 first, rank 1 in group 2: nothing can end that."""
    pair, ranks = (0, 1), [RankSeen(0), RankSeen(1)]
    for rank in ranks:
        mine, other = ("1", "2") if rank.rank == 0 else ("2", "1")
        a = ops((1, "all_reduce", 8), completed=0, group=mine, ranks=pair)
        b = ops(completed=0, group=other, ranks=pair)
        both = msgspec.structs.replace(
            a, groups=(*a.groups, msgspec.structs.replace(b.groups[0], enqueued=0)), entries=a.entries
        )
        rank.flies(*twice(both)).stands(IN_ALL_REDUCE).looks()
    told = verdict(*ranks).verdict
    assert (set(told.ranks), told.cause, told.sure) == ({0, 1}, "wrong-order", True), told


def test_a_rank_of_which_nothing_is_recorded_is_the_one_that_is_asked_about() -> None:
    ranks = hung(RankSeen(2).stands(ASLEEP).looks(), age=9.0)
    ranks[2].flies()
    told = verdict(*ranks).verdict
    assert told.ranks == (2,)
    assert not told.sure


# --- before the process group is there ---

WAITED = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 12, in <module>\n'
    "[rank{0}]: torch.distributed.DistStoreError: wait timeout after 15000ms, keys: /default_pg/0//cpu//0/2"
)


def test_hung_before_init_by_stacks() -> None:
    ranks = [rank.stands(IN_INIT).looks() for rank in four()]
    ranks[2].stands(ASLEEP)
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-before-init", False)
    assert "train.py:41" in told.line


def test_hung_before_init_by_the_keys_that_peers_waited_for() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        victim(ranks[rank], text=WAITED)
    ranks[2].exits(signal="SIGTERM", at=-0.2)
    told = verdict(*ranks, agent=closing(-0.3)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-before-init", True), told


def test_peers_that_name_different_ranks_are_not_sure() -> None:
    ranks = four()
    victim(ranks[0], text=WAITED)
    victim(ranks[3], text=WAITED.replace("//0/2", "//0/1"))
    for rank in (1, 2):
        ranks[rank].exits(signal="SIGTERM", at=-0.2)
    told = verdict(*ranks, agent=closing(-0.3)).verdict
    assert (set(told.ranks), told.cause, told.sure) == ({1, 2}, "hung-before-init", False)


def test_a_rank_that_was_never_started() -> None:
    ranks = [rank.stands(IN_INIT).looks() for rank in four()[:3]]
    told = verdict(*ranks, world=4).verdict
    assert (told.ranks, told.cause, told.sure) == ((3,), "hung-before-init", False)
    assert "of which no process was found" in told.line


BARRIER = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 52, in step\n'
    "[rank{0}]: RuntimeError: Ranks 2 failed to pass monitoredBarrier in 15000 ms"
)


def test_a_monitored_barrier_names_the_missing_rank() -> None:
    ranks = four()
    victim(ranks[0], text=BARRIER)
    for rank in (1, 3):
        victim(ranks[rank], text=TIMED_OUT)
    ranks[2].exits(signal="SIGTERM", at=-0.2)
    told = verdict(*ranks, agent=closing(-0.3)).verdict
    assert (told.ranks, told.cause) == ((2,), "hung-in-collective")


# --- order and shape ---


def mismatch(odd: tuple[int, str, int], rank: int = 2, of: int = 4) -> list[RankSeen]:
    ranks = [RankSeen(number) for number in range(of)]
    for one in ranks:
        entries = (*CAME, odd if one.rank == rank else (5, "all_reduce", 1024))
        one.flies(*twice(ops(*entries, completed=4, ranks=tuple(range(of))))).looks().stands(IN_ALL_REDUCE)
    return ranks


def test_another_operation_at_the_same_number() -> None:
    told = verdict(*mismatch((5, "broadcast", 1024))).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-order", True)
    assert told.line == (
        "rank 2 on node1 calls broadcast of 1024 Float at train.py:52 (step), where ranks 0, 1 and 3 call "
        "all_reduce of 1024 Float (collective #5)"
    )
    assert told.site == "train.py:52 (step)"


def test_another_size_at_the_same_number() -> None:
    told = verdict(*mismatch((5, "all_reduce", 512))).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-shape", True)
    assert "512 Float" in told.line


def test_of_two_ranks_nobody_can_tell_which() -> None:
    told = verdict(*mismatch((5, "all_reduce", 512), rank=1, of=2)).verdict
    assert (told.ranks, told.cause, told.sure) == ((0, 1), "wrong-shape", False)
    assert "1024" in told.line
    assert "512" in told.line


def test_equal_numbers_of_elements_in_another_form_are_no_fault() -> None:
    ranks = mismatch((5, "all_reduce", 1024))
    last = ranks[2].evidence.flights[-1]
    entries = (*last.entries[:-1], msgspec.structs.replace(last.entries[-1], input_sizes=((32, 32),)))
    ranks[2].flies(*twice(msgspec.structs.replace(last, entries=entries)))
    assert verdict(*ranks).verdict.cause != "wrong-shape"


def test_operations_that_may_differ_in_size() -> None:
    ranks = four()
    for rank in ranks:
        rank.flies(*twice(ops(*CAME, (5, "all_to_all", 100 * rank.rank), completed=4)))
    assert verdict(*ranks).verdict.cause != "wrong-shape"


def test_groups_that_were_split_share_a_name_and_are_not_compared() -> None:
    ranks = four()
    for rank in ranks:
        pair = (0, 1) if rank.rank < 2 else (2, 3)
        op = "all_reduce" if rank.rank < 2 else "broadcast"
        flight = ops((1, op, 8), completed=1, group="1", ranks=pair)
        rank.flies(*twice(flight)).looks(cpu=(1.0, 3.0))
    assert verdict(*ranks).verdict.cause not in ("wrong-order", "wrong-shape")


PRINT = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 52, in step\n'
    "[rank{0}]: RuntimeError: Detected mismatch between collectives on ranks. Rank {0} is running collective: "
    "CollectiveFingerPrint(SequenceNumber=3, OpType={1}, TensorShape=[1024], TensorDtypes=Float), but Rank {2} is "
    "running collective: CollectiveFingerPrint(SequenceNumber=3, OpType={3}, TensorShape=[1024], TensorDtypes=Float)."
)


def test_torchs_own_comparison_is_a_vote_of_all() -> None:
    ranks = four()
    for rank in (0, 1, 3):
        victim(ranks[rank], text=PRINT.format(rank, "ALLREDUCE", 2, "BROADCAST").replace("{0}", str(rank)))
    victim(ranks[2], text=PRINT.format(2, "BROADCAST", 0, "ALLREDUCE"))
    told = verdict(*ranks, agent=closing(-0.3)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-order", True), told
    assert "calls broadcast" in told.line


ENFORCE = (
    "terminate called after throwing an instance of 'gloo::EnforceNotMet'\n"
    "  what():  [enforce fail at ../third_party/gloo/gloo/transport/tcp/pair.cc:446] op.preamble.length <= op.nbytes. "
    "1024 vs 512. This is likely a distributed collective mismatch"
)


def test_gloos_abort_alone_does_not_say_whose_tensor_is_wrong() -> None:
    ranks = four()
    ranks[3].says(ENFORCE).exits(signal="SIGABRT", at=-1.0)
    for rank in (0, 1, 2):
        victim(ranks[rank])
    told = verdict(*ranks, agent=closing(-0.8)).verdict
    assert (told.cause, told.sure) == ("wrong-shape", False)
    flights = mismatch((5, "all_reduce", 256), rank=2)
    for rank, seen in zip(ranks, flights, strict=True):
        rank.flies(*seen.evidence.flights)
    told = verdict(*ranks, agent=closing(-0.8)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-shape", True), "the recorders tell"


# --- NCCL ---


def test_ras_counts_name_the_rank_that_launched_less() -> None:
    counts = {0: {"AllReduce": 3403}, 1: {"AllReduce": 3402}}
    ranks = [RankSeen(0).looks(), RankSeen(1).looks()]
    told = verdict(*ranks, ras=(ras(counts, at=-2.0), ras(counts))).verdict
    assert (told.ranks, told.cause, told.sure) == ((1,), "hung-in-collective", False)
    assert "rank 0 waits in all_reduce (launched 3403 times) for rank 1" in told.line


def test_ras_counts_that_move_are_a_job_at_work() -> None:
    ranks = [RankSeen(0).looks(cpu=(1.0, 3.0)), RankSeen(1).looks(cpu=(1.0, 3.0))]
    looks = (
        ras({0: {"AllReduce": 10}, 1: {"AllReduce": 9}}, at=-2.0),
        ras({0: {"AllReduce": 90}, 1: {"AllReduce": 90}}),
    )
    assert verdict(*ranks, ras=looks).verdict.cause == "none"


def test_ras_counts_that_cross_are_another_order() -> None:
    counts = {rank: {"AllReduce": 3, "Broadcast": 2} for rank in range(4)} | {2: {"AllReduce": 2, "Broadcast": 3}}
    ranks = [rank.looks() for rank in four()]
    told = verdict(*ranks, ras=(ras(counts, at=-2.0), ras(counts))).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-order", True)
    assert "launched broadcast where the others launched all_reduce" in told.line


def test_a_gpu_that_is_busy_and_cold_waits() -> None:
    ranks = [rank.looks().without("py-spy").on_gpu(100, 130) for rank in four()]
    ranks[2].on_gpu(0, 90)
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "hung-in-collective", False)
    assert "GPU busy, and cold" in told.line


@pytest.mark.parametrize(("seconds", "ranks"), [(3, ()), (12, (2,))])
def test_a_watcher_is_patient_with_cold_gpus_too(seconds: int, ranks: tuple[int, ...]) -> None:
    seen = [rank.looks().tells(moved_ns=50 * SECOND).on_gpu(100, 130) for rank in four()]
    seen[2].on_gpu(0, 90)
    assert verdict(*seen, m_ns=(50 + seconds) * SECOND, patience_s=10.0).verdict.ranks == ranks


def test_without_any_stack_cpu_still_says_something() -> None:
    """Three ranks rest, one computes, and all that was read of them is the same twice."""
    ranks = [rank.looks().tells(moved_ns=50 * SECOND) for rank in four()]
    ranks[1].looks(cpu=(10.0, 12.4))
    told = verdict(*ranks, m_ns=65 * SECOND).verdict
    assert (told.ranks, told.sure) == ((1,), False)
    assert "no progress for 15 s" in told.line
    assert "which uses CPU" in told.line


# --- one leaves, another waits ---

WATCHDOG = (
    "[rank1]:[E1123 06:11:55.611346967 ProcessGroupNCCL.cpp:689] [Rank 1] Watchdog caught collective operation "
    "timeout: WorkNCCL(SeqNum=2, OpType=ALLREDUCE, NumelIn=2048, NumelOut=2048, Timeout(ms)=20000) ran for 20004 ms."
)


def left(flights: dict[int, Flight], **fields: object) -> Judged:
    ranks = [RankSeen(0).exits(0, at=-30.0), RankSeen(1).looks().says(WATCHDOG)]
    for rank, flight in flights.items():
        ranks[rank].flies(*twice(flight))
    return verdict(*ranks, **fields)


def test_a_rank_that_left_and_one_that_waits_is_not_sure_without_a_record() -> None:
    told = left({}).verdict
    assert (told.ranks, told.cause, told.sure) == ((0,), "returned-early", False)
    assert "another size" in told.line


def test_a_record_tells_leaving_early_from_another_size() -> None:
    two = (0, 1)
    first, second = (1, "all_reduce", 1024), (2, "all_reduce", 1024)
    early = left({0: ops(first, completed=1, ranks=two)}).verdict
    assert (early.ranks, early.cause, early.sure) == ((0,), "returned-early", True)
    came = left({0: ops(first, second, completed=2, ranks=two)}).verdict
    assert (came.ranks, came.cause, came.sure) == ((0, 1), "wrong-shape", False)
    larger = (2, "all_reduce", 2048)
    both = left({0: ops(first, second, completed=2, ranks=two), 1: ops(first, larger, completed=1, ranks=two)}).verdict
    assert (both.ranks, both.cause, both.sure) == ((0, 1), "wrong-shape", False)
    assert "1024 Float" in both.line
    assert "2048 Float" in both.line


# --- nothing is wrong, or nothing is known ---


def moving(ranks: list[RankSeen]) -> list[RankSeen]:
    for rank in ranks:
        before, after = ops(*CAME, completed=4, age=1.0), ops(*ALL, completed=5, age=1.0)
        rank.flies(msgspec.structs.replace(before, t_ns=before.t_ns - 2 * SECOND), after).looks(cpu=(1.0, 3.0))
    return ranks


def test_a_healthy_job_says_what_all_do() -> None:
    ranks = moving(four())
    for rank in ranks:
        rank.tells(steps=90, step_s=0.476)
    judged = verdict(*ranks)
    assert (judged.verdict.cause, judged.verdict.sure) == ("none", True)
    assert judged.verdict.line == "4 ranks stepping, 2.1 steps/s, nobody late"
    assert {state for state, _ in judged.states.values()} == {"stepping"}


def test_all_compile() -> None:
    ranks = [rank.stands(IN_COMPILE).looks(cpu=(1.0, 3.4)) for rank in four()]
    judged = verdict(*ranks)
    assert (judged.verdict.ranks, judged.verdict.cause) == ((), "none")
    assert "compiling" in judged.verdict.line
    assert {state for state, _ in judged.states.values()} == {"compiling"}


def test_all_came_and_it_does_not_end() -> None:
    ranks = [rank.stands(IN_ALL_REDUCE).looks().flies(*twice(ops(*ALL, completed=4, age=40.0))) for rank in four()]
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause, told.sure) == ((), "hung-in-collective", False)
    assert "all 4 ranks have come to all_reduce #5" in told.line


def test_nothing_at_all_is_said_with_what_is_denied() -> None:
    ranks = [rank.without("py-spy", "log", "kernel") for rank in four()]
    judged = verdict(*ranks, looks_s=0.0)
    assert (judged.verdict.cause, judged.verdict.sure) == ("unknown", False)
    assert "denied: kernel, log, py-spy" in judged.verdict.line
    assert not judged.evidence, "the rows have it"


def test_no_node_and_no_rank() -> None:
    assert judge([]).verdict.cause == "unknown"
    alive = AgentEvidence(pid=9, alive=True)
    assert verdict(agent=alive).verdict.line == "starting: no rank yet"
    assert verdict(agent=msgspec.structs.replace(alive, alive=False)).verdict.line == "no rank of this job was found"
    silent = NodeEvidence(host="node7", t_ns=1, state="no answer", why="refused")
    judged = judge([silent])
    assert judged.verdict.line
    assert (judged.verdict.cause, judged.verdict.sure) == ("node-lost", False)


def test_a_node_in_silence_beside_ranks_that_wait() -> None:
    ranks = [rank.stands(IN_ALL_REDUCE).looks().flies(*twice(ops(*ALL, completed=4, age=40.0))) for rank in four()[:2]]
    silent = NodeEvidence(host="node7", t_ns=1, state="no answer", why="too late")
    judged = judge([node(*ranks, world=4), silent])
    assert (judged.verdict.ranks, judged.verdict.sure) == ((2, 3), False)
    assert judged.states[3][0] == "lost"
    assert any("node7" in piece.text for piece in judged.evidence)


def test_a_node_in_silence_does_not_make_a_healthy_job_sick() -> None:
    silent = NodeEvidence(host="node7", t_ns=1, state="no answer", why="too late")
    told = judge([node(*moving(four()), world=8), silent]).verdict
    assert told.cause == "none"
    assert not told.sure


# --- stragglers ---


def arriving(late_s: float, rank: int = 2, n: int = 100, step_s: float = 0.036, offset: float = 0.0) -> list[RankSeen]:
    ranks = moving(four())
    for one in ranks:
        flight = ops(*[(seq, "all_reduce", 8) for seq in range(1, n + 1)], completed=n)
        late = late_s if one.rank == rank else 0.0002 * (one.rank + 1)
        entries = tuple(
            msgspec.structs.replace(entry, created_ns=flight.t_ns + round((entry.seq * step_s + late) * SECOND))
            for entry in flight.entries
        )
        before = msgspec.structs.replace(flight, t_ns=flight.t_ns - SECOND, entries=entries[:-20])
        one.flies(before, msgspec.structs.replace(flight, entries=entries)).tells(steps=n, step_s=step_s)
    return ranks


def test_a_straggler_of_20_ms_in_36() -> None:
    told = verdict(*arriving(0.020)).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "straggler", True)
    assert "19.8 ms late" in told.line
    assert "last in 100% of 100" in told.line


@pytest.mark.parametrize(("late_s", "n"), [(0.0003, 100), (0.020, 30)])
def test_too_little_or_too_few_is_no_straggler(late_s: float, n: int) -> None:
    assert verdict(*arriving(late_s, n=n)).verdict.cause == "none"


def test_what_a_watcher_measured_is_enough() -> None:
    ranks = moving(four())
    for rank in ranks:
        late = rank.rank == 1
        rank.tells(step_s=0.1, steps=90, lag_s=0.021 if late else 0.0002, last_share=0.97 if late else 0.01,
                   lag_calls=300, lag_span_s=9.0)  # fmt: skip
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause, told.sure) == ((1,), "straggler", True)


def test_stacks_that_stand_in_other_calls_are_a_hint() -> None:
    broadcast = (frame("broadcast", f"{TORCH}/distributed/distributed_c10d.py", 2900), frame("step", line=55))
    ranks = [rank.stands(IN_ALL_REDUCE).looks() for rank in four()]
    ranks[2].stands(broadcast)
    told = verdict(*ranks).verdict
    assert (told.ranks, told.cause, told.sure) == ((2,), "wrong-order", False)
