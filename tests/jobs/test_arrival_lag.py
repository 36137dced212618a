"""Who always comes late: when each rank called its collectives, what noise may not pass for, and when it is asked."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from evidence_builder import RankSeen, node

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.flight import BadDump
from torchprobes.jobs.flight.times import call_times
from torchprobes.jobs.looking import EVERY_S, SCAN_S, Looking, looked_at
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.verdict import judge
from torchprobes.jobs.verdict.lags import BY_CHANCE, by_chance
from torchprobes.jobs.watch import lags as lags_module
from torchprobes.jobs.watch.keeping import Keeper
from torchprobes.jobs.watch.lags import FIRST_S, UNWATCHED_S, WATCHED_S, Lags, arrivals
from torchprobes.jobs.watch.roster import Roster
from torchprobes.model import Event

STEP_S = 0.04


def dump(entries: list[dict[str, Any]]) -> bytes:
    return json.dumps({"version": "2.10", "pg_config": {}, "entries": entries}).encode()


def entry(seq: int, t_ns: object, **more: Any) -> dict[str, Any]:
    return {"process_group": ["0", "default_pg"], "collective_seq_id": seq, "time_created_ns": t_ns, **more}


def test_the_times_of_calls_are_read_from_a_dump_of_any_age() -> None:
    entries = [entry(1, 5), entry(2, "6"), entry(1, 9, is_p2p=True), entry(3, 0), {"pg_id": 4, "seq_id": 7,
               "time_created_ns": 8, "state": "scheduled", "frames": [{"name": "f"}]}]  # fmt: skip
    assert call_times(dump(entries), 10) == {("0", 1): 5, ("0", 2): 6, ("4", 7): 8}
    assert call_times(dump(entries[:2]), 1) == {("0", 2): 6}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"entries": 1}', b'{"entries": [1]}', dump([entry(1, [])])])
def test_what_is_no_dump_is_told(data: bytes) -> None:
    with pytest.raises(BadDump):
        call_times(data, 10)


@pytest.mark.parametrize("value", [-1, 1 << 64, "x", "9" * 30, None, ""])
def test_a_number_that_cannot_be_is_no_time(value: object) -> None:
    assert call_times(dump([entry(1, value), entry(value, 1)]) if isinstance(value, (int, str)) else b"{}", 10) == {}  # type: ignore[arg-type]


def recorded(rank: int, count: int, late_ns: int) -> dict[tuple[str, int], int]:
    return {("0", seq): seq * 10**9 + rank * 1000 + late_ns for seq in range(1, count + 1)}


def test_the_rank_that_always_comes_last_is_told_by_how_much() -> None:
    found = arrivals({n: recorded(n, 300, 20_000_000 if n == 2 else 0) for n in range(4)})
    assert found[2].lag_s == pytest.approx(0.020, abs=1e-4)
    assert (found[2].last_share, found[2].n, found[2].span_s) == (1.0, 300, 299.0)
    assert all(found[n].lag_s < 1e-5 and found[n].last_share == 0.0 for n in (0, 1, 3))
    assert arrivals({n: recorded(n, 49, 0) for n in range(4)}) == {}, "too few to say anything"


# --- noise -----------------------------------------------------------------------------------------------------------


def told(found: dict[int, Any]) -> str:
    ranks = [RankSeen(n).looks(cpu=(10.0, 11.0)) for n in found]
    for rank in ranks:
        lag = found[rank.rank]
        rank.tells(step_s=STEP_S, steps=900, lag_s=lag.lag_s, last_share=lag.last_share, lag_calls=lag.n,
                   lag_span_s=lag.span_s)  # fmt: skip
    judged = judge([node(*ranks)]).verdict
    return judged.cause if judged.cause != "straggler" else f"straggler {judged.ranks}"


def steps(dice: random.Random, ranks: int, count: int, buckets: int, late: int | None = None) -> dict[int, Any]:
    """Arrivals whose noise is a tenth of a step, new at each step, the same for all its buckets: the worst case."""
    times: dict[int, dict[tuple[str, int], int]] = {n: {} for n in range(ranks)}
    for step in range(count):
        for n in range(ranks):
            noise = dice.expovariate(1 / (0.1 * STEP_S)) + (0.02 if n == late else 0.0)
            for bucket in range(buckets):
                at = (step * STEP_S + bucket * 1e-3 + noise) * 1e9
                times[n]["0", step * buckets + bucket + 1] = int(at)
    return arrivals(times)


@pytest.mark.parametrize("ranks", [2, 3, 8])
@pytest.mark.parametrize(("count", "buckets"), [(50, 1), (20, 10), (5, 40)])
def test_noise_is_no_straggler(ranks: int, count: int, buckets: int) -> None:
    dice = random.Random(ranks * 1000 + count)
    assert [told(steps(dice, ranks, count, buckets)) for _ in range(20)] == ["none"] * 20


@pytest.mark.trials
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ten_thousand_noisy_jobs_and_no_straggler(ranks: int) -> None:
    dice = random.Random(ranks)
    alarms = sum(told(steps(dice, ranks, 50, 4)) != "none" for _ in range(10_000))
    assert alarms == 0


@pytest.mark.parametrize("ranks", [2, 4])
def test_half_a_step_late_stands_out_of_noise(ranks: int) -> None:
    dice = random.Random(ranks)
    assert [told(steps(dice, ranks, 60, 4, late=1)) for _ in range(20)] == ["straggler (1,)"] * 20


def test_what_chance_can_do() -> None:
    assert by_chance(0.5, 50, 2) == 1.0
    assert by_chance(1.0, 10, 2) == pytest.approx(2 * 0.5**10)
    assert by_chance(0.61, 200, 4) < BY_CHANCE < by_chance(0.61, 200, 2)


# --- when it is asked ------------------------------------------------------------------------------------------------


def test_whoever_looks_says_so_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    node = tmp_path / "nodes" / "one"
    looking = Looking(str(tmp_path))
    looking.keep_up()
    node.mkdir(parents=True)
    now[0] += SCAN_S
    looking.keep_up()
    assert looked_at(str(node))
    os.utime(node / "watched", (1, 1))
    now[0] += SCAN_S
    looking.keep_up()
    assert not looked_at(str(node)), "not yet again"
    now[0] += EVERY_S
    looking.keep_up()
    assert looked_at(str(node))


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    node = tmp_path / "nodes" / "one"
    node.mkdir(parents=True)
    other = tmp_path / "other"
    other.touch()
    os.utime(other, (1, 1))
    (node / "watched").symlink_to(other)
    Looking(str(tmp_path)).keep_up()
    assert other.stat().st_mtime == 1


class Pace:
    """Lags over two ranks whose answers are given, at times that are given."""

    def __init__(self, node: NodeFolder, monkeypatch: pytest.MonkeyPatch, count: int = 100) -> None:
        self.node = node
        self.asked: list[int] = []
        self.roster = Roster()
        for rank in range(2):
            self.roster.add(RankIdentity(rank=rank, pid=1 << 24 | rank, start_ticks=1))

        def times(_: object, rank: RankIdentity, __: int) -> dict[tuple[str, int], int]:
            self.asked.append(rank.rank)
            return recorded(rank.rank, count, 0)

        monkeypatch.setattr(lags_module.Asking, "times", times)
        self.lags = Lags(node, Keeper(node))

    def step(self) -> None:
        for watched in self.roster.ranks:
            watched.tracker.take(Event(ev="step", n=3, t_ns=1, m_ns=1, pid=1, rank=0), 1)

    def asked_at(self, now: float) -> bool:
        before = len(self.asked)
        self.lags.look(self.roster, now)
        if self.lags._thread is None:
            return False
        self.lags._thread.join()
        assert self.lags.look(self.roster, now)
        return len(self.asked) == before + 2


def folder(tmp_path: Path) -> NodeFolder:
    node = NodeFolder(tmp_path / "nodes" / "one")
    node.path.mkdir(parents=True)
    return node


def test_the_first_look_comes_soon_after_all_ranks_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lags_module, "SHARE", 1.0)  # what a look costs on a busy machine is another test's
    pace = Pace(folder(tmp_path), monkeypatch)
    assert not pace.asked_at(100.0)
    pace.step()
    assert not pace.asked_at(120.0)
    assert not pace.asked_at(120.0 + FIRST_S - 0.1)
    assert pace.asked_at(120.0 + FIRST_S)
    assert not pace.asked_at(120.0 + UNWATCHED_S), "nobody looks"
    Looking(str(tmp_path)).keep_up()
    assert pace.asked_at(120.0 + UNWATCHED_S), "somebody looks"
    assert pace.asked_at(120.0 + UNWATCHED_S + WATCHED_S)
    assert all(watched.tracker.lag is not None for watched in pace.roster.ranks)
    assert pace.lags._keeper.close()
    ev = [json.loads(line) for line in pace.node.watch.read_text().splitlines()]
    assert [(one["ev"], one["ranks"]) for one in ev] == [("lags", 2)] * 3


def test_a_dear_look_is_made_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(folder(tmp_path), monkeypatch)
    pace.step()
    assert not pace.asked_at(100.0)
    assert pace.asked_at(105.0)
    pace.lags._cost_s = 1.0
    assert not pace.asked_at(105.0 + 1.0 / lags_module.SHARE - 1)
    assert pace.asked_at(105.0 + 1.0 / lags_module.SHARE)


def test_ranks_that_tell_nothing_are_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(folder(tmp_path), monkeypatch, count=3)
    assert not pace.asked_at(100.0)
    assert pace.asked_at(100.0 + UNWATCHED_S)
    assert pace.asked_at(100.0 + UNWATCHED_S + WATCHED_S), "too few collectives: soon again"
