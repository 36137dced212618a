"""Evidence at random, and at random taken away: a verdict never fails, is never empty, and never sure without proof."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from evidence_builder import (
    ASLEEP,
    CLOSED,
    IN_ALL_REDUCE,
    IN_COMPILE,
    IN_INIT,
    IN_LOADER,
    IN_SAVE,
    NOW,
    RAISED,
    TIMED_OUT,
    RankSeen,
    closing,
    node,
    ns,
    ops,
    ras,
    twice,
)

from torchprobes.distributed import RANK_STATES
from torchprobes.jobs.signs import Scanner
from torchprobes.jobs.verdict import judge
from torchprobes.rank_evidence import AgentEvidence, NodeEvidence
from torchprobes.samples import KernelEvent

RECORDINGS = Path(__file__).parent / "recordings"
ENDS = ("SIGTERM", "SIGKILL", "SIGSEGV", "SIGABRT", "SIGINT", None)
STACKS = (ASLEEP, IN_ALL_REDUCE, IN_COMPILE, IN_INIT, IN_LOADER, IN_SAVE, ())
TEXTS = (CLOSED, TIMED_OUT, RAISED, *(line.split("\t", 1)[1] for line in (RECORDINGS / "lines.tsv").open()))
HANGS = {"hung-before-init", "hung-in-collective", "dataloader-stuck", "compiling"}
CRASHES = {"exited", "killed", "oom", "segfault", "aborted", "returned-early"}


def a_rank(dice: random.Random, number: int) -> RankSeen:
    rank = RankSeen(number, host=dice.choice(("node1", "node2")), gpu=dice.choice(("", f"GPU-{number}")))
    if dice.random() < 0.4:
        signal = dice.choice(ENDS)
        code = None if signal else dice.choice((0, 0, 1, 1, 3, 137, None))
        rank.exits(code, at=dice.uniform(-3, 0), signal=signal, seen=dice.choice(("zombie", "agent", "gone")))
    for _ in range(dice.randrange(3)):
        rank.says(dice.choice(TEXTS).replace("{0}", str(number)), at=dice.choice((None, dice.uniform(-5, 0))))
    if dice.random() < 0.5:
        number_of = dice.randrange(1, 6)
        calls = [(seq, dice.choice(("all_reduce",) * 9 + ("broadcast",)), dice.choice((8, 8, 8, 16)))
                 for seq in range(1, number_of + 1)]  # fmt: skip
        flight = ops(*calls, completed=dice.randrange(-1, number_of + 1), age=dice.uniform(0, 200))
        rank.flies(*(twice(flight) if dice.random() < 0.5 else (flight,)))
    if dice.random() < 0.5:
        rank.stands(*dice.sample(STACKS, dice.choice((1, 2))))
    if dice.random() < 0.6:
        cpu = dice.choice(((1.0, 1.0), (1.0, 3.0), (None, None)))
        rank.looks(dice.choice("SSRDTtZ"), cpu=cpu, bytes_=dice.choice(((0, 0), (0, 10**8), (None, None))))
    if dice.random() < 0.3:
        rank.tells(steps=dice.choice((None, 0, 9)), step_s=dice.choice((None, 0.0, 0.1)),
                   enqueued=dice.choice((None, 3)), completed=dice.choice((None, 2, 3)),
                   moved_ns=dice.choice((0, 10**9, 50 * 10**9)),
                   lag_s=dice.choice((None, 0.02)), last_share=dice.choice((None, 0.9)))  # fmt: skip
    if dice.random() < 0.3:
        rank.on_gpu(dice.choice((0, 100)), dice.choice((90, 130, 600)))
    if dice.random() < 0.3:
        rank.without(*dice.sample(("log", "kernel", "py-spy", "process"), 2))  # type: ignore[arg-type]
    return rank


def a_node(dice: random.Random, host: str, ranks: list[RankSeen]) -> NodeEvidence:
    if dice.random() < 0.1:
        return NodeEvidence(host=host, t_ns=NOW, state="no answer", why=dice.choice(("", "refused", "too late")))
    agent = dice.choice((None, closing(dice.uniform(-2, 0)), AgentEvidence(pid=9, alive=True),
                         AgentEvidence(pid=9, alive=False, stop_asked_ns=ns(-1))))  # fmt: skip
    counts = {rank.rank: {"AllReduce": dice.choice((9, 9, 8)), "Broadcast": dice.choice((1, 2))} for rank in ranks}
    kernel = tuple(
        KernelEvent(t_ns=ns(dice.uniform(-200, 0)), kind=dice.choice(("xid", "oom", "link", "off-bus")), source="kmsg",
                    code=dice.choice((None, 13, 79)), gpu_uuid=f"GPU-{dice.randrange(4)}",
                    pid=dice.choice((None, 1000, 1002)), text="x")
        for _ in range(dice.randrange(2))
    )  # fmt: skip
    return node(
        *ranks, host=host, world=dice.choice((None, 4, 8)), agent=agent, kernel=kernel,
        ras=dice.choice(((), (ras(counts, at=-2.0), ras(counts)))) if ranks else (), offset=dice.choice((0.0, 0.5)),
        error=dice.choice((0.0, 0.3, None)), looks_s=dice.choice((0.0, 0.5, 2.5)), m_ns=dice.choice((0, 65 * 10**9)),
        started=dice.choice((-100.0, -1.0)),
    )  # fmt: skip


def a_job(dice: random.Random) -> list[NodeEvidence]:
    ranks = [a_rank(dice, number) for number in range(dice.randrange(5))]
    return [a_node(dice, host, [rank for rank in ranks if rank.host == host]) for host in ("node1", "node2")]


@pytest.mark.parametrize("block", range(8))
def test_a_verdict_on_anything(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        nodes = a_job(random.Random(seed))
        judged = judge(nodes)
        told, ranks = judged.verdict, {one.identity.rank: one for each in nodes for one in each.ranks}
        assert told.line, seed
        assert len(told.line) < 2000, seed
        assert all(state in RANK_STATES for state, _ in judged.states.values()), seed
        assert set(judged.states) >= set(ranks), seed
        if not told.sure:
            continue
        guilty = [ranks[rank] for rank in told.ranks if rank in ranks]
        if told.cause in CRASHES:
            ended = [one for one in guilty if one.exit is not None or any(look.state == "Z" for look in one.processes)]
            launchers = [each for each in nodes if each.agent is not None and each.agent.exit is not None]
            assert ended or launchers, (seed, told)
        if told.cause in HANGS and " raised " not in told.line:
            named = [sign for one in ranks.values() for sign in one.signs if sign.victim]
            twice_seen = [one for one in ranks.values() if len(one.flights) > 1 or len(one.stacks) > 1]
            assert named or twice_seen, (seed, told)
        if told.cause == "gpu-fault":
            assert any(event.kind in ("xid", "off-bus") for each in nodes for event in each.kernel), seed


def test_the_order_of_nodes_and_ranks_says_nothing() -> None:
    for seed in range(200):
        nodes = a_job(random.Random(seed))
        turned = [msgspec.structs.replace(one, ranks=one.ranks[::-1]) for one in nodes[::-1]]
        one, other = judge(nodes).verdict, judge(turned).verdict
        assert (one.ranks, one.cause, one.sure) == (other.ranks, other.cause, other.sure), seed


def test_less_evidence_is_never_more_sure_of_somebody_else() -> None:
    """From a job with a known culprit, evidence is taken away: another rank may be suspected, and never surely."""
    dice = random.Random(5)
    for _ in range(300):
        ranks = [RankSeen(number) for number in range(4)]
        ranks[2].says(RAISED.format(2), at=-1.6).exits(1, at=-1.0)
        for rank in (0, 1, 3):
            ranks[rank].says(CLOSED.format(rank), at=-0.6).exits(1, at=-0.4 + 0.01 * rank)
        for rank in ranks:
            lost = {name: () for name in ("signs", "tail") if dice.random() < 0.5}
            if lost:
                rank.evidence = msgspec.structs.replace(rank.evidence, **lost)
                rank.without("log")
            if dice.random() < 0.3:
                rank.evidence = msgspec.structs.replace(rank.evidence, exit=None)
        told = judge([node(*ranks, agent=dice.choice((None, closing())))]).verdict
        assert not told.sure or told.ranks in ((2,), ()), told


# --- the recordings, as one log that all ranks share ---


def recorded(name: str, *ranks: RankSeen) -> NodeEvidence:
    signs = tuple(Scanner(None, now_ns=NOW).feed_lines((RECORDINGS / name).read_bytes()))
    return node(*ranks, agent=AgentEvidence(pid=1, alive=False, signs=signs), started=-(10.0**6))


def test_a_raise_as_two_h200s_told_it() -> None:
    ranks = RankSeen(0).exits(signal="SIGTERM", at=0.0), RankSeen(1).exits(1, at=-0.2)
    told = judge([recorded("fail_raise.log", *ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((1,), "raised", True)
    assert told.line == "rank 1 on node1 raised RuntimeError: rank 1 boom at fail.py:7"


def test_an_assert_as_two_h200s_told_it() -> None:
    ranks = RankSeen(0).exits(signal="SIGTERM", at=0.0), RankSeen(1).exits(signal="SIGABRT", at=-0.2)
    told = judge([recorded("fail_assert.log", *ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((1,), "raised", True), told
    assert told.line == (
        "rank 1 on node1 hit a CUDA device-side assert: Assertion `index out of bounds` failed in IndexKernel.cu:111, "
        "reported at fail.py:9"
    )
    assert told.site == "fail.py:9"


def test_a_hang_as_two_h200s_told_it_although_somebody_ended_the_job() -> None:
    ranks = RankSeen(0).exits(signal="SIGTERM", at=0.0), RankSeen(1).exits(signal="SIGTERM", at=0.0)
    told = judge([recorded("fail_hang.log", *ranks)]).verdict
    assert (told.ranks, told.cause) == ((1,), "hung-in-collective"), told
    assert "all_reduce #2" in told.line


def test_a_mismatch_as_two_h200s_told_it_is_not_sure() -> None:
    ranks = RankSeen(0).exits(0, at=-60.0), RankSeen(1).exits(signal="SIGTERM", at=0.0)
    told = judge([recorded("fail_mismatch.log", *ranks)]).verdict
    assert (told.ranks, told.cause, told.sure) == ((0,), "returned-early", False), told
    assert "another size" in told.line
