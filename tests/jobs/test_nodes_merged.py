"""Several nodes in one run directory: one view, whose verdict is judged from all, whose rows are each node's own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from torchprobes import rundir
from torchprobes.distributed import JobIdentity, JobVerdict, JobView, RankIdentity, RankView
from torchprobes.jobs.node import node_folder
from torchprobes.jobs.nodes import judged_view, merged, merged_view, same_clock
from torchprobes.jobs.nodes.merged import newest_evidence
from torchprobes.jobs.signs import Scanner
from torchprobes.rank_evidence import AgentEvidence, Exit, NodeEvidence, ProcessReading, RankEvidence, Sign
from torchprobes.rundir import RunDir

T0 = 1_800_000_000_000_000_000
S = 1_000_000_000
CLOSED = "RuntimeError: [/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.79.0.2]:61578"


def sign(number: int, line: str, at_ns: int) -> Sign:
    """As the scanner makes it of the end of a rank's log."""
    scanner = Scanner(number)
    lines = ["Traceback (most recent call last):", '  File "/w/train.py", line 7, in <module>', "    step()", line]
    found = [one for one in (scanner.feed(text, at_ns) for text in [*lines, ""]) if one is not None]
    return found[-1]


VICTIM = sign(0, CLOSED, T0 + S)
RAISED = sign(1, "ValueError: bad batch", T0)


def rank(number: int, host: str, at_ns: int, sign: Sign) -> RankEvidence:
    who = RankIdentity(rank=number, pid=100 + number, start_ticks=1, host=host)
    gone = ProcessReading(t_ns=at_ns, state="gone")
    return RankEvidence(identity=who, processes=(gone,), exit=Exit(t_ns=at_ns, code=1), signs=(sign,))


def node(host: str, ranks: RankEvidence, t_ns: int = T0 + 3 * S, **fields: object) -> NodeEvidence:
    job = JobIdentity(key="torchrun:x", launcher="torchdoctor", host=host, ranks=(ranks.identity,), world_size=2)
    agent = AgentEvidence(pid=1, alive=False, exit=Exit(t_ns=t_ns, code=1))
    base = NodeEvidence(host=host, t_ns=t_ns, job=job, ranks=(ranks,), agent=agent, boot_id="same")
    return msgspec.structs.replace(base, **fields)


FIRST = node("n1", rank(0, "n1", T0 + S, VICTIM))
SECOND = node("n2", rank(1, "n2", T0, RAISED))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return rundir.create(tmp_path, "job")


def keep(run: RunDir, host: str, view: JobView, *evidence: NodeEvidence) -> None:
    folder = node_folder(run, host)
    folder.evidence.mkdir(parents=True)
    rundir.write_atomically(folder.view, msgspec.json.encode(view))
    for number, one in enumerate(evidence, 1):
        (folder.evidence / f"{number:03}.json").write_bytes(msgspec.json.encode(one))


def own_view(host: str, number: int, **fields: object) -> JobView:
    """What a node alone says: its own rank is to blame."""
    row = RankView(rank=number, host=host, pid=100 + number, state="exited", exit="exit code 1", steps=40 + number)
    blamed = JobVerdict(ranks=(number,), cause="exited", sure=True, line=f"rank {number} exited")
    base = JobView(job="torchrun:x", state="failed", verdict=blamed, ranks=(row,), host=host, nodes=(host,))
    return msgspec.structs.replace(base, **fields)


def test_each_node_alone_blames_its_own_rank_and_both_together_the_right_one(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0), FIRST)
    keep(run, "n2", own_view("n2", 1), SECOND)
    view = merged_view(run)
    assert view is not None
    assert (view.verdict.ranks, view.verdict.cause, view.verdict.sure) == ((1,), "raised", True)
    assert [(row.rank, row.host, row.steps) for row in view.ranks] == [(0, "n1", 40), (1, "n2", 41)]
    assert view.nodes == ("n1", "n2")
    assert view.state == "failed"


def test_before_anything_is_there_it_is_none_and_one_node_is_its_own_view(run: RunDir) -> None:
    assert merged_view(run) is None
    alone = own_view("n1", 0)
    keep(run, "n1", alone, FIRST)
    assert merged_view(run) == alone


def test_without_common_evidence_the_verdict_of_one_node_is_shown_and_is_not_sure(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0), FIRST)
    keep(run, "n2", own_view("n2", 1, verdict=JobVerdict(sure=True)))
    view = merged_view(run)
    assert view is not None
    assert (view.verdict.ranks, view.verdict.sure) == ((0,), False)
    assert [row.rank for row in view.ranks] == [0, 1]


def test_broken_and_later_files_are_passed_over(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0), FIRST)
    keep(run, "n2", own_view("n2", 1), SECOND)
    folder = node_folder(run, "n2")
    (folder.evidence / "999.json").write_bytes(b'{"schema":1,')
    (folder.evidence / "1000.json").write_bytes(b'{"schema":99,"host":"n2","t_ns":1}')
    assert newest_evidence(folder) == SECOND
    folder.view.write_bytes(b"\xff")
    view = merged_view(run)
    assert view is not None
    assert [row.rank for row in view.ranks] == [0]


def test_the_tenth_hundred_of_evidence_is_newer_than_the_ninth(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0))
    folder = node_folder(run, "n1")
    for name, stamp in (("999.json", 1), ("1000.json", 2)):
        (folder.evidence / name).write_bytes(msgspec.json.encode(node("n1", FIRST.ranks[0], stamp)))
    found = newest_evidence(folder)
    assert found is not None
    assert found.t_ns == 2


def test_nodes_of_one_boot_share_a_clock_and_others_are_unknown() -> None:
    other = msgspec.structs.replace(SECOND, boot_id="other")
    assert [one.clock_error_ns for one in same_clock([FIRST, SECOND])] == [0, 0]
    assert [one.clock_error_ns for one in same_clock([FIRST, other])] == [0, None]
    blind = msgspec.structs.replace(FIRST, boot_id="")
    assert [one.clock_error_ns for one in same_clock([blind, blind])] == [0, None]


def test_two_faults_closer_than_the_clocks_of_their_hosts_are_not_sure() -> None:
    """Each rank raised by itself, 2 s apart by stamps: one clock tells them apart, clocks within 5 s do not."""
    second = node("n2", rank(1, "n2", T0, RAISED))
    first = node("n1", rank(0, "n1", T0 + 2 * S, sign(0, "KeyError: 'x'", T0 + 2 * S)))
    exact = judged_view([first, second])
    rough = judged_view([first, msgspec.structs.replace(second, clock_error_ns=5 * S)])
    assert (exact.verdict.ranks, exact.verdict.sure) == ((1,), True)
    assert not rough.verdict.sure


def test_an_offset_turns_the_order_around() -> None:
    """The second host's clock is 5 s behind: by its stamps it failed first, in truth 3 s later."""
    first = node("n1", rank(0, "n1", T0 + 2 * S, sign(0, "KeyError: 'x'", T0 + 2 * S)))
    second = node("n2", rank(1, "n2", T0, RAISED), clock_offset_ns=5 * S, clock_error_ns=1000)
    assert judged_view([first, second]).verdict.ranks == (0,)


def test_old_evidence_is_told(run: RunDir) -> None:
    old = msgspec.structs.replace(FIRST, t_ns=T0 - 60 * S)
    assert any("n1 is 63 s older" in note for note in judged_view([old, SECOND]).notes)


def test_a_rank_that_an_elastic_restart_moved_is_one_row(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0))
    moved = own_view("n2", 0, ranks=(RankView(rank=0, host="n2", attempt=1, state="stepping"),))
    keep(run, "n2", moved)
    view = merged_view(run)
    assert view is not None
    assert [(row.rank, row.host, row.attempt) for row in view.ranks] == [(0, "n2", 1)]


def test_signs_that_only_a_later_torchdoctor_knows_end_nothing() -> None:
    unknown = Sign(id="quantum-decoherence", text="?", victim=True, t_ns=T0)
    seen = [node("n1", rank(0, "n1", T0 + S, unknown)), SECOND]
    assert judged_view(seen).verdict.ranks == (1,)


def test_what_did_not_change_is_neither_read_nor_judged_again(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(run, "n1", own_view("n1", 0), FIRST)
    keep(run, "n2", own_view("n2", 1), SECOND)
    first = merged_view(run)
    monkeypatch.setattr(merged, "read", lambda *_: pytest.fail("read again"))
    monkeypatch.setattr(merged, "judge", lambda *_: pytest.fail("judged again"))
    assert merged_view(run) is first
    monkeypatch.undo()
    rundir.write_atomically(node_folder(run, "n2").view, msgspec.json.encode(own_view("n2", 1, user="new")))
    (node_folder(run, "n2").evidence / "002.json").write_bytes(
        msgspec.json.encode(node("n2", rank(1, "n2", T0, sign(1, "KeyError: 'y'", T0))))
    )
    again = merged_view(run)
    assert again is not None
    assert "KeyError" in again.verdict.line


def test_the_evidence_of_a_time_is_the_last_one_before_it(run: RunDir) -> None:
    keep(run, "n1", own_view("n1", 0), *(node("n1", FIRST.ranks[0], stamp * S) for stamp in (10, 20, 30)))
    stamps = {until: newest_evidence(node_folder(run, "n1"), until * S) for until in (9, 10, 29, 99)}
    assert {until: one.t_ns // S if one else None for until, one in stamps.items()} == {9: None, 10: 10, 29: 20, 99: 30}
