"""Text from outside: whatever it holds, what is shown prints, acts on nothing and hides nothing."""

from __future__ import annotations

import random
import unicodedata

import pytest

from torchdoctor.text import SHOWN, safe, safe_line, size_text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain [red]not markup[/red]", "plain [red]not markup[/red]"),
        (b"\x1b[1;31mred\x1b[0m\x1b[K", "red"),
        (b"\x1b]52;c;aGFjaw==\x07", r"\x1b]52;c;aGFjaw==\x07"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", r"\x1b]8;;http://x\x1b\link\x1b]8;;\x1b" + "\\"),
        (b"\x1b[2J\x1b[H\x1b[?1049l", r"\x1b[2J\x1b[H\x1b[?1049l"),
        (b"\x1bP$qm\x1b\\", r"\x1bP$qm\x1b" + "\\"),
        ("\x9b31mC1".encode(), r"\x9b31mC1"),
        (b"a\0b\x08c\x7f", r"a\x00b\x08c\x7f"),
        ("user\u202egnp.exe".encode(), r"user\u202egnp.exe"),
        ("zero\u200bwidth\ufeff".encode(), r"zero\u200bwidth\ufeff"),
        ("two\u2028lines\u0085x".encode(), r"two lines x"),
        (b"tab\tstop", "tab     stop"),
        (b"\xff\xfe bad", "\ufffd\ufffd bad"),
        (b"open \xf0\x9f", "open "),
        ("né 🦊 中文".encode(), "né 🦊 中文"),
        (b" 10%\r 20%\r 30%\r", " 30%"),
        (b"crlf\r", "crlf"),
        (b"\r", ""),
        (b"", ""),
    ],
)
def test_a_hostile_line_is_shown_as_text(raw: bytes, shown: str) -> None:
    assert safe_line(raw) == shown


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_does_not_print_ever_comes_out(seed: int) -> None:
    rng = random.Random(seed)
    raw = rng.randbytes(3000) + "".join(map(chr, rng.choices([*range(0xD7FF), 0xE0001, 0xF0000], k=500))).encode()
    for ascii_only in (False, True):
        text = safe_line(raw, ascii_only=ascii_only)
        assert text.isprintable()
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text)
        assert not ascii_only or text.isascii()


def test_names_from_the_file_system_are_shown_too_whatever_they_hold() -> None:
    name = b"bad\xff\n\x1b[31mname".decode("utf-8", "surrogateescape")
    assert safe(name) == r"bad\udcff\nname"
    assert safe(name).encode()
    assert safe("naïve ✔", ascii_only=True) == r"na\xefve \u2714"


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert len(safe("x" * 10_000_000)) == SHOWN
    assert len(safe_line(b"x" * 1_000_000)) == SHOWN


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (9_950, "10 kB"), (999_499, "999 kB"),
     (999_500, "1.0 MB"), (1_000_038_621, "1.0 GB"), (5 * 10**15, "5.0 PB")],
)  # fmt: skip
def test_sizes_have_at_most_six_cells(count: int, text: str) -> None:
    assert size_text(count) == text
    assert len(text) <= 6
