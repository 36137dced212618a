"""Hostile text in a log: it changes nothing on the screen but its own line, and nothing in clipboard or title."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.style import Style
from terminal_process import CONSOLE, Terminal

from torchdoctor.widgets.log_paint import Gutter, Painter
from torchdoctor.widgets.log_rows import Rows, Sheet
from torchprobes.compilelog.lines import SHOWN, Line

SGR = re.compile(r"\x1b\[[\d;]*m")

HOSTILE = {
    "osc 52": b"\x1b]52;c;cm0gLXJmIH4=\x07 after",
    "osc 52, C1": b"\xc2\x9d52;c;cm0gLXJmIH4=\xc2\x9c after",
    "title": b"\x1b]0;owned\x1b\\ after",
    "dcs": b"\x1bP+q544e\x1b\\ after",
    "cursor": b"\x1b[1;1HOWNED\x1b[2J\x1b[?1049l\x1b[10A after",
    "C1 csi": b"\xc2\x9b2J and raw \x9b2J after",
    "colours that stay": b"\x1b[31;5mred \x1b[7m",
    "markup": b"[red]x[/red] [@click=app.quit]y[/] [link=http://x]z[/link] after",
    "bidi": "\u202eevil\u2066 \u2069\u200f\u061c after".encode(),
    "zero width": "a\u200bb\ufeffc\u2060d after".encode(),
    "NUL and friends": bytes(range(32)) + b"\x7f after",
    "bytes": bytes(range(128, 256)) + b" after",
    "tabs and returns": b"\t\ta\rb\r\rc\x0b\x0cd after",
    "tags": "\U000e0041\U000e0042 after".encode(),
    "half a character": "é".encode()[:1],
    "a prefix": b"[rank0]:V1123 06:15:17.2 7 \x1b]0;x\x07.py:5396] [3/1] [__\x1b[2J] after",
    "combining": ("e" + "\u0301" * 300 + " after").encode(),
}


EVIL = (b"\x1b]52", b"\x1b]0;", b"\x1bP+q", b"\x9b2J", b"\xe2\x80\xae", b"\xf3\xa0\x81", b"\x1b[10A", b"\0")
"""What the terminal must not get, whoever sends it."""


def rendered(raw: bytes, *, wrap: bool, language: str, ascii_only: bool = False, hit: bytes = b"") -> str:
    """All bytes that the terminal gets for this line at 60 columns."""
    sheet = Sheet(Painter(language, ascii_only, short=True), 60, 0, wrap, 3)
    rows, line = Rows(), Line(7, raw[:SHOWN], len(raw), True)
    console = Console(color_system="truecolor", force_terminal=True)
    strips = [
        rows.strip(sheet, line, hit, part, Gutter(7), lambda part: Style(bold=part == "hit"), False)
        for part in range(rows.parts(sheet, line, hit))
    ]
    assert all(strip.cell_length == 60 for strip in strips)
    return "\n".join(strip.render(console) for strip in strips)


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("wrap", [False, True], ids=["cut", "wrapped"])
def test_what_a_line_sends_is_printable_text_and_our_own_colours(what: str, wrap: bool) -> None:
    raw = HOSTILE[what]
    for language in ("log", "python", "json", "text"):
        for ascii_only in (False, True):
            for hit in (b"", raw[2:9]):
                sent = rendered(raw, wrap=wrap, language=language, ascii_only=ascii_only, hit=hit)
                text = SGR.sub("", sent).replace("\n", "")
                assert text.isprintable(), text
                assert not ascii_only or text.isascii()
    if raw.endswith(b"after") and what != "combining":
        assert "after" in SGR.sub("", rendered(raw * 1, wrap=True, language="text")).replace("\n", "").replace(" ", "")


@pytest.mark.parametrize("wrap", [False, True], ids=["cut", "wrapped"])
def test_ten_megabytes_without_a_newline_send_what_fits_on_a_screen(wrap: bool) -> None:
    raw = b"z" * 10_000_000
    sent = SGR.sub("", rendered(raw, wrap=wrap, language="log"))
    assert len(sent) < (61 * (SHOWN // 54 + 2) if wrap else 61)
    assert ("+10M" in re.sub(r"\s", "", sent)) == wrap


def test_nothing_of_it_reaches_the_terminal_of_the_console(tmp_path: Path) -> None:
    log = tmp_path / "hostile.log"
    log.write_bytes(b"\n".join([b"the first line", *HOSTILE.values(), b"q" * 3_000_000, b"the last line", b""]))
    with Terminal([*CONSOLE, "logs", str(log)], (100, 40), {"TORCHDOCTOR_STATE": str(tmp_path)}) as screen:
        screen.until("the last line")
        screen.press("l")
        screen.until("wrapped")
        screen.press("g")
        screen.until("the first line")
        screen.press("/after\r")
        screen.until(" of ")
        sent = screen.raw
    for evil in EVIL:
        assert evil not in sent, (evil, sent[sent.find(evil) - 80 : sent.find(evil) + 20])
    assert sent.count(b"\x1b]") == sent.count(b"\x1b]22;") == sent.count(b"\x07"), "Textual's mouse pointer alone"
    assert sent.count(b"\x1b[?1049l") == 0, "the alternate screen is ours to leave"
