"""The parts of a watcher, each for itself: what it writes, what it remembers, how it counts."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import msgspec
import pytest
from launched_job import until

from torchprobes.distributed import JobIdentity, JobView, RankIdentity
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.watch.collecting import Collector
from torchprobes.jobs.watch.keeping import KEPT_EVIDENCE, MOST_WAITING, Keeper
from torchprobes.jobs.watch.oom import OomLedger, counter_of, kills
from torchprobes.jobs.watch.order import Order, read
from torchprobes.jobs.watch.past import Past
from torchprobes.jobs.watch.progress import Tracker
from torchprobes.jobs.watch.roster import FIRST_SIGNS, SIGNS, Roster
from torchprobes.model import Event
from torchprobes.rank_evidence import Exit, Flight, NodeEvidence, ProcessReading, RankEvidence, Sign, Stack
from torchprobes.rundir import boot_id

JOB = JobIdentity(key="torchrun:x", launcher="torchrun", host="here")
EVIDENCE = NodeEvidence(host="here", t_ns=1)


def rank(number: int, attempt: int = 0, pid: int = 0) -> RankIdentity:
    return RankIdentity(rank=number, pid=pid or 1000 + number + 100 * attempt, start_ticks=1, attempt=attempt)


@pytest.fixture
def node(tmp_path: Path) -> NodeFolder:
    folder = NodeFolder(tmp_path / "host")
    folder.path.mkdir()
    return folder


# --- the order ---


def test_a_supervisor_without_msgspec_can_give_the_order() -> None:
    told = {"run": "/r", "node": "/r/nodes/h", "mode": "launched", "job": {
        "key": "k", "launcher": "torchdoctor", "host": "h", "launcher_pid": 7, "launcher_start_ticks": 9, "more": 1,
    }}  # fmt: skip
    order = read(json.dumps(told).encode())
    assert (order.mode, order.job.launcher_pid, order.job.ranks) == ("launched", 7, ())
    assert read(msgspec.json.encode(Order(run="/r", node="/n", mode="adopted", job=JOB))).job == JOB


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"run": 1}', b"\xff", b"[" * 5000])
def test_what_is_no_order_is_refused_in_one_line(line: bytes) -> None:
    with pytest.raises(ValueError, match="no order for a watcher"):
        read(line)


# --- progress ---


def told(*events: Event, now_ns: int = 10**12) -> Tracker:
    tracker = Tracker()
    for event in events:
        tracker.take(event, now_ns)
    return tracker


def test_steps_their_time_and_the_longest() -> None:
    labels = {"longest_s": "0.9"}
    events = [Event(ev="step", n=n, value=0.1, m_ns=n * 10**8, labels=labels if n == 30 else {}) for n in range(1, 40)]
    progress = told(*events).progress()
    assert (progress.steps, progress.step_s, progress.longest_step_s) == (39, 0.1, 0.9)
    assert progress.moved_ns == 39 * 10**8


def test_a_step_without_its_time_is_timed_by_the_clock_both_share() -> None:
    tracker = told(*(Event(ev="step", n=n, m_ns=n * 10**9) for n in (2, 4, 6)))
    assert tracker.progress().step_s == 1.0


def test_only_what_changes_is_a_move() -> None:
    beat = Event(ev="hb", name="stepping", m_ns=5)
    tracker = told(beat, Event(ev="hb", name="stepping", m_ns=9), Event(ev="init", labels={"torch": "2"}, m_ns=9))
    assert (tracker.phase, tracker.moved_ns, tracker.told) == ("stepping", 5, True)
    assert told(Event(ev="mem", value=1.0, m_ns=9)).moved_ns == 0


def test_collectives_and_whether_some_are_open() -> None:
    event = Event(ev="coll", name="default_pg", labels={"enqueued": "7", "completed": "6"}, m_ns=3)
    tracker = told(event)
    assert tracker.pending
    tracker.take(Event(ev="coll", name="default_pg", labels={"enqueued": "7", "completed": "7"}, m_ns=4), 10)
    assert not tracker.pending
    assert (tracker.progress().enqueued, tracker.moved_ns) == (7, 4)


def test_memory_is_told_after_the_first_steps_as_mean_and_spread() -> None:
    tracker = Tracker()
    for n in range(1, 31):
        tracker.take(Event(ev="step", n=n, m_ns=n), 10**9)
        tracker.take(Event(ev="mem", name="allocated", value=1000.0 if n <= 10 else 98.0 + 4 * (n % 2)), 10**9)
    progress = tracker.progress()
    assert progress.memory_bytes == pytest.approx(100)
    assert progress.memory_spread == pytest.approx(0.02)


@pytest.mark.parametrize(
    "event",
    [
        Event(ev="step", n=3, value="nan"), Event(ev="step", n=-1, value=-1.0), Event(ev="step", n=1, value=True),
        Event(ev="step", n=10**30, value=1e400), Event(ev="coll", labels={"enqueued": "x" * 999, "completed": "-"}),
        Event(ev="mem", value="many"), Event(ev="hb"), Event(ev="unheard of"), Event(ev="step", m_ns=10**30),
    ],
)  # fmt: skip
def test_a_hostile_event_breaks_nothing(event: Event) -> None:
    progress = told(event, event).progress()
    assert progress.moved_ns <= 10**12
    assert progress.step_s is None or progress.step_s >= 0
    assert progress.enqueued is None


# --- the roster ---


def test_a_later_attempt_takes_the_place_of_the_one_before() -> None:
    roster = Roster()
    first = [roster.add(rank(n)) for n in (1, 0)]
    assert [w.identity.rank for w in roster.ranks] == [0, 1]
    assert roster.add(rank(0)) is None, "known"
    assert roster.add(rank(0, pid=77)) is None, "the rank lives: another process is none"
    later = roster.add(rank(1, attempt=1))
    assert roster.ranks == [later]
    assert roster.add(rank(0, pid=5)) is None, "of the attempt before"
    assert roster.of(1001) is first[0]
    assert (roster.attempt, roster.generation) == (1, 1)


def test_a_launcher_that_counts_no_attempts_starts_anew_when_all_have_ended() -> None:
    roster = Roster()
    for number in (0, 1):
        watched = roster.add(rank(number))
        assert watched is not None
        watched.exit = Exit(t_ns=1, code=1)
    assert roster.over
    assert roster.add(rank(0, pid=55)) is not None
    assert [w.identity.pid for w in roster.ranks] == [55]


def test_of_many_signs_the_first_and_the_newest_stay() -> None:
    watched = Roster().add(rank(0))
    assert watched is not None
    for number in range(500):
        watched.add_signs([Sign(id="exception", text=str(number))])
    texts = [int(sign.text) for sign in watched.signs]
    assert texts == [*range(FIRST_SIGNS), *range(500 - SIGNS + FIRST_SIGNS, 500)]


def test_two_looks_at_one_standstill_are_kept_and_compared() -> None:
    watched = Roster().add(rank(0))
    assert watched is not None
    looks = [
        RankEvidence(
            identity=watched.identity, stacks=(Stack(how="py-spy", t_ns=t),), flights=(Flight(t_ns=t, how="server"),)
        )
        for t in (1, 2, 3)
    ]
    for look in looks:
        watched.look_came(look, same=True)
    seen = watched.evidence(0)
    assert [s.t_ns for s in seen.stacks] == [2, 3]
    assert [f.t_ns for f in seen.flights] == [2, 3]
    watched.look_came(looks[0], same=False)
    assert [s.t_ns for s in watched.evidence(0).stacks] == [1]


def test_what_was_seen_of_a_rank_while_it_lived_stays() -> None:
    watched = Roster().add(rank(0))
    assert watched is not None
    alive = RankEvidence(identity=watched.identity, stacks=(Stack(how="py-spy", t_ns=1),))
    watched.look_came(alive, same=False)
    watched.exit = Exit(t_ns=2, code=1)
    watched.look_came(RankEvidence(identity=watched.identity), same=False)
    assert watched.evidence(0).stacks == alive.stacks


def test_looks_at_a_process_are_taken_from_the_standstill_on() -> None:
    watched = Roster().add(rank(0))
    assert watched is not None
    watched.readings += [ProcessReading(t_ns=t, cpu_s=float(t), tree_cpu_s=float(t)) for t in range(1, 20)]
    assert [p.t_ns for p in watched.evidence(12).processes] == [12, 19]
    assert [p.t_ns for p in watched.evidence(0).processes] == [1, 19]
    assert [p.t_ns for p in watched.evidence(100).processes] == [18, 19], "the newest two, where none is so young"


# --- out of memory ---


def counter(folder: Path, count: int) -> str:
    path = folder / "memory.events"
    path.write_text(f"low 0\nhigh 0\nmax 5\noom {count}\noom_kill {count}\noom_group_kill 0\n")
    return str(path)


def test_a_kill_of_the_kernel_is_laid_to_one_end(tmp_path: Path) -> None:
    ledger = OomLedger()
    path = counter(tmp_path, 3)
    ledger.watch(path, 0.0)
    assert not ledger.claim(path, 1.0), "what was counted before is nobody's"
    counter(tmp_path, 4)
    assert ledger.claim(path, 2.0)
    assert not ledger.claim(path, 2.1), "one kill, one end"


def test_a_kill_long_ago_was_of_another_process(tmp_path: Path) -> None:
    ledger = OomLedger()
    path = counter(tmp_path, 0)
    ledger.watch(path, 0.0)
    counter(tmp_path, 1)
    ledger.watch(path, 1.0)
    assert ledger.claim(path, 1.5)
    counter(tmp_path, 2)
    ledger.watch(path, 2.0)
    assert not ledger.claim(path, 10.0)


def test_counters_of_both_versions_are_found(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "7").mkdir(parents=True)
    (groups / "job").mkdir(parents=True)
    (groups / "memory" / "old").mkdir(parents=True)
    (groups / "memory" / "old" / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    counter(groups / "job", 5)
    (proc / "7" / "cgroup").write_text("0::/job\n")
    assert kills(counter_of(7, str(proc), str(groups))) == 5
    (proc / "7" / "cgroup").write_text("4:cpu,memory:/old\n0::/gone\n")
    assert kills(counter_of(7, str(proc), str(groups))) == 2
    (proc / "7" / "cgroup").write_text("0::/gone\n")
    assert counter_of(7, str(proc), str(groups)) == ""
    assert kills("") is None


# --- what is written ---


def test_records_views_and_the_newest_evidence_are_kept(node: NodeFolder) -> None:
    keeper = Keeper(node)
    keeper.record("one", value=1, text="\ud800")
    for number in range(KEPT_EVIDENCE + 5):
        assert keeper.evidence(EVIDENCE) == f"evidence/{number + 1:03d}.json"
        until(lambda: keeper._evidence == keeper._evidence.__class__())
    for number in range(3):
        keeper.view(JobView(job=str(number), state="running"))
    assert keeper.close()
    view = node.read_view()
    assert view is not None
    assert view.job == "2"
    assert [json.loads(line)["ev"] for line in node.watch.read_text().splitlines()] == ["one"]
    names = sorted(path.name for path in node.evidence.iterdir())
    assert (len(names), names[-1]) == (KEPT_EVIDENCE, f"{KEPT_EVIDENCE + 5:03d}.json")
    assert Keeper(node).evidence(EVIDENCE) == f"evidence/{KEPT_EVIDENCE + 6:03d}.json", "a successor counts on"


def test_a_disk_that_takes_nothing_is_told_and_stops_nobody(node: NodeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.Event()
    full.set()

    def write(path: Path, data: bytes) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr("torchprobes.jobs.watch.keeping.write_atomically", write)
    keeper = Keeper(node)
    keeper.view(JobView(job="x", state="running"))
    assert until(lambda: keeper.why_not) == "the watcher cannot write: no space left on device"
    full.clear()
    keeper.view(JobView(job="y", state="running"))
    until(lambda: not keeper.why_not)
    assert keeper.close()


def test_a_disk_that_hangs_holds_up_only_its_thread(node: NodeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr("torchprobes.jobs.watch.keeping.write_atomically", lambda *_: hangs.wait(60))
    keeper = Keeper(node)
    keeper.view(JobView(job="x", state="running"))
    until(lambda: keeper._view is None)
    for _ in range(MOST_WAITING + 10):
        keeper.record("much")
    assert keeper.dropped == 10
    assert not keeper.close(0.01)
    hangs.set()


def test_a_successor_knows_what_was_seen_on_this_boot(node: NodeFolder) -> None:
    keeper = Keeper(node)
    keeper.record("start", boot_id="another boot")
    keeper.record("rank", **msgspec.to_builtins(rank(5)))
    keeper.record("start", boot_id=boot_id())
    keeper.record("rank", **msgspec.to_builtins(rank(2)))
    keeper.record("exit", rank=2, pid=1002, start_ticks=1, exit=msgspec.to_builtins(Exit(t_ns=9, signal="SIGKILL")))
    keeper.close()
    with node.watch.open("ab") as file:
        file.write(b'{"ev": "rank"}\n{"ev": "exit", "pid": "x"}\n[1]\n{"ev": "st')
    past = Past(node)
    assert past.ranks == [rank(2)]
    assert past.exits == {(1002, 1): Exit(t_ns=9, signal="SIGKILL")}
    assert past.watchers == 1


# --- close looks ---


def test_a_look_at_a_time_and_one_reason_that_waits() -> None:
    go, seen, woken = threading.Semaphore(0), list[str](), threading.Event()

    def collect(job: JobIdentity, _: float) -> NodeEvidence:
        go.acquire()
        seen.append(job.key)
        return EVIDENCE

    collector = Collector(collect, woken.set)
    assert collector.ask(JOB, "first")
    assert collector.ask(JOB, "second")
    assert not collector.ask(JOB, "third"), "one waits already"
    assert collector.waits
    go.release()
    assert woken.wait(30)
    go.release()
    until(lambda: len(seen) == 2)
    looks = [*collector.take()]
    looks += until(collector.take) if len(looks) < 2 else []
    assert [look.why for look in looks] == ["first", "second"]


def test_a_look_that_fails_is_told() -> None:
    def collect(job: JobIdentity, deadline_s: float) -> NodeEvidence:
        raise RuntimeError(f"no {job.key} in {deadline_s}")

    collector = Collector(collect, lambda: None)
    collector.ask(JOB, "why")
    assert collector.wait(30)
    (look,) = collector.take()
    assert look.evidence is None
    assert look.failure == "a look at the job failed: RuntimeError: no torchrun:x in 2.0"


def test_a_look_that_never_comes_back_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.jobs.watch.collecting.PATIENCE_S", 0.0)
    hangs = threading.Event()
    first = iter([True])

    def collect(*_: object) -> NodeEvidence:
        if next(first, False):
            hangs.wait(60)
        return EVIDENCE

    collector = Collector(collect, lambda: None)
    collector.ask(JOB, "hangs")
    until(lambda: collector.ask(JOB, "again") is not None and len(collector._done) > 0)
    assert collector.wait(30)
    looks = collector.take()
    assert looks[0].failure == "a look at the job did not come back in time"
    assert looks[-1].evidence is EVIDENCE
    hangs.set()
