"""The log view with a filter on: what is shown is what passes, and everything else works among it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from log_app import until
from log_bench import numbered
from textual.widgets import Input

from torchdoctor.widgets.log_view import LogView
from torchprobes.compilelog.merged import MergedDocument


def torch_line(level: str, rank: int, compile_id: str, text: str) -> bytes:
    prefix = f"[rank{rank}]:{level}1123 06:15:03.456000 {700 + rank} torch/_dynamo/guards.py:5396]"
    return f"{prefix} [{compile_id}] {text}\n".encode()


def torch_log(count: int = 100) -> bytes:
    """Rank 0 and 1 in turn; every tenth line is a warning, every 25th a traceback."""
    rows = []
    for n in range(count):
        level = "W" if n % 10 == 3 else "V"
        rows.append(torch_line(level, n % 2, f"{n % 4}/0", f"guard {n} {'failed' if n % 5 == 0 else 'holds'}"))
        if n % 25 == 24:
            rows.append(b"Traceback (most recent call last):\n")
    return b"".join(rows)


async def test_the_bar_counts_what_passes_and_escape_shows_all_again(bench) -> None:
    async with bench(torch_log()) as b:
        await b.filter("level>=W rank:1 -holds.*7")
        await b.until(lambda: "filter: level>=W rank:1 -holds.*7  10 of 104 lines" in b.bar)
        assert b.lines.lines == 10
        assert b.numbers() == [4, 14, 24, 35, 45, 56, 66, 76, 87, 97]
        assert all("r1 W" in row for row in b.screen()[:10])
        assert b.lines.follow
        await b.press("escape")
        await b.until(lambda: b.lines.lines == 104 and "filter" not in b.bar)


async def test_the_numbers_are_those_of_the_file_and_new_lines_are_filtered_as_they_come(bench) -> None:
    async with bench(numbered(300)) as b:
        await b.filter("99$")
        await b.until(lambda: b.numbers() == [99, 199, 299])
        b.write(numbered(200, 301))
        await b.until(lambda: b.numbers() == [99, 199, 299, 399, 499])
        assert "5 of 500 lines" in b.bar


async def test_the_cursor_stays_on_its_line_or_the_next_that_is_shown(bench) -> None:
    async with bench(numbered(1000)) as b:
        await b.press("g")
        await b.ask("slash", "line 500")
        await b.until(lambda: b.lines.cursor == 499)
        await b.press("escape")
        await b.filter("[37]$")
        await b.until(lambda: b.lines.lines == 200 and "line 503" in b.bar)
        assert b.lines.pages.line(b.lines.cursor).number == 502
        await b.press("escape")
        await b.until(lambda: b.lines.lines == 1000 and "line 503 of 1,000" in b.bar)
        assert 503 in b.numbers()


@pytest.mark.parametrize(("typed", "rows"), [("[37]$", 200), ("", 1000)])
async def test_what_ends_between_two_looks_loses_nobodys_place(
    bench, monkeypatch: pytest.MonkeyPatch, typed: str, rows: int
) -> None:
    """The view is of the instant before: none of the new rows is in it yet, while the document has all of them."""
    async with bench(numbered(1000)) as b:
        document = b.lines.document
        await b.filter("[37]$" if not typed else "")
        await b.until(lambda: b.settled and b.lines.lines == (1000 if typed else 200))
        await b.press("g")
        await b.ask("slash", "line 503")
        await b.until(lambda: "line 503" in b.bar)
        await b.press("escape")
        generation = document.view().generation
        await b.filter(typed)
        await until(
            b.pilot, lambda: document.view().generation > generation and document.view().rows == rows, lambda: None
        )
        with monkeypatch.context() as patched:
            before = replace(document.view(), rows=0)
            patched.setattr(document, "view", lambda: before)
            b.view.refresh_data()
        await b.until(lambda: b.lines.lines == rows)
        assert "line 503" in b.bar
        assert "new" not in b.bar


async def test_search_and_errors_go_among_what_is_shown(bench) -> None:
    async with bench(torch_log()) as b:
        await b.filter("rank:0")
        await b.until(lambda: b.lines.lines == 50)
        await b.press("g")
        await b.ask("slash", "failed")
        await b.until(lambda: "1 of 10" in b.bar)
        await b.press("n", "n")
        assert "guard 20 failed" in b.screen()[b.lines.cursor - b.lines.scroll_offset.y]
        assert "3 of 10" in b.bar
        await b.press("N", "N", "N")
        assert "guard 90 failed" in b.screen()[b.lines.cursor - b.lines.scroll_offset.y]
        await b.press("escape", "escape")
        await b.filter("level:-")
        await b.until(lambda: b.lines.lines == 4)
        await b.press("g", "e")
        assert b.lines.cursor == 1
        await b.press("e", "e", "e")
        assert b.lines.cursor == 0, "around the end"


@pytest.mark.parametrize(
    ("typed", "says"), [("level>=Q", "levels are V I W E C"), ("(", "not a regular expression"), ("rank:", "needs 0")]
)
async def test_wrong_input_is_said_in_one_line_and_stays_to_be_mended(bench, typed: str, says: str) -> None:
    async with bench(numbered(100), size=(60, 16)) as b:
        await b.filter(typed)
        assert any(says in row for row in b.screen())
        assert b.view.prompt.is_open
        assert b.view.query_one(Input).value == typed
        assert b.lines.lines == 100
        await b.press("backspace")
        assert not any(says in row for row in b.screen())
        await b.press("escape")
        assert b.lines.has_focus
        await b.press("ampersand")
        assert b.view.query_one(Input).value == typed[:-1], "what was typed is there again"


async def test_nothing_that_passes_is_said_and_is_no_empty_file(bench) -> None:
    async with bench(numbered(50)) as b:
        await b.filter("nowhere")
        await b.until(lambda: "no line passes the filter" in b.screen()[0] and "0 of 50 lines" in b.bar)
        await b.press("k", "j", "g", "G", "n", "y", "m", "enter", "pagedown", "l")
        b.write(b"nowhere else\n")
        await b.until(lambda: "nowhere else" in b.screen()[0])


async def test_the_hint_is_in_the_open_line_and_the_keys_are_typed(bench) -> None:
    async with bench(numbered(9), size=(80, 24)) as b:
        await b.press("ampersand")
        assert "level>=W  rank:0,2  id:3/1  -unwanted" in b.screen()[-1]
        await b.press(*"e.7$", "enter")
        await b.until(lambda: b.numbers() == [7])


async def test_bookmarks_are_set_visited_around_the_end_copied_and_kept_with_their_file(bench, tmp_path: Path) -> None:
    async with bench(numbered(200), follow=False) as b:
        await b.press("m", "j", "j", "m", "j", "m", "m", "k", "G", "apostrophe")
        assert b.lines.bookmarks == {0, 2}
        assert b.lines.cursor == 0
        assert b.screen()[0].startswith("  1▸")
        await b.press("apostrophe")
        assert b.lines.cursor == 2
        await b.filter("3$")
        await b.until(lambda: b.lines.lines == 20)
        await b.press("G", "apostrophe")
        assert (b.lines.cursor, b.lines.pages.line(0).number) == (0, 2)
        await b.press("M")
        assert b.pilot.app.copied == ["line 1\nline 3"]
        other = tmp_path / "other.log"
        other.write_bytes(b"x\n")
        b.view.open(str(other))
        await b.until(lambda: b.lines.lines == 1)
        assert not b.lines.bookmarks
        b.view.open(str(b.path))
        await b.until(lambda: b.lines.lines == 200 and b.lines.bookmarks == {0, 2})
        b.path.write_bytes(b"another life\n")
        await b.until(lambda: b.lines.lines == 1 and not b.lines.bookmarks)


async def test_export_writes_what_is_shown_says_where_and_never_overwrites(bench, tmp_path: Path, monkeypatch) -> None:
    said: list[str] = []
    folder = tmp_path / "exports"
    folder.mkdir()
    monkeypatch.setattr("torchdoctor.widgets.log_export.name_for", lambda path, now_s: "out.log")
    async with bench(numbered(1000)) as b:
        monkeypatch.setattr(b.view, "notify", lambda text, **_: said.append(text))
        await b.filter("7$")
        await b.until(lambda: b.lines.lines == 100)
        await b.press("x")
        assert isinstance(b.pilot.app.asked[-1], LogView.ExportRequested)
        b.view.export_into(str(folder))
        await b.until(lambda: said)
        assert said == [f"exported 100 lines to {folder / 'out.log'}"]
        assert (folder / "out.log").read_bytes() == b"".join(b"line %d\n" % n for n in range(7, 1001, 10))
        (folder / "out.log").write_bytes(b"somebody's\n")
        b.view.export_into(str(folder))
        await b.until(lambda: len(said) == 2)
        assert said[1].startswith("not exported: ")
        assert (folder / "out.log").read_bytes() == b"somebody's\n"


async def test_enter_asks_for_what_the_line_points_at_and_says_where_there_is_nothing(bench, monkeypatch) -> None:
    said: list[str] = []
    text = torch_line("V", 1, "3/1", "Recompiling function f in train.py:15") + b"nothing\n"
    async with bench(text, follow=False) as b:
        monkeypatch.setattr(b.view, "notify", lambda text, **_: said.append(text))
        await b.press("enter")
        jump = b.pilot.app.asked[-1]
        assert isinstance(jump, LogView.JumpRequested)
        assert (jump.compile_id, jump.rank, jump.file, jump.line) == ("3/1", 1, "train.py", 15)
        assert jump.text.encode() + b"\n" == text.splitlines(keepends=True)[0]
        await b.press("j", "enter")
        assert len(b.pilot.app.asked) == 1
        assert said == ["this line names no compile and no source"]


async def test_a_search_of_all_files_is_asked_of_the_pane(bench) -> None:
    async with bench(numbered(9)) as b:
        await b.ask("A", "ne 7")
        ask = b.pilot.app.asked[-1]
        assert isinstance(ask, LogView.SearchAllRequested)
        assert (ask.query.words, ask.query.regex) == ("ne 7", False)
        await b.press("slash")
        assert "search this file" in b.view.query_one(Input).placeholder
        await b.press("ctrl+t", "ctrl+r")
        assert "search all files for an expression" in b.view.query_one(Input).placeholder


async def test_one_goes_to_a_line_or_a_byte_also_if_a_filter_hides_it(bench) -> None:
    async with bench(numbered(1000)) as b:
        b.view.go_to_line(499)
        await b.until(lambda: b.lines.cursor == 499 and 500 in b.numbers())
        await b.filter("7$")
        await b.until(lambda: b.lines.lines == 100)
        b.view.go_to_offset(len(numbered(122)) + 2)
        await b.until(lambda: b.lines.lines == 1000 and b.lines.cursor == 122)
        assert not b.lines.follow
        assert "filter" not in b.bar


@pytest.mark.parametrize(("width", "letters"), [(120, ("a one", "b two")), (70, ("a", "b"))])
async def test_merged_files_stand_in_the_order_of_time_each_with_its_letter_and_numbers(
    bench, tmp_path: Path, width: int, letters: tuple[str, str]
) -> None:
    paths = [str(tmp_path / "one.log"), str(tmp_path / "two.log")]
    for rank, path in enumerate(paths):
        rows = [
            torch_line("V", rank, "0/0", f"step {n}").replace(b":03.456", b":%02d.%03d" % (n, rank)) for n in range(9)
        ]
        Path(path).write_bytes(b"".join(rows))
    async with bench(b"x\n", size=(width, 24)) as b:
        b.view.open_document(MergedDocument(paths), "log", names=["one.log", "two.log"])
        await b.until(lambda: b.lines.lines == 18 and b.settled)
        rows = [re.sub(r" +", " ", row).strip() for row in b.screen()[:18]]
        assert rows == [
            f"{letters[n % 2]} {n // 2 + 1} r{n % 2} V 06:15:0{n // 2} [0/0] step {n // 2}" for n in range(18)
        ]
        await b.filter("rank:1 step.[2-4]")
        await b.until(lambda: b.lines.lines == 3)
        assert all(row.startswith("b") for row in b.screen()[:3])
