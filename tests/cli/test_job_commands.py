"""`jobs`, `attach`, `diagnose` and `snapshot` on jobs that a test gives them: documents, lines, exit codes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from torchdoctor.cli import run
from torchdoctor.commands import _job_diagnose, _job_evidence, _job_pick, _job_snapshot
from torchdoctor.commands import jobs as jobs_command
from torchprobes import rundir
from torchprobes.distributed import JobIdentity, JobSummary, JobVerdict, JobView, RankIdentity, RankView
from torchprobes.jobs.find import Found, JobError
from torchprobes.jobs.listing import Listing
from torchprobes.jobs.node import node_folder
from torchprobes.jobs.nodes import Via, slurm
from torchprobes.model import Target
from torchprobes.rank_evidence import NodeEvidence, ProcessReading, RankEvidence
from torchprobes.rundir import RunDir

HEALTHY = JobVerdict(sure=True, line="no fault found")
RAISED = JobVerdict(ranks=(1,), cause="raised", sure=True, line="rank 1 on n1 raised ValueError")
HUNG = JobVerdict(ranks=(1,), cause="hung-in-collective", line="no progress, waiting for rank 1")

pytestmark = pytest.mark.usefixtures("place")


def job(key: str = "torchrun:abc", **fields: Any) -> JobIdentity:
    ranks = tuple(RankIdentity(rank=number, pid=4000 + number, start_ticks=1, host="n1") for number in (0, 1))
    base = JobIdentity(key=key, launcher="torchrun", host="n1", ranks=ranks, world_size=2, user="ada")
    return msgspec.structs.replace(base, **fields)


def own_run(place: Path, verdict: JobVerdict, state: str = "failed") -> RunDir:
    """A run of ours that has ended, with a view."""
    made = rundir.create(place, "job", target=Target(python="/p/python"))
    folder = node_folder(made, "n1")
    folder.path.mkdir(parents=True)
    row = RankView(rank=1, host="n1", state="exited", exit="exit code 1")
    view = JobView(job="torchrun:abc", state=state, verdict=verdict, ranks=(row,), host="n1", run=str(made.path))
    rundir.write_atomically(folder.view, msgspec.json.encode(view))
    folder.supervisor.write_text('{"ev":"start","pid":1,"start":0,"boot_id":"x"}\n{"ev":"end","exit_code":1}\n')
    return made


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job runs on this node, and it has no Slurm."""

    def none(what: str, *_: Any, **__: Any) -> JobIdentity:
        raise JobError(f"no distributed job {what!r} on this node")

    for module in (_job_pick, _job_diagnose):
        monkeypatch.setattr(module, "find_job", none)
    monkeypatch.setattr(_job_pick, "find_jobs", lambda **_: Found())
    monkeypatch.setattr(_job_evidence, "find_jobs", lambda **_: Found())
    monkeypatch.setattr(slurm, "is_here", lambda: False)


# --- jobs --------------------------------------------------------------------------------------------------------


def test_jobs_lists_everything_with_what_attach_takes_in_the_first_column(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = (
        JobSummary(
            key="torchrun:abc",
            launcher="torchrun",
            ranks=2,
            world_size=8,
            user="ada",
            command="/p/python3 t.py",
            started_ns=time.time_ns() - 5 * 86400 * 10**9,
        ),
        JobSummary(
            key="k",
            launcher="torchdoctor",
            ranks=2,
            run="/x/20260101T000000Z-n1-abcdef",
            state="failed",
            command="t.py --token hunter2hunter2 \x1b[2J",
        ),
    )
    monkeypatch.setattr(jobs_command, "listing", lambda _: Listing(jobs=rows, notes=("hidepid hides others",)))
    assert run(["jobs"]) == 0
    said = capfd.readouterr()
    first, one, two = said.out.splitlines()
    assert first.split() == ["job", "launcher", "ranks", "state", "user", "age", "command"]
    assert one.split() == ["torchrun:abc", "torchrun", "2/8", "running", "ada", "5", "d", "t.py"]
    assert two.startswith("20260101T000000Z-n1-abcdef")
    assert "hunter2" not in two
    assert "\x1b" not in two
    assert "hidepid hides others" in said.err
    assert run(["jobs", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document.keys() >= {"schema", "host", "taken", "jobs", "notes"}
    assert document["jobs"][0].keys() == set(JobSummary.__struct_fields__)


def test_no_job_is_said_in_words(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(jobs_command, "listing", lambda _: Listing())
    assert run(["jobs"]) == 0
    assert "no distributed job is here" in capfd.readouterr().out


# --- attach and diagnose on a run that has ended -----------------------------------------------------------------


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize("command", [["attach"], ["attach", "--once"], ["diagnose"]], ids=" ".join)
@pytest.mark.parametrize(("verdict", "code"), [(HEALTHY, 0), (RAISED, 1), (HUNG, 4)], ids=["none", "cause", "not sure"])
def test_a_run_that_has_ended_is_told_from_what_it_kept(
    command: list[str], verdict: JobVerdict, code: int, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = own_run(place, verdict)
    assert run([command[0], made.name, *command[1:]]) == code
    assert verdict.line in capfd.readouterr().out
    assert run([command[0], made.name, *command[1:], "--json"]) == code
    document = json.loads(capfd.readouterr().out)
    assert document.keys() - {"compiling"} == set(JobView.__struct_fields__)
    assert document.get("compiling") is None, "nothing of it runs"
    assert document["verdict"]["cause"] == verdict.cause


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize("command", ["attach", "diagnose"])
@pytest.mark.parametrize("what", ["torchrun:none", "4242", "20991231T000000Z-n1-abcdef"])
def test_a_job_that_is_not_there_is_one_line_and_2(command: str, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([command, what]) == 2
    said = capfd.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "no distributed job" in said.err


@pytest.mark.parametrize("command", ["attach", "diagnose", "stop"])
def test_a_check_is_no_job(command: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = rundir.create(place, "check")
    assert run([command, made.name]) == 2
    assert "is a check, no job" in capfd.readouterr().err


# --- diagnose here and over nodes --------------------------------------------------------------------------------


def seen(who: JobIdentity, host: str = "n1", **fields: Any) -> NodeEvidence:
    ranks = tuple(RankEvidence(identity=rank, processes=(ProcessReading(t_ns=1, state="S"),)) for rank in who.ranks)
    base = NodeEvidence(host=host, t_ns=1, m_ns=1, job=who, ranks=ranks)
    return msgspec.structs.replace(base, **fields)


def test_a_job_of_this_node_is_looked_at_now(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_job_pick, "find_job", lambda _: job())
    monkeypatch.setattr(_job_diagnose, "evidence_of", lambda who, **_: seen(who))
    assert run(["diagnose", "torchrun:abc", "--json"]) == 4
    document = json.loads(capfd.readouterr().out)
    assert [row["pid"] for row in document["ranks"]] == [4000, 4001]
    assert not document["verdict"]["sure"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nodes that answer: what they were asked is kept; node n2 gives no answer."""
    calls: list[Any] = []

    def ask(names: tuple[str, ...], via: Via, key: str, deadline_s: float) -> tuple[NodeEvidence, ...]:
        calls.append((names, via, key, deadline_s))
        return (seen(job(), "n1"), NodeEvidence(host="n2", t_ns=1, state="no answer", why="no answer in time"))

    monkeypatch.setattr(_job_diagnose, "ask_nodes", ask)
    return calls


def test_nodes_that_a_person_names_are_asked_by_their_prefix(
    asked: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--via",
        "ssh {node}",
        "--nodes",
        "n1,n2",
        "--program",
        "/opt/td/bin/torchdoctor",
        "--deadline",
        "3",
        "--sure",
    ]
    assert run(["diagnose", "torchrun:abc", *words]) == 4
    assert asked == [(("n1", "n2"), Via("ssh {node}", ("/opt/td/bin/torchdoctor",), twice=True), "torchrun:abc", 3.0)]
    assert "n2: no answer: no answer in time" in capfd.readouterr().out


@pytest.mark.usefixtures("nothing_here")
def test_a_slurm_job_of_elsewhere_is_asked_over_srun(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm, "is_here", lambda: True)
    monkeypatch.setattr(slurm, "nodes_of", lambda job: ("n1", "n2") if job == "42" else ())
    assert run(["diagnose", "42"]) == 4
    ((names, via, key, _),) = asked
    assert (names, via.prefix, via.job, key) == (("n1", "n2"), slurm.VIA, "42", "42")
    assert via.program != ("torchdoctor",)
    capfd.readouterr()


def test_a_slurm_job_that_is_here_and_elsewhere_too_is_asked_everywhere(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = job("slurm:42.0", slurm_job="42.0", world_size=16)
    monkeypatch.setattr(_job_pick, "find_job", lambda _: here)
    monkeypatch.setattr(slurm, "is_here", lambda: True)
    monkeypatch.setattr(slurm, "nodes_of", lambda _: ("n1", "n2"))
    run(["diagnose", "slurm:42.0"])
    assert [(names, via.job, key) for names, via, key, _ in asked] == [(("n1", "n2"), "42", "slurm:42.0")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which job"),
        (["k", "--nodes", "a"], "--nodes needs --via"),
        (["k", "--via", "ssh {node}"], "name them with --nodes"),
        (["k", "--via", "ssh {node}", "--nodes", "-oX"], "is no name of a node"),
        (["k;x", "--via", "ssh {node}", "--nodes", "a"], "a shell on the node could take apart"),
        (["k", "--via", "ssh {node}", "--nodes", "a", "--at", "-5m"], "goes with no --via"),
        (["k", "--via", "ssh {node}", "--nodes", "a", "--deadline", "0"], "1<=x<=120"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_line_and_2(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["diagnose", *words]) == 2
    told = capfd.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert said in told.err


@pytest.mark.usefixtures("nothing_here")
def test_a_run_at_a_time_is_told_from_what_was_collected_by_then(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = own_run(place, RAISED)
    folder = node_folder(made, "n1")
    folder.evidence.mkdir()
    old, new = (seen(job(), t_ns=stamp * 10**9) for stamp in (1_700_000_000, 1_800_000_000))
    for number, one in enumerate((old, new), 1):
        (folder.evidence / f"{number:03}.json").write_bytes(msgspec.json.encode(one))
    assert run(["diagnose", made.name, "--at", "2024-06-01 12:00", "--json"]) == 4
    assert json.loads(capfd.readouterr().out)["t_ns"] == old.t_ns
    assert run(["diagnose", made.name, "--at", "2020-01-01 00:00"]) == 2
    assert "had collected anything by then" in capfd.readouterr().err
    assert run(["diagnose", "torchrun:abc", "--at", "-5m"]) == 2
    assert "is no such run" in capfd.readouterr().err


# --- snapshot ----------------------------------------------------------------------------------------------------


def test_the_jobs_of_a_snapshot_are_those_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = (job("torchrun:abc"), job("slurm:42.0", slurm_job="42.0"), job("slurm:42.1", slurm_job="42.1"))
    monkeypatch.setattr(_job_evidence, "find_jobs", lambda **_: Found(jobs=jobs))
    monkeypatch.setattr(_job_evidence, "evidence_of", lambda who, *_, **__: seen(who))
    monkeypatch.setattr(_job_snapshot, "look", lambda _: SimpleNamespace(sample=None))

    def keys(*words: str) -> list[str]:
        assert run(["snapshot", "--only-jobs", *words]) == 0
        document = json.loads(capfd.readouterr().out)
        assert document.keys() == {"schema", "torchdoctor", "taken", "host", "jobs"}
        return [one["job"]["key"] for one in document["jobs"]]

    assert keys() == ["torchrun:abc", "slurm:42.0", "slurm:42.1"]
    assert keys("--job", "abc") == ["torchrun:abc"]
    assert keys("--job", "42") == ["slurm:42.0", "slurm:42.1"]
    assert keys("--job", "slurm:42.1") == ["slurm:42.1"]
    assert keys("--job", "none") == []


def test_attach_on_a_foreign_job_starts_a_watcher_and_ends_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = own_run(place, HUNG, "stuck")
    closed: list[bool] = []

    class Watching:
        run = made

        def alive(self) -> bool:
            return True

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(_job_pick, "find_job", lambda _: job())
    monkeypatch.setattr("torchprobes.jobs.watch.attach", lambda where, who: Watching())
    assert run(["attach", "torchrun:abc", "--once", "--json"]) == 4
    assert json.loads(capfd.readouterr().out)["verdict"]["line"] == HUNG.line
    assert closed == [True]
