"""A job as text: the verdict first, in words that a terminal survives, and the exit code that goes with it."""

from __future__ import annotations

import pytest

from torchdoctor.commands._job_follow import Changes
from torchdoctor.commands._job_text import exit_code, job_lines, ranks_words, short, source_lines, verdict_line
from torchprobes.distributed import JobVerdict, JobView, RankView, SourceState, StackGroup
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
        (JobVerdict(), 4, "not sure: no fault found"),
        (JobVerdict(ranks=(1, 2), cause="oom", sure=True), 1, "oom on ranks 1-2"),
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
    for part in ("1 of 4 ranks", "n1, n2", "all_reduce #5 12 s", "exit: code 1  (e.json)", "stack of ranks 0-1",
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


def test_sources_are_told_once_for_ranks_that_have_the_same() -> None:
    denied = SourceState(source="py-spy", available=False, why="yama: ptrace_scope is 1", command="sysctl x=0")
    same = (SourceState(source="process", available=True), denied)
    rows = [RankView(rank=number, sources=same) for number in (0, 1, 2)] + [RankView(rank=3, sources=same[:1])]
    assert list(source_lines(rows, 100)) == [
        "sources of ranks 0-2: process",
        "  no py-spy: yama: ptrace_scope is 1",
        "      obtain it: sysctl x=0",
        "sources of rank 3: process",
    ]


def test_of_512_ranks_those_that_stand_out_are_listed_and_the_rest_counted() -> None:
    rows = [RankView(rank=number, state="running") for number in range(512)]
    rows[300] = RankView(rank=300, state="hung", why="it did not join all_reduce #5")
    text = list(job_lines(view(*rows), 100))
    assert any(line.lstrip().startswith("300") and "did not join" in line for line in text)
    assert "  and 511 more: --json has all" in text
    assert len(text) < 20


def test_ranks_in_words() -> None:
    assert ranks_words([]) == "no rank"
    assert ranks_words([3]) == "rank 3"
    assert ranks_words([7, 0, 2, 1, 1]) == "ranks 0-2, 7"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/opt/venv/bin/python3.11 -u -m torch.distributed.run --x t.py", "torch.distributed.run --x t.py"),
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


def told(changes: Changes, *views: JobView) -> list[str]:
    return [line.partition(" ")[2] for one in views for line in changes.lines(one)]


def test_each_change_is_one_line_and_nothing_is_told_twice() -> None:
    healthy = JobVerdict(sure=True)
    start = JobView(job="k", state="starting", verdict=JobVerdict(cause="unknown", line="nothing is known"))
    both = tuple(RankView(rank=number, state="stepping") for number in (0, 1))
    runs = JobView(job="k", state="running", verdict=healthy, ranks=both)
    dies = JobView(job="k", state="failing", verdict=RAISED,
                   ranks=(both[0], RankView(rank=1, state="killed", exit="SIGKILL")))  # fmt: skip
    assert told(Changes(), start, runs, runs, dies, dies) == [
        "starting", "running", "ranks 0-1 stepping", "failing", "rank 1 killed: SIGKILL",
        "rank 2 on n1 raised ValueError at train.py:7",
    ]  # fmt: skip


def test_a_restarted_rank_is_told_again() -> None:
    changes = Changes()
    first = JobView(job="k", state="running", ranks=(RankView(rank=0, state="stepping"),))
    again = JobView(job="k", state="running", ranks=(RankView(rank=0, state="stepping", attempt=1),))
    assert told(changes, first, again) == ["running", "rank 0 stepping", "rank 0 stepping"]
