"""Parts of the Report pane: lines made late, pictures, the desk as a real process, runs as rows, crowds of nodes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from console_app import page_text
from fake_reports import keep_run, on, write_files
from fakes import HOSTILE, REPORT
from rich.style import Style

from torchdoctor import desk
from torchdoctor.paint import line, text_of
from torchdoctor.panes.report_views import pruned_by
from torchdoctor.picture import drawer, svg
from torchdoctor.widgets.cell_rows import spark
from torchdoctor.widgets.lazy_lines import LazyLines
from torchdoctor.widgets.matrix_rows import Look, columns_of, matrix_page
from torchprobes.model import REPORT_ORDER, Verdict
from torchprobes.reports.keeping import Keeper
from torchprobes.reports.seen import CODE_OF, CODES, PlatformSeen, RowSeen, Seen
from torchprobes.rundir import RunError

DEADLINE_S = 60.0


# --- lines made late -----------------------------------------------------------------------------------------------


def test_only_lines_that_are_looked_at_are_made_and_each_once() -> None:
    made: list[int] = []

    def make(place: int) -> tuple[tuple[str, str], ...]:
        made.append(place)
        return line(f"node {place}")

    lines = LazyLines()
    lines.add(line("head"))
    lines.later(1000, make)
    lines.add(line("foot"))
    assert len(lines) == 1002
    assert not made
    assert [text_of(row) for row in (lines[0], lines[1], lines[1000], lines[-1], lines[1])] == [
        "head", "node 0", "node 999", "foot", "node 0",
    ]  # fmt: skip
    assert made == [0, 999]
    assert [text_of(row) for row in lines[10:12]] == ["node 9", "node 10"]


def crowd(count: int) -> Seen:
    """A comparison of so many nodes, one of which is odd."""
    platforms = tuple(
        PlatformSeen(label=f"node-{n:04}", verdict=Verdict.FAIL if n == 417 else Verdict.PASS, where=f"/{n}")
        for n in range(count)
    )
    codes = "".join(CODE_OF[platform.verdict] for platform in platforms)
    rows = tuple(RowSeen(name=f"probe.{n}", group="probe", verdicts=codes, change="lost") for n in range(60))
    return Seen(key="1", platforms=platforms, rows=rows)


def test_of_a_thousand_nodes_a_screenful_is_drawn_and_the_odd_one_is_first() -> None:
    seen = crowd(1000)
    columns = columns_of(1000, Look(first=990), 119)
    assert columns.last == 1000
    page = matrix_page(seen, Look(first=400), 119)
    assert max(len(text_of(row)) for row in page.lines) <= 119
    row = next(text_of(row) for row in page.lines if "probe.0" in text_of(row))
    assert row.count("✘") == 1
    nodes = matrix_page(seen, Look(nodes=True), 119)
    first = min(y for y, key in nodes.keys.items() if key.startswith("node:"))
    assert nodes.keys[first] == "node:417"
    assert "node-0417" in text_of(nodes.lines[first])
    assert sum(key.startswith("node:") for key in nodes.keys.values()) == 1000


def test_every_verdict_has_a_letter_of_its_own() -> None:
    assert {CODES[CODE_OF[verdict]] for verdict in (*REPORT_ORDER, None)} == {*REPORT_ORDER, None}


def test_narrow_columns_stay_legible_and_all_four_fit_on_eighty() -> None:
    columns = columns_of(4, Look(), 79)
    assert (columns.first, columns.last) == (0, 4)
    assert columns.width >= len("▲ degraded ")
    assert columns_of(8, Look(first=7), 59).last == 8


def test_hostile_words_of_a_comparison_stay_words() -> None:
    platforms = tuple(PlatformSeen(label=f"{HOSTILE}{n}", apart=(HOSTILE,)) for n in range(2))
    row = RowSeen(name=HOSTILE, group="", verdicts="pf", change="lost", words=(HOSTILE,))
    seen = Seen(key="1", platforms=platforms, headline=HOSTILE, rows=(row,), notes=(HOSTILE,), uncovered=(HOSTILE,))
    for look in (Look(), Look(all=True, nodes=True)):
        assert all(row.isprintable() for row in page_text(matrix_page(seen, look, 79)).splitlines())


def test_a_line_of_steps_shows_gaps_as_gaps() -> None:
    assert spark((1.0, None, 2.0)) == "▁ █"
    assert spark((None, None)) == ""
    assert spark((3.0, 3.0)) == "▁▁"


@pytest.mark.parametrize(
    ("text", "days", "most"), [("30d", 30.0, None), ("2 days", 2.0, None), ("500MB", None, 500_000_000), ("1.5 GiB",
    None, 1_500_000_000)],
)  # fmt: skip
def test_prune_understands_days_and_sizes(text: str, days: float | None, most: int | None) -> None:
    asked = pruned_by(text)
    assert asked is not None
    assert asked[1:] == (days, most)


@pytest.mark.parametrize("text", ["", "all", "-1d", "30", "1e9MB", "9" * 30 + "d"])
def test_prune_refuses_what_is_neither(text: str) -> None:
    assert pruned_by(text) is None


# --- pictures ----------------------------------------------------------------------------------------------------


def test_a_masked_text_keeps_the_styles_of_what_stays_and_the_width_of_the_line() -> None:
    red, blue = Style.parse("#ff0000"), Style.parse("#0000ff")
    rows = [((" gpu-node-07 ", red), ("is well", blue), (" " * 10, None))]
    drawn = drawer(rows, "t", 30)([" host-1 is well"])
    assert "gpu-node-07" not in drawn
    assert "host-1" in drawn
    assert drawn.count("#ff0000") == 1
    assert drawn.count("#0000ff") == 1
    assert "is&#160;well" in drawn


def test_a_picture_has_nothing_from_anywhere_and_its_text_is_escaped() -> None:
    drawn = svg([(("<script>&", None),)], "<title>", 20)
    assert "<script>" not in drawn
    assert "@font-face" not in drawn
    assert "http" not in drawn.replace("http://www.w3.org/", "")


# --- the runs that are kept --------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    keep_run(tmp_path / "runs", "20260101T000000Z-host-aaaaaa", REPORT)
    broken = tmp_path / "runs" / "20260102T000000Z-host-bbbbbb"
    broken.mkdir()
    (broken / "run.json").write_text('{"schema": 99, "kind": "check"}')
    return tmp_path / "runs"


def test_a_run_of_a_later_torchdoctor_is_a_row_that_says_so(place: Path) -> None:
    rows = Keeper(place).history(sizes=True).rows
    assert [row.state for row in rows] == ["unreadable", "fail"]
    assert "schema 99" in rows[0].why
    assert rows[0].started == "2026-01-02T00:00:00Z"
    assert all(row.bytes for row in rows)
    assert rows[1].counts == {"pass": 2, "degraded": 1, "fail": 1, "skip": 1, "error": 1}


def test_a_row_follows_its_files(place: Path) -> None:
    keeper = Keeper(place)
    before = keeper.history().rows[1]
    assert keeper.history().rows[1] is before
    keeper.rename(before.path, "a title")
    assert keeper.history().rows[1].title == "a title"


def test_nothing_but_a_run_of_this_place_is_deleted_or_renamed(place: Path, tmp_path: Path) -> None:
    other = keep_run(tmp_path / "other", "20260101T000000Z-host-cccccc", REPORT)
    (place / "20260103T000000Z-host-dddddd").symlink_to(other)
    keeper = Keeper(place)
    for path in (str(other), str(place / "20260103T000000Z-host-dddddd"), str(tmp_path), f"{place}/../other"):
        with pytest.raises(RunError, match="is no run in"):
            keeper.delete(path)
        with pytest.raises(RunError, match="is no run in"):
            keeper.rename(path, "x")
    assert other.exists()


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b'{"schema": 2}', b"\xff\xfe", b'{"schema": 3}'])
def test_a_file_that_is_no_report_is_a_row_with_one_line(tmp_path: Path, raw: bytes) -> None:
    folder = write_files(tmp_path / "files", {"good.json": on(REPORT, "n")})
    (folder / "bad.json").write_bytes(raw)
    os.mkfifo(folder / "pipe.json")
    rows = {row.name: row for row in Keeper(tmp_path).files(folder).rows}
    assert rows["good.json"].state == "fail"
    for name in ("bad.json", "pipe.json"):
        assert rows[name].state == "unreadable"
        assert rows[name].why
        assert "\n" not in rows[name].why


# --- the desk as a process ---------------------------------------------------------------------------------------


@pytest.fixture
def asked(place: Path) -> Iterator[desk.Desk]:
    made = desk.Desk(str(place), desk.REPORTS)
    yield made
    made.stop()


def test_the_desk_lists_reads_compares_and_says_what_it_cannot(asked: desk.Desk, place: Path, tmp_path: Path) -> None:
    rows = asked.ask("history", {}, DEADLINE_S)["rows"]
    path = rows[1]["path"]
    assert asked.ask("report", {"path": path, "level": "internal"}, DEADLINE_S)["report"]["verdict"] == "fail"
    files = write_files(tmp_path / "files", {f"{n}.json": on(REPORT, f"n{n}") for n in range(2)})
    both = [str(each) for each in sorted(files.iterdir())]
    head = msgspec.convert(asked.ask("compare", {"paths": both, "level": "internal"}, DEADLINE_S), Seen)
    assert len(head.platforms) == 2
    to = tmp_path / "out.md"
    wanted = {"form": "markdown", "level": "public", "to": str(to), "key": head.key}
    assert str(to) in asked.ask("export", wanted, DEADLINE_S)
    assert "n0" not in to.read_text().split()
    to = tmp_path / "out.json"
    asked.ask("export", {**wanted, "form": "json", "to": str(to)}, DEADLINE_S)
    assert json.loads(to.read_bytes())["platforms"]
    for question, arguments, words in (
        ("dance", {}, "knows no question"),
        ("report", {"path": rows[0]["path"], "level": "internal"}, "schema 99"),
        ("report", {"path": "/nowhere.json", "level": "internal"}, "cannot be read"),
        ("cells", {"key": "99", "row": "x", "first": 0, "count": 1}, "no longer held"),
        ("export", {**wanted, "form": "junit"}, "has no form"),
        ("export", {**wanted, "to": "/proc/nowhere/x.md"}, "cannot be written"),
    ):
        with pytest.raises(desk.DeskError, match=words):
            asked.ask(question, arguments, DEADLINE_S)
