"""What a person sees, made from evidence and judgement."""

from __future__ import annotations

import msgspec
import pytest

from torchprobes.distributed import JOB_STATES, JobIdentity, JobVerdict, RankIdentity
from torchprobes.jobs.verdict import Judged
from torchprobes.jobs.view import Setting, cpu_percent, view_of
from torchprobes.model import Evidence
from torchprobes.rank_evidence import (
    AgentEvidence,
    Collective,
    Exit,
    Flight,
    GpuReading,
    NodeEvidence,
    ProcessReading,
    Progress,
    RankEvidence,
)

SECOND = 10**9
ALIVE, GONE = AgentEvidence(pid=1, alive=True), AgentEvidence(pid=1, alive=False)


def one(rank: int, **fields: object) -> RankEvidence:
    return msgspec.convert({"identity": {"rank": rank, "pid": 100 + rank, "start_ticks": 5}, **fields}, RankEvidence)


def node(*ranks: RankEvidence, host: str = "a", agent: AgentEvidence | None = ALIVE, **fields: object) -> NodeEvidence:
    job = JobIdentity(key="torchrun:x", launcher="torchrun", host=host, started_ns=5 * SECOND, world_size=4)
    base = NodeEvidence(host=host, t_ns=15 * SECOND, m_ns=100 * SECOND, job=job, ranks=ranks, agent=agent)
    return msgspec.structs.replace(base, **fields)


def judged(cause: str = "none", ranks: tuple[int, ...] = (), **states: str) -> Judged:
    words = {int(name[1:]): (state, "why") for name, state in states.items()}
    return Judged(verdict=JobVerdict(cause=cause, ranks=ranks), states=words)


STATES = [
    ("starting", judged(r0="starting", r1="importing"), Setting(), ALIVE),
    ("running", judged(r0="stepping", r1="waiting"), Setting(), ALIVE),
    ("running", judged("straggler", (1,), r0="stepping", r1="stepping"), Setting(), ALIVE),
    ("stuck", judged("hung-in-collective", (1,), r0="waiting", r1="hung"), Setting(), ALIVE),
    ("stuck", judged("unknown", (1,), r0="waiting", r1="running"), Setting(), ALIVE),
    ("running", judged("unknown", (), r0="running", r1="running"), Setting(), ALIVE),
    ("failing", judged("killed", (1,), r0="waiting", r1="killed"), Setting(), ALIVE),
    ("failing", judged("killed", (1,), r0="killed", r1="killed"), Setting(), ALIVE),
    ("failed", judged("killed", (1,), r0="killed", r1="killed"), Setting(), GONE),
    ("failed", judged("killed", (1,), r0="killed", r1="killed"), Setting(), None),
    ("ended", judged(r0="ended", r1="ended"), Setting(), GONE),
    ("ended", judged(r0="ended", r1="ended"), Setting(over=True), ALIVE),
    ("stopped", judged("cancelled", (), r0="killed", r1="killed"), Setting(stopped=True), GONE),
    ("stopped", judged("cancelled", (), r0="killed", r1="killed"), Setting(), GONE),
    ("stopped", judged("wrong-order", (1,), r0="killed", r1="killed"), Setting(stopped=True), GONE),
    ("failing", judged("cancelled", (), r0="killed", r1="running"), Setting(stopped=True), ALIVE),
]


@pytest.mark.parametrize(("state", "made", "setting", "agent"), STATES)
def test_the_state_of_a_job(state: str, made: Judged, setting: Setting, agent: AgentEvidence | None) -> None:
    view = view_of([node(one(0), one(1), agent=agent)], made, setting)
    assert view.state == state
    assert state in JOB_STATES


def test_a_job_without_ranks_starts_and_one_whose_launcher_ended_without_any_has_failed() -> None:
    assert view_of([node()], judged()).state == "starting"
    assert view_of([node(agent=GONE)], judged("port-taken"), Setting(over=True)).state == "failed"


def test_a_job_of_which_no_node_answers_is_lost() -> None:
    silent = NodeEvidence(host="b", t_ns=1, state="no answer", why="no route to host")
    view = view_of([silent], judged())
    assert view.state == "lost"
    assert view.evidence == (Evidence(kind="node", text="b: no answer: no route to host"),)


def test_two_nodes_are_one_view_and_a_silent_one_holds_up_nothing() -> None:
    silent = NodeEvidence(host="c", t_ns=1, state="no answer", why="too late")
    nodes = [node(one(1), host="b", notes=("slow disk",)), node(one(0), host="a", notes=("slow disk",)), silent]
    view = view_of(nodes, judged(r0="stepping", r1="stepping"))
    assert [(row.rank, row.host) for row in view.ranks] == [(0, "a"), (1, "b")]
    assert view.nodes == ("b", "a", "c")
    assert view.notes == ("b: slow disk", "a: slow disk")
    assert view.state == "running"
    assert (view.world_size, view.seconds) == (4, 10.0)


def test_a_row_tells_what_its_rank_told_and_nothing_that_nobody_read() -> None:
    full = one(
        0,
        progress={
            "phase": "stepping", "steps": 7, "step_s": 0.25, "moved_ns": 90 * SECOND, "log_ns": 97 * SECOND,
            "collective": "default_pg", "enqueued": 9, "completed": 8, "lag_s": 0.02, "last_share": 1.0,
            "memory_bytes": 5e9, "memory_spread": 0.01,
        },
        processes=[
            {"t_ns": 1 * SECOND, "cpu_s": 1.0, "tree_cpu_s": 2.0, "rss_bytes": 10},
            {"t_ns": 3 * SECOND, "cpu_s": 2.0, "tree_cpu_s": 5.0, "rss_bytes": 20},
        ],
        gpu={"t_ns": 1, "uuid": "GPU-1", "index": 3, "utilization_percent": 99.0, "power_w": 130.0},
    )  # fmt: skip
    row, empty = view_of([node(full, one(1))], judged(r0="waiting", r1="running")).ranks
    assert (row.steps, row.step_rate_hz, row.collective) == (7, 4.0, "collective #9")
    assert (row.waiting_s, row.quiet_s) == (10.0, 3.0)
    assert (row.cpu_percent, row.rss_bytes, row.gpu, row.gpu_power_w) == (150.0, 20, "3", 130.0)
    assert (row.lag_s, row.last_share, row.memory_bytes, row.memory_spread) == (0.02, 1.0, 5e9, 0.01)
    unread = (empty.steps, empty.step_rate_hz, empty.waiting_s, empty.quiet_s, empty.cpu_percent, empty.rss_bytes)
    assert unread == (None,) * 6
    assert (empty.gpu, empty.collective, empty.exit) == ("", "", "")


def test_the_last_collective_is_the_recorders_unless_the_rank_went_on_since() -> None:
    flight = Flight(t_ns=1, how="server", entries=(Collective(group="0", seq=5, op="all_reduce"),))
    seen = RankEvidence(identity=RankIdentity(rank=0, pid=1, start_ticks=1), flights=(flight,))
    assert view_of([node(seen)], judged(r0="stepping")).ranks[0].collective == "all_reduce #5"
    later = msgspec.structs.replace(seen, progress=Progress(collective="default_pg", enqueued=8))
    assert view_of([node(later)], judged(r0="stepping")).ranks[0].collective == "collective #8"


def test_a_rank_that_is_over_has_an_end_and_no_rate() -> None:
    ended = one(0, progress={"step_s": 0.1, "moved_ns": 1}, exit={"t_ns": 1, "signal": "SIGKILL", "oom": True})
    (row,) = view_of([node(ended)], judged("oom", (0,), r0="oom-killed")).ranks
    assert row.exit == "SIGKILL (out of memory)"
    assert (row.step_rate_hz, row.quiet_s) == (None, None)


def test_cpu_is_told_from_two_readings_of_a_living_process() -> None:
    def reading(t_ns: int, cpu_s: float | None, state: str = "S") -> ProcessReading:
        return ProcessReading(t_ns=t_ns, cpu_s=cpu_s, state=state)

    assert cpu_percent([reading(0, 1.0), reading(SECOND, 1.5)]) == 50.0
    assert cpu_percent([reading(0, 1.0), reading(SECOND, 0.5)]) == 0.0, "a child of it ended"
    assert cpu_percent([reading(0, 1.0)]) is None
    assert cpu_percent([reading(0, None), reading(SECOND, 1.0)]) is None
    assert cpu_percent([reading(0, 1.0), reading(SECOND, 1.0, "gone")]) is None
    assert cpu_percent([reading(SECOND, 1.0), reading(0, 2.0)]) is None, "the clock was set back"


def test_the_memory_of_a_foreign_rank_is_the_drivers() -> None:
    gpu = GpuReading(t_ns=1, uuid="GPU-1", process_memory_bytes=7)
    seen = RankEvidence(identity=RankIdentity(rank=0, pid=1, start_ticks=1, gpu_index=2), gpu=gpu)
    (row,) = view_of([node(seen)], judged(r0="running")).ranks
    assert (row.memory_bytes, row.gpu) == (7.0, "2")


def test_a_view_survives_its_journey_through_a_file() -> None:
    seen = one(0, exit=msgspec.to_builtins(Exit(t_ns=1, code=3)))
    view = view_of([node(seen)], judged("exited", (0,), r0="exited"), Setting(run="/r", ours=True, notes=("n",)))
    assert msgspec.json.decode(msgspec.json.encode(view), type=type(view)) == view
    assert (view.run, view.ours, view.notes) == ("/r", True, ("n",))
