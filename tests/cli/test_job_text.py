"""A job as text: the verdict first, in words that a terminal survives, and the exit code that goes with it."""

from __future__ import annotations

import msgspec
import pytest

from torchdoctor.commands._job_follow import Changes
from torchdoctor.commands._job_text import exit_code, job_lines, short, source_lines, verdict_line
from torchprobes.distributed import JobVerdict, JobView, RankView, SourceState, StackGroup
from torchprobes.jobs.wording import collective_words, op_words, ranks_words
from torchprobes.model import Evidence

RAISED = JobVerdict(ranks=(2,), cause="raised", sure=True, line="rank 2 on n1 raised ValueError at train.py:7")


def view(*ranks: RankView, verdict: JobVerdict = RAISED, **fields: object) -> JobView:
    return JobView(job="torchrun:x", state="failed", verdict=verdict, ranks=ranks, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "code", "line"),
    [
        (JobVerdict(sure=True), 0, "no fault found"),
        (RAISED, 1, "rank 2 on n1 raised ValueError at train.py:7"),
        (JobVerdict(ranks=(2,), cause="killed", line="rank 2 or rank 3"), 4, "not sure: rank 2 or rank 3"),
        (JobVerdict(cause="unknown", line="not sure: nothing tells"), 4, "not sure: nothing tells"),
        (JobVerdict(ranks=(2,), cause="stopped", line="rank 2; not sure: once"), 4, "rank 2; not sure: once"),
        (JobVerdict(cause="unknown", line="starting: no rank yet"), 4, "starting: no rank yet"),
        (JobVerdict(), 4, "not sure: no fault found"),
        (JobVerdict(ranks=(1, 2), cause="oom", sure=True), 1, "oom on ranks 1 and 2"),
    ],
)
def test_verdict_and_exit_code_go_together(verdict: JobVerdict, code: int, line: str) -> None:
    assert exit_code(view(verdict=verdict)) == code
    assert verdict_line(view(verdict=verdict)) == line


def test_the_verdict_comes_first_and_everything_below_it_is_there() -> None:
    stacks = (StackGroup(ranks=(0, 1), what="all_reduce", text=("all_reduce (dist.py:3)",)),)
    rows = (RankView(rank=0, host="n1", pid=7, state="waiting", collective="all_reduce #5", waiting_s=12.0),)
    shown = view(*rows, evidence=(Evidence(kind="exit", text="code 1", artifact="e.json"),), stacks=stacks,
                 notes=("hidepid",), world_size=4, nodes=("n1", "n2"))  # fmt: skip
    text = "\n".join(job_lines(shown, 100))
    assert text.startswith("rank 2 on n1 raised")
    for part in ("1 of 4 ranks", "n1, n2", "all_reduce #5 12 s", "exit: code 1  (e.json)", "stack of ranks 0 and 1",
                 "    all_reduce (dist.py:3)", "note: hidepid"):  # fmt: skip
        assert part in text


def test_what_comes_from_outside_neither_styles_the_terminal_nor_leaks_a_secret() -> None:
    hostile = "\x1b[2J --token hunter2hunter2"
    sources = (SourceState(source="py-spy", available=False, why=hostile, command=hostile),)
    rows = (RankView(rank=0, host=hostile, state=hostile, why=hostile, exit=hostile, gpu=hostile, sources=sources),)
    verdict = JobVerdict(ranks=(0,), cause=hostile, sure=True, line=hostile)
    shown = view(*rows, verdict=verdict, command=hostile, user=hostile, notes=(hostile,),
                 evidence=(Evidence(kind=hostile, text=hostile),),
                 stacks=(StackGroup(ranks=(0,), what=hostile, text=(hostile,)),))  # fmt: skip
    text = "\n".join(job_lines(shown, 300))
    assert "\x1b" not in text
    assert text.count("hunter2hunter2") == 0


def test_sources_are_one_table_by_equal_answers() -> None:
    denied = SourceState(source="py-spy", available=False, why="ptrace_scope is 1", command="sysctl x=0")
    process, gpu = SourceState(source="process", available=True), SourceState(source="gpu", available=False, why="none")
    spied = SourceState(source="py-spy", available=True)
    rows = [RankView(rank=number, sources=(process, denied, gpu)) for number in (0, 1, 2)]
    shown = view(*rows, RankView(rank=3, sources=(process, spied)), evidence=(Evidence(kind="source", text="py-spy"),))
    living = msgspec.structs.replace(shown, state="running")
    assert list(source_lines(living, 100)) == [
        "",
        "sources:",
        "  process  ranks 0–3: yes",
        "  py-spy   ranks 0–2: no: ptrace_scope is 1 · sysctl x=0",
        "           rank 3: yes",
        "  gpu      ranks 0–2: no: none",
    ]
    text = "\n".join(job_lines(living, 100))
    assert text.count("ptrace_scope") == 1
    assert text.count("py-spy") == 1, "not as evidence too"
    assert list(source_lines(shown, 100)) == ["", "sources:", "  py-spy  ranks 0–2: no: ptrace_scope is 1 · sysctl x=0"]
    nothing = view(RankView(rank=0, sources=(process, gpu)))
    assert not list(source_lines(nothing, 100)), "of a job that is over only what would have helped"


def test_evidence_is_cut_by_lines_and_says_so() -> None:
    pieces = tuple(Evidence(kind="exit", text=f"piece {number}") for number in range(40))
    text = list(job_lines(view(RankView(rank=0), evidence=pieces), 100))
    assert "  exit: piece 11" in text
    assert "  and 28 more: --json has all" in text


def test_columns_of_ranks_that_say_nothing_are_left_out() -> None:
    rows = (
        RankView(rank=0, host="n1", pid=7, state="waiting"),
        RankView(rank=10, host="node-22", pid=12345, state="hung"),
    )
    lines = list(job_lines(view(*rows), 100))
    assert lines[3:6] == ["rank  host       pid  state", "   0  n1           7  waiting", "  10  node-22  12345  hung"]


def test_of_512_ranks_those_that_stand_out_are_listed_and_the_rest_counted() -> None:
    rows = [RankView(rank=number, state="running") for number in range(512)]
    rows[300] = RankView(rank=300, state="hung", why="it did not join all_reduce #5")
    text = list(job_lines(view(*rows), 100))
    assert any(line.lstrip().startswith("300") and "did not join" in line for line in text)
    assert "  and 511 more: --json has all" in text
    assert len(text) < 20


def test_ranks_and_collectives_in_words() -> None:
    assert ranks_words([]) == "no rank"
    assert ranks_words([3]) == "rank 3"
    assert ranks_words([1, 0]) == "ranks 0 and 1"
    assert ranks_words([3, 0, 1]) == "ranks 0, 1 and 3"
    assert ranks_words([7, 0, 2, 1, 1]) == "ranks 0–2 and 7"
    assert ranks_words(range(0, 40, 3)) == "ranks 0, 3, 6, 9, 12, 15 …"
    assert collective_words("all_reduce", 26) == "all_reduce #26"
    assert collective_words("", 26, "7") == "collective #26 of group 7"
    assert [op_words(name) for name in ("ALLREDUCE", "AllGather", "nccl:broadcast", "group 0", "default_pg")] == [
        "all_reduce", "all_gather", "broadcast", "", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/opt/venv/bin/python3.11 -u -m torch.distributed.run --x t.py", "t.py"),
        ("/opt/venv/bin/python3.11 -u -m pkg.train --x", "-m pkg.train --x"),
        ("/usr/bin/python /home/a/train.py --lr 3", "train.py --lr 3"),
        ("/p/python -m torch.distributed.run --no-python /p/python -I -S -B /x/rank_shim.py td-1 /p/python -u t.py 1",
         "t.py 1"),
        ("mpirun -n 2 x --token hunter2hunter2", "mpirun -n 2 x --token ***"),
        ("/p/python", "python"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_command_without_its_interpreter(command: str, words: str) -> None:
    assert short(command) == words


# --- changes -----------------------------------------------------------------------------------------------------


def told(*views: JobView, changes: Changes | None = None, apart: float = 1.0) -> list[str]:
    changes = changes or Changes()
    lines = [line for place, one in enumerate(views) for line in changes.lines(one, place * apart)]
    return [line.partition(" ")[2] for line in lines]


def job(state: str, *ranks: str, verdict: JobVerdict | None = None) -> JobView:
    rows = tuple(RankView(rank=number, state=word) for number, word in enumerate(ranks))
    return JobView(job="k", state=state, verdict=verdict or JobVerdict(sure=True), ranks=rows)


def test_each_change_is_one_line_and_nothing_is_told_twice() -> None:
    start = job("starting", verdict=JobVerdict(cause="unknown", line="nothing is known"))
    runs = job("running", "stepping", "stepping")
    dies = msgspec.structs.replace(
        job("failing", verdict=RAISED), ranks=(runs.ranks[0], RankView(rank=1, state="killed", exit="SIGKILL"))
    )
    assert told(start, runs, runs, runs, dies, dies, dies) == [
        "starting: no rank yet", "running", "ranks 0 and 1 stepping", "failing", "rank 1 killed: SIGKILL",
        "rank 2 on n1 raised ValueError at train.py:7",
    ]  # fmt: skip


def test_a_start_that_flaps_is_calm() -> None:
    views = [
        job("starting"), job("running", "running", "running"), job("starting", "starting", "starting"),
        job("starting", "importing", "starting"), job("starting", "importing", "importing"),
        *[job("starting", "importing", "importing")] * 5, *[job("running", "initialising", "importing")] * 4,
        *[job("starting", "initialising", "initialising")] * 6, *[job("running", "importing", "starting")] * 6,
    ]  # fmt: skip
    assert told(*views, apart=0.2) == [
        "starting: no rank yet", "ranks 0 and 1 importing", "ranks 0 and 1 initialising", "running",
    ]  # fmt: skip


def test_ranks_that_wait_and_step_in_turn_are_at_work() -> None:
    turns = [job("running", "stepping", "waiting"), job("running", "waiting", "stepping")] * 4
    assert told(*[job("running", "stepping", "stepping")] * 3, *turns, apart=0.9) == [
        "running", "ranks 0 and 1 stepping"
    ]  # fmt: skip


HANG = JobVerdict(ranks=(2,), cause="hung-in-collective", site="t.py:8", doubt="it may be slow (sure from 90 s on)")


def hang(seconds: int, **fields: object) -> JobView:
    line = f"no progress for {seconds} s: ranks 0 and 1 wait for rank 2; not sure: {HANG.doubt}"
    return job("stuck", verdict=msgspec.structs.replace(HANG, line=line, **fields))


def test_a_hang_is_told_when_something_of_it_changes_and_again_after_1_5_and_15_minutes() -> None:
    lines = told(*(hang(seconds) for seconds in range(1, 1100)))
    assert [line.partition(" s:")[0] for line in lines] == ["stuck"] + [
        f"no progress for {seconds}" for seconds in (2, 62, 302, 902)
    ]
    site = told(hang(10, site="", doubt="one look only so far"), hang(10), hang(11), hang(12), apart=0.6)
    assert len(site) == 2, "the first word waits for the call site"
    sure = told(hang(10), hang(11), hang(90), hang(91, sure=True, doubt=""), hang(92, sure=True, doubt=""))
    assert len(sure) == 3


def test_a_restarted_rank_is_told_again() -> None:
    first = JobView(job="k", state="running", ranks=(RankView(rank=0, state="stepping"),))
    again = JobView(job="k", state="running", ranks=(RankView(rank=0, state="stepping", attempt=1),))
    assert told(first, first, again, again) == ["running", "rank 0 stepping", "rank 0 stepping"]


def test_the_end_holds_nothing_back() -> None:
    lines = list(Changes().lines(job("ended", "ended", "importing"), 0.0, last=True))
    assert len(lines) == 3
