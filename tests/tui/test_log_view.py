"""The log view: what it shows is what the file holds, whatever the file does and whatever is typed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from log_app import screen_text
from log_bench import numbered

from torchdoctor.widgets.log_rows import STRIPS, Rows
from torchdoctor.widgets.log_view import LogView
from torchprobes.compilelog.lines import LineIndex


async def test_it_opens_at_the_end_and_follows_with_exact_numbers(bench) -> None:
    async with bench(numbered(1000)) as b:
        assert b.numbers() == list(range(978, 1001))
        assert b.bar.startswith("FOLLOW  line 1,000 of 1,000")
        b.write(numbered(500, 1001))
        await b.until(lambda: b.lines.lines == 1500)
        assert b.numbers() == list(range(1478, 1501))
        assert b.screen()[22].split() == ["1500", "line", "1500"]


@pytest.mark.parametrize("key", ["k", "up", "pageup", "ctrl+u", "g", "b", "E"])
async def test_every_move_upwards_ends_following_and_new_lines_are_counted(bench, key: str) -> None:
    data = numbered(300) + b"Traceback (most recent call last):\n" + numbered(300, 302)
    async with bench(data) as b:
        await b.until(lambda: b.view.lines.document.marks.next(tuple(b.lines.document.marks.counts), 0))
        await b.press(key)
        assert not b.lines.follow
        top = b.numbers()[0]
        b.write(numbered(40, 602))
        await b.until(lambda: "+40 new" in b.bar)
        assert b.numbers()[0] == top, "what one reads stands still"
        await b.press("f")
        assert b.bar.startswith("FOLLOW  line 641 of 641")
        assert b.numbers()[-1] == 641


async def test_the_mouse_wheel_ends_following_too(bench) -> None:
    async with bench(numbered(300)) as b:
        b.lines.scroll_relative(y=-3, animate=False, immediate=True)
        await b.pilot.pause()
        assert not b.lines.follow


async def test_capital_g_goes_to_the_end_and_follows_and_f_alone_stops(bench) -> None:
    async with bench(numbered(300)) as b:
        await b.press("g")
        assert b.numbers()[0] == 1
        await b.press("G")
        assert (b.lines.follow, b.numbers()[-1]) == (True, 300)
        await b.press("f")
        assert not b.lines.follow


async def test_a_pause_holds_the_view_still_and_loses_nothing(bench) -> None:
    async with bench(numbered(100)) as b:
        await b.press("space")
        b.write(numbered(100, 101))
        await b.until(lambda: "PAUSED +100 new" in b.bar)
        assert b.numbers()[-1] == 100
        await b.press("k", "j")
        assert b.numbers()[-1] == 100, "moving in what is held does not end the pause"
        await b.press("space")
        assert b.lines.lines == 200
        await b.press("g")
        seen: list[str] = []
        while b.numbers()[-1] < 200:
            seen += [row.split()[2] for row in b.screen()[: b.lines.size.height]]
            await b.press("pagedown")
        seen += [row.split()[2] for row in b.screen()[: b.lines.size.height]]
        assert set(map(int, seen)) == set(range(1, 201))


async def test_search_counts_goes_to_hits_around_the_end_and_marks_them(bench) -> None:
    data = b"".join(b"Needle %d\n" % n if n % 100 == 7 else b"needless %d\n" % n for n in range(1000))
    async with bench(data) as b:
        await b.press("g", "slash", *"Needle", "enter")
        await b.until(lambda: "text /Needle: 1 of 10" in b.bar)
        assert b.lines.cursor == 7
        await b.press("n", "n")
        assert b.lines.cursor == 207
        await b.press("N", "N", "N")
        assert b.lines.cursor == 907
        assert "10 of 10" in b.bar
        row = b.lines.render_lines(b.lines.size.region)[907 - b.lines.scroll_offset.y]
        assert [segment.text for segment in row if segment.style and segment.style.reverse] == ["Needle"]
        b.write(b"Needle at the end\n")
        await b.until(lambda: "of 11" in b.bar)
        await b.press("escape")
        await b.until(lambda: "/Needle" not in b.bar)


async def test_a_regular_expression_is_chosen_in_the_prompt_and_a_broken_one_is_said(bench) -> None:
    async with bench(b"a1\nb2\nc333\n") as b:
        await b.press("slash", "ctrl+r", *r"c\d+$", "enter")
        await b.until(lambda: r"regex /c\d+$: 1 of 1" in b.bar)
        assert b.lines.cursor == 2
        await b.press("slash", "left_parenthesis", "enter")
        await b.until(lambda: "not a regular expression" in b.bar)


async def test_keys_of_the_view_are_typed_into_the_prompt_and_escape_leaves_it(bench) -> None:
    async with bench(numbered(100)) as b:
        await b.press("slash", *"fgG e")
        assert b.lines.follow
        await b.press("escape")
        assert b.lines.has_focus
        assert b.lines.document.found.query is None


async def test_e_goes_from_error_to_error_and_the_sign_is_there_without_colour(bench) -> None:
    text = b"fine\n" * 50 + b"Traceback (most recent call last):\n" + b"fine\n" * 50 + b"Recompiling function f\n"
    for ascii_signs, signs in ((False, "✘↻"), (True, "x~")):
        async with bench(text, ascii_signs=ascii_signs) as b:
            await b.until(lambda b=b: "1 error" in b.bar and "1 recompile" in b.bar)
            await b.press("g", "e")
            assert b.lines.cursor == 50
            assert [row for row in b.screen() if row.startswith(f" 51 {signs[0]} Traceback")]
            await b.press("e")
            assert b.lines.cursor == 101
            assert [row for row in b.screen() if row.startswith(f"102 {signs[1]} Recompiling")]
            await b.press("E")
            assert b.lines.cursor == 50
            assert not ascii_signs or "".join(b.screen()).isascii()


async def test_hostile_text_neither_styles_nor_acts(bench) -> None:
    hostile = b"[red]x[/red] \x1b]52;c;eA==\x07 \x1b[2J \xe2\x80\xae bidi \x00\n\xff\xfe\n" + b"ok\n"
    async with bench(hostile) as b:
        text = "\n".join(screen_text(b.pilot.app))
        assert r"[red]x[/red] \x1b]52;c;eA==\x07 \x1b[2J \u202e bidi \x00" in text
        assert text.replace("\n", "").isprintable()


async def test_a_line_of_ten_megabytes_is_cropped_and_says_so(bench) -> None:
    async with bench(b"first\n" + b"z" * 10_000_000 + b"\nlast\n") as b:
        assert b.numbers() == [1, 2, 3]
        await b.press("g", "j")
        b.lines.move_sideways(5000)
        await b.pilot.pause()
        assert "+10 MB" in b.screen()[1]
        assert "column" in b.bar


async def test_long_lines_move_sideways_and_the_numbers_stay(bench) -> None:
    async with bench(b"".join(b"%03d" % n for n in range(200)) + b"\nshort\n") as b:
        await b.press("g")
        first = b.screen()[0]
        await b.press("right")
        assert b.screen()[0][:6] == first[:6]
        assert b.screen()[0][6:30] == first[22:46]
        await b.press("left", "left")
        assert b.screen()[0] == first


async def test_the_prefix_of_torch_is_shortened_and_shown_whole_on_demand(bench) -> None:
    line = b"V1123 06:15:17.268000 7 torch/_dynamo/guards.py:5396] [3/1] [__recompiles] Recompiling function f\n"
    async with bench(line, size=(120, 10)) as b:
        assert "V 06:15:17 [3/1] [__recompiles] Recompiling function f" in b.screen()[0]
        await b.press("full_stop")
        assert line.decode().rstrip() in b.screen()[0]


async def test_copying_hands_out_the_line_or_the_screen(bench) -> None:
    async with bench(numbered(100)) as b:
        await b.press("y", "Y")
        texts = b.pilot.app.copied
        assert texts[0] == "line 100"
        assert texts[1].split("\n") == [f"line {n}" for n in range(78, 101)]


async def test_a_truncated_file_is_shown_anew_and_said(bench) -> None:
    async with bench(numbered(500)) as b:
        await b.press("g")
        b.path.write_bytes(b"new life\n")
        await b.until(lambda: b.lines.lines == 1 and "truncated" in b.bar)
        assert b.screen()[0].split() == ["1", "new", "life"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16), (30, 5)])
async def test_a_frame_draws_as_many_lines_as_it_has_rows(bench, monkeypatch, size: tuple[int, int]) -> None:
    drawn: list[int] = []
    draw = Rows.strip
    async with bench(numbered(100_000), size=size) as b:
        monkeypatch.setattr(Rows, "strip", lambda self, *row: drawn.append(row[1].number) or draw(self, *row))
        for start in range(3):
            b.write(numbered(5000, 100_001 + 5000 * start))
            total = 105_000 + 5000 * start
            await b.until(lambda total=total: b.lines.view.lines == total)
            drawn.clear()
            b.lines.refresh()
            await b.pilot.pause()
            assert len(drawn) == b.lines.size.height == size[1] - 1
    assert len(b.lines._drawing.rows) <= STRIPS


async def test_reading_a_dead_mount_leaves_the_keys_alive(bench, monkeypatch) -> None:
    hang = threading.Event()
    async with bench(numbered(10_000)) as b:
        monkeypatch.setattr(LineIndex, "read", lambda *_: hang.wait(30) and [])
        await b.press("g")
        assert "reading ..." in b.screen()[0]
        await b.press("slash")
        assert b.view.prompt.is_open
        hang.set()


async def test_a_file_that_is_not_there_yet_says_so_and_comes(bench, tmp_path: Path) -> None:
    async with bench(b"x\n") as b:
        b.view.open(str(tmp_path / "later.log"))
        await b.until(lambda: "not there yet" in b.screen()[0])
        (tmp_path / "later.log").write_bytes(b"here\n")
        await b.until(lambda: b.screen()[0].split() == ["1", "here"])


def test_every_binding_has_an_id_and_says_what_it_does() -> None:
    bindings = [binding for binding in LogView.BINDINGS if not isinstance(binding, tuple)]
    assert len({binding.id for binding in bindings}) == len(bindings) == len(LogView.BINDINGS)
    assert all(binding.id and binding.tooltip for binding in bindings)
