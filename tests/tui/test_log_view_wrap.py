"""The log view with wrapped lines, and the look of its window: nothing is left out, little is drawn anew."""

from __future__ import annotations

import re

import pytest
from log_bench import Bench, numbered
from textual.geometry import Region

from torchdoctor.widgets.log_lines import LogLines


def long_lines(count: int, width: int = 200) -> bytes:
    """Lines of `width` characters that say on every screen line whose they are: `<7>aaaa<7>aaaa…`."""
    return b"".join((b"<%d>" % n + b"a" * 9) * (width // 12) + b"\n" for n in range(1, count + 1))


def text_of(b: Bench) -> str:
    """All text on screen, without what stands left of it."""
    inset = b.lines._sheet().inset
    return "".join(row[inset : b.lines.size.width - 1].rstrip() for row in b.screen()[: b.lines.size.height])


async def test_wrapped_to_the_end_shows_the_last_rows_whole_and_follows(bench) -> None:
    async with bench(long_lines(100)) as b:
        await b.press("l")
        assert b.bar.endswith("wrapped")
        whole = long_lines(100).decode().replace("\n", "")
        assert whole.endswith(text_of(b))
        assert len(text_of(b)) > 1400
        assert b.numbers()[-1] == 100
        b.write(long_lines(103)[len(long_lines(100)) :])
        await b.until(lambda: b.lines.lines == 103 and b.numbers()[-1] == 103)
        assert long_lines(103).decode().replace("\n", "").endswith(text_of(b))
        assert b.lines.virtual_size.height == 103, "the scroll bar counts rows"


@pytest.mark.parametrize(("pages", "steps"), [(0.0, 130), (0.5, 55), (1.0, 30)])
async def test_going_down_wrapped_shows_every_part_of_every_row(bench, pages: float, steps: int) -> None:
    data = long_lines(20) + b"b" * 3000 + b"\n" + long_lines(20)
    async with bench(data, size=(60, 12), follow=False) as b:
        await b.press("l")
        seen: set[tuple[int, int]] = set(b.lines.places())
        for _ in range(steps):
            b.view.action_page(pages) if pages else b.view.action_move(1)
            seen |= set(b.lines.places())
        rows = {row: sorted(part for at, part in seen if at == row) for row in range(41)}
        parts = b.lines._layout().parts
        assert all(rows[row] == list(range(len(rows[row]))) for row in rows)
        assert all(rows[row] for row in rows)
        assert rows[20] == list(range(3000 // b.lines._sheet().room + 1))
        assert b.lines.cursor == 40
        assert len(rows[40]) == parts(40)


async def test_going_up_wrapped_comes_back_to_the_first_row(bench) -> None:
    async with bench(long_lines(30) + b"c" * 4000 + b"\n", size=(60, 12)) as b:
        await b.press("l", "G")
        seen: set[tuple[int, int]] = set(b.lines.places())
        for _ in range(140):
            b.view.action_move(-1)
            seen |= set(b.lines.places())
        assert b.lines.cursor == 0
        assert b.lines.places()[0] == (0, 0)
        assert {part for row, part in seen if row == 30} == set(range(4000 // b.lines._sheet().room + 1))


async def test_the_cursor_stays_on_screen_when_wrapping_begins_and_ends(bench) -> None:
    async with bench(long_lines(400)) as b:
        b.view.go_to_line(200)
        await b.until(lambda: b.lines.cursor == 200)
        for _ in range(4):
            await b.press("l")
            assert 201 in b.numbers()
        await b.press("right")
        assert b.lines.scroll_offset.x > 0
        await b.press("l")
        assert b.lines.scroll_offset.x == 0


async def test_a_search_goes_to_hits_in_wrapped_lines(bench) -> None:
    data = long_lines(50) + b"x" * 3000 + b" needle " + b"y" * 900 + b"\n" + long_lines(50)
    async with bench(data, size=(80, 24)) as b:
        await b.press("l", "g")
        await b.ask("slash", "needle")
        await b.until(lambda: "1 of 1" in b.bar and b.lines.cursor == 50)
        assert 51 in b.numbers()


async def test_wide_characters_wrap_whole(bench) -> None:
    text = "日本語" * 60
    async with bench(f"{text}\n".encode(), size=(31, 20), follow=False) as b:
        await b.press("l")
        drawn = [strip.text[b.lines._sheet().inset :].rstrip() for strip in b.lines.render_lines(b.lines.size.region)]
        assert "".join(drawn) == text


async def test_a_step_of_the_cursor_draws_two_screen_lines_and_what_changes_nothing_draws_none(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Region, ...]] = []
    refresh = LogLines.refresh

    def note(self: LogLines, *regions: Region, **options: bool) -> LogLines:
        drawn.append(regions)
        return refresh(self, *regions, **options)

    async with bench(numbered(500), follow=False, size=(100, 30)) as b:
        monkeypatch.setattr(LogLines, "refresh", note)
        await b.press("j")
        assert [[region.y for region in regions] for regions in drawn] == [[0, 1]]
        drawn.clear()
        b.write(numbered(300, 501))
        await b.until(lambda: b.lines.view.lines == 800)
        assert drawn == [], "lines came below the window"
        b.write(numbered(300, 801))
        await b.until(lambda: b.lines.view.lines == 1100)
        assert b.screen()[0].startswith("   1 "), "the numbers became wider"


async def test_the_end_of_a_big_file_is_there_before_its_numbers(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.compilelog.one_file.SLICE", 1 << 12)
    async with bench(b"") as b:
        data = numbered(200_000)
        b.path.with_name("big.log").write_bytes(data)
        b.view.open(str(b.path.with_name("big.log")))
        await b.until(lambda: b.screen()[22].strip().endswith("line 200000"))
        if not b.lines.view.indexed:
            assert b.screen()[22].split() == ["line", "200000"], "no number is better than a wrong one"
            assert "indexing" in b.bar
            await b.press("k", "pageup")
            assert b.screen()[22].split()[-1] == "200000"
        await b.until(lambda: b.numbers()[-1:] == [200_000])
        assert b.bar.startswith("FOLLOW  line 200,000 of 200,000")


async def test_signs_and_letters_tell_ranks_levels_and_marks_without_any_colour(bench) -> None:
    line = b"[rank%d]:W1123 06:15:17.268000 7 torch/_dynamo/guards.py:5396] [3/1] Recompiling function f\n"
    async with bench(line % 0 + line % 11, ascii_signs=True, follow=False) as b:
        await b.until(lambda: "1 warning" in b.bar or "recompile" in b.bar)
        await b.press("m")
        rows = b.screen()
        assert re.match(r"  1>[~!] r0 W 06:15:17 \[3/1\] Recompiling", rows[0])
        assert re.match(r"  2 [~!] r11 W 06:15:17 \[3/1\] Recompiling", rows[1])
        assert "".join(rows).isascii()
