"""The overview and the page of a compile, as text: worst first, nothing guessed, nothing lost on a narrow screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_logs import (
    ALL_WRONG,
    COMPILES,
    HOSTILE_ONE,
    KILLED,
    MODEL,
    NOTHING_KNOWN,
    NOTHING_WRONG,
    TRACE,
    TRAIN,
    break_at,
    recompile,
)
from rich.cells import cell_len

from torchdoctor.paint import Page, text_of
from torchdoctor.signs import drawn
from torchdoctor.widgets.explain_rows import compile_sheet, overview
from torchdoctor.widgets.explain_words import UNKNOWN, seconds_text, short_names
from torchprobes.compilelog.events import Line, Place
from torchprobes.compilelog.explanation import NOTHING, Explanation

FUNCTION = f"function:{TRAIN}:14"
BREAK = f"break:{TRAIN}:9:Data-dependent branching"


def lines(page: Page) -> list[str]:
    return [text_of(row).rstrip() for row in page.lines]


def words(explanation: Explanation, width: int = 120, *opened: str) -> str:
    return "\n".join(lines(overview(explanation, width, frozenset(opened)).page))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("explanation", [NOTHING, NOTHING_KNOWN, NOTHING_WRONG, ALL_WRONG, KILLED, HOSTILE_ONE])
def test_no_line_is_wider_than_the_screen_and_none_acts(explanation: Explanation, width: int) -> None:
    opened = frozenset({FUNCTION, "foreign", "meant", "caches", "tuned", "kernels", "compiles", "warnings"})
    sheet = overview(explanation, width, opened)
    told = [row for key in sheet.told for row in sheet.tell(key, width)]
    for row in [*sheet.page.lines, *told]:
        text = text_of(row)
        assert drawn(text, False) == text, "it is safe before it comes to the screen"
        assert drawn(text, True).isascii()
    for row in told:
        assert cell_len(text_of(row)) <= width
    assert len(set(sheet.page.keys.values())) == len(sheet.page.keys)
    assert set(sheet.page.keys.values()) == set(sheet.targets)


def test_a_run_in_which_all_is_well_raises_no_alarm() -> None:
    sheet = overview(NOTHING_WRONG, 120)
    assert not sheet.page.marks
    shown = words(NOTHING_WRONG)
    assert "✔ exit 0  2 graphs · 2 frames compiled · 12.4 s forward · 3.10 s backward" in shown
    names = "suppressed errors · recompile limits · graph breaks · recompiles · CUDA graph skips · fallback kernels"
    assert f"none: fatal error of torch.compile · {names}" in " ".join(shown.split())
    assert UNKNOWN not in shown
    assert not {"fail", "warn"} & {role for row in sheet.page.lines for _, role in row}


def test_what_the_files_cannot_tell_is_never_told_as_none() -> None:
    shown = " ".join(words(NOTHING_KNOWN).split())
    assert "none:" not in shown
    assert f"? {UNKNOWN}: fatal error of torch.compile · suppressed errors · recompile limits" in shown
    assert "graphs · compile seconds" in shown
    known = " ".join(words(replace(NOTHING_KNOWN, breaks=())).split())
    assert "none: graph breaks" in known
    assert "there is no trace" in known


def test_before_anything_is_known_it_says_so() -> None:
    assert "no output of torch.compile yet" in words(NOTHING)
    assert "none:" not in words(NOTHING)


def test_the_worst_comes_first_and_e_visits_it_in_that_order() -> None:
    sheet = overview(ALL_WRONG, 120)
    visited = [sheet.page.keys[at] for at in sorted(sheet.page.marks)]
    kinds = [key.partition(":")[0] for key in visited]
    assert kinds == ["failure", "limit", "break", "break", "function", "skip", "fallback"]
    shown = lines(sheet.page)
    assert "  ✘ model.py:31  InductorError: CppCompileError: C++ error" in "\n".join(shown)
    assert any("train.py:9   Data-dependent branching   if loss.sum() > 0:" in row and "×6" in row for row in shown)


def test_breaks_inside_installed_packages_are_one_line_that_opens() -> None:
    shown = words(ALL_WRONG)
    assert "▸ 2 breaks inside installed packages, 4 in all" in shown
    assert "einops.py" not in shown
    opened = words(ALL_WRONG, 120, "foreign")
    assert "einops.py:88" in opened
    assert "packing.py:90" in opened


def test_a_line_in_full_says_why_and_what_to_do() -> None:
    sheet = overview(ALL_WRONG, 100)
    told = "\n".join(text_of(row) for row in sheet.tell(BREAK, 100))
    for part in (
        "if loss.sum() > 0:",
        "Dynamo does not know how",
        "Use torch.cond. Move it out.",
        "gb0059",
        "0/0, 1/0",
    ):
        assert part in told
    pace = "\n".join(text_of(row) for row in sheet.tell(FUNCTION, 100))
    for part in ("2 › 3 › 4 › 5", "8 of 8 compiles · 12.3 a minute, rising", "9.10 s spent", "mark_dynamic(x, 0)"):
        assert part in pace
    assert sheet.tell("no such key", 100) == []


def test_what_torch_says_to_do_about_an_error_is_told_apart_from_why() -> None:
    reason = "Data-dependent branching\n  Explanation: a tensor decides.\n  Hint: Use torch.cond.\n  Hint: Move it."
    fatal = replace(ALL_WRONG.suppressed[0], reason=reason) if ALL_WRONG.suppressed else None
    told = "\n".join(text_of(row) for row in overview(replace(NOTHING_WRONG, fatal=fatal), 100).tell("fatal", 100))
    assert "to do        Use torch.cond. Move it." in told
    assert "reason       Data-dependent branching Explanation: a tensor decides." in told


def test_each_line_leads_to_its_evidence_and_to_the_users_line() -> None:
    targets = overview(ALL_WRONG, 120, frozenset({FUNCTION})).targets
    assert targets[BREAK].place == Place(TRACE, 1000, 200)
    assert targets[BREAK].source == Line(TRAIN, 9, "step", "    if loss.sum() > 0:")
    assert targets["failure:4242:3/0"].source == Line(MODEL, 31, "broken", "return x.cumsum(0)")
    assert targets["recompile:4242:0/3"].place == Place(TRACE, 5003, 90)
    assert targets["recompile:4242:0/3"].compile == ("4242", "0/3")


def test_recompiles_are_told_by_function_with_each_of_them_below() -> None:
    assert "[0/3]" not in words(ALL_WRONG)
    opened = words(ALL_WRONG, 120, FUNCTION)
    assert "▾ ↻ step train.py:14" in opened
    assert "[0/3]     size of x at 0: 4 expected, 5 came" in opened


def test_many_of_a_kind_are_folded_and_open() -> None:
    many = replace(NOTHING_WRONG, breaks=tuple(break_at(n, "a print") for n in range(1, 40)))
    assert words(many).count("◆") == 10
    assert "▸ 29 more" in words(many)
    assert words(many, 120, "more:breaks").count("◆") == 39


def test_two_files_of_one_name_are_told_apart() -> None:
    two = (break_at(9, "a print"), break_at(9, "a print", file="/home/mara/eval/train.py"))
    shown = words(replace(NOTHING_WRONG, breaks=two))
    assert "net/train.py:9" in shown
    assert "eval/train.py:9" in shown
    assert short_names(["/a/b/c.py", "/a/c.py", "/x.py", ""]) == {
        "/a/b/c.py": "b/c.py",
        "/a/c.py": "a/c.py",
        "/x.py": "x.py",
    }


def test_a_place_that_is_too_long_keeps_its_line_number() -> None:
    one = break_at(1234, "a print", file="/home/mara/" + "very_long_" * 12 + ".py")
    assert ":1234" in words(replace(NOTHING_WRONG, breaks=(one,)), 60)


def test_what_compiles_now_is_told_with_its_time_and_the_users_line() -> None:
    running = replace(KILLED, killed_by="", processes=(replace(KILLED.processes[0], last_s=1010.0),))
    shown = "\n".join(lines(overview(running, 80, now_s=1012.0).page))
    assert "● compiling  " in shown
    assert "compiling now" in shown
    assert "train.py:14  [0/0] · rank 0, pid 4242 · 12.0 s" in shown
    assert "return model(x).relu()" in shown
    assert "entire_backward_compile › inductor_compile › compile_file" in shown
    silent = "\n".join(lines(overview(running, 80, now_s=1310.0).page))
    assert "? silent within a compile" in silent
    assert "nothing was said for 5 m 0 s: killed, or hung" in silent


def test_a_killed_run_says_what_it_was_at() -> None:
    shown = words(KILLED)
    assert "✘ killed by SIGKILL" in shown
    assert "when it ended, this was compiling" in shown
    assert "the program's last line  epoch 1 step 20 loss 0.31" in shown
    assert "compiling now" not in shown


def test_ranks_that_compile_the_same_are_one_line() -> None:
    ranks = tuple(replace(KILLED.processes[0], key=f"r{n}:{n}", rank=n, pid=n) for n in range(8))
    shown = words(replace(KILLED, killed_by="", processes=ranks))
    assert shown.count("train.py:14") == 1
    assert "on 8 processes" in shown


def test_what_is_the_same_on_many_ranks_is_one_line() -> None:
    ranks = [f"r{rank}:{rank}" for rank in range(16)]
    several = replace(
        ALL_WRONG,
        limits=tuple(replace(ALL_WRONG.limits[0], process=rank) for rank in ranks if ALL_WRONG.limits),
        suppressed=tuple(replace(ALL_WRONG.suppressed[0], process=rank) for rank in ranks if ALL_WRONG.suppressed),
        recompiles=tuple(replace(recompile(n), process=rank) for rank in ranks for n in range(2)),
    )
    shown = words(several)
    assert shown.count("■") == shown.count("✘ model.py") == shown.count("↻") == 1
    assert shown.count("on 16 ranks") == 3
    assert "×32 on 16 ranks" in shown


def test_an_exit_that_is_none_of_torch_compiles_is_no_fatal_error() -> None:
    shown = words(replace(NOTHING_WRONG, exit_code=1))
    assert "✘ exit 1" in shown
    assert "none: fatal error of torch.compile" in shown
    unknown = " ".join(words(replace(NOTHING_WRONG, fatal_known=False)).split())
    assert f"{UNKNOWN}: fatal error of torch.compile" in unknown


def test_phases_are_bars_of_the_whole_and_say_that_they_overlap() -> None:
    shown = words(ALL_WRONG)
    assert "compile time  forward 12.4 s · backward 3.10 s; phases lie within each other" in shown
    row = next(row for row in shown.splitlines() if "entire_frame_compile" in row)
    assert row.count("━") == round(9.0 / 15.5 * 40)


def test_folded_lists_open_with_their_counts() -> None:
    shown = words(ALL_WRONG, 120, "caches", "tuned", "kernels", "compiles")
    for part in ("aotautograd 1 hit · fx_graph 1 bypass · fx_graph 1 miss", "fx_graph bypass · a custom op",
                 "triton_mm_4 in 0.0123 ms, of 2 choices", "triton_poi_fused_relu_0", "add relu", "3 compiled",
                 "[0/2] train.py:14"):  # fmt: skip
        assert part in shown


def test_a_compile_has_a_page_with_what_can_be_read_of_it() -> None:
    sheet = compile_sheet(ALL_WRONG, COMPILES[1], 100)
    shown = "\n".join(lines(sheet.page))
    for part in ("[0/1] step  ✔ compiled  train.py:14", "fx_graph miss", "1.50 s cpu", "dynamo_output_graph",
                 "the graph as Dynamo traced it"):  # fmt: skip
        assert part in shown
    assert sheet.targets[f"piece:{TRACE}:9001"].piece == COMPILES[1].pieces[0]
    cached = compile_sheet(ALL_WRONG, replace(COMPILES[1], state="cached", pieces=(), phases=()), 100)
    assert "a cache hit leaves no artefacts" in "\n".join(lines(cached.page))


def test_times_of_any_length_fit() -> None:
    said = [seconds_text(s) for s in (None, 0.0, 0.003, 0.42, 12.34, 75.0, 4000.0, 300_000.0)]
    assert said == ["?", "0 ms", "3 ms", "0.42 s", "12.3 s", "1 m 15 s", "1 h 6 m", "3 d 11 h"]


def test_a_page_of_thousands_of_rows_is_made_from_what_is_shown() -> None:
    breaks = tuple(break_at(n, f"kind {n}", foreign=n % 2 == 0) for n in range(2000))
    big = replace(
        ALL_WRONG, breaks=breaks, recompiles=tuple(recompile(n) for n in range(2000)), compiles=COMPILES * 500
    )
    sheet = overview(big, 120)
    assert len(sheet.page.lines) < 90
    assert "▸ 990 more" in "\n".join(lines(sheet.page))
