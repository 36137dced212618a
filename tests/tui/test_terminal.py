"""The console on a real terminal: what it leaves behind, in every way that it can end, and on poor terminals."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import pytest
from terminal_process import CONSOLE, DEADLINE_S, ROOT, Terminal

from torchdoctor import terminal
from torchdoctor.settings import Settings

COLOURS = re.compile(rb"\x1b\[[\d;:]*m")
QUIT_S = 5.0
"""A hang, not a slow machine: what it takes is printed by the benchmark."""


def console(tmp_path: Path, *arguments: str, size: tuple[int, int] = (80, 24), **environ: str) -> Terminal:
    """The real console, its state in a folder of the test."""
    return Terminal([*CONSOLE, *arguments], size, {"TORCHDOCTOR_STATE": str(tmp_path), **environ})


def restored(raw: bytes) -> bool:
    """Whether the alternate screen was left last, and the cursor is back."""
    return raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h") and raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")


def colour_codes(raw: bytes) -> list[bytes]:
    """Every SGR that sets a colour (30-38, 40-48, 90-107); 39 and 49 are "none"."""
    found = []
    for code in COLOURS.findall(raw):
        numbers = [int(part or 0) for part in re.split(rb"[;:]", code[2:-1])]
        if any(n in range(30, 39) or n in range(40, 49) or n in range(90, 108) for n in numbers):
            found.append(code)
    return found


def test_q_quits_and_restores_the_terminal(tmp_path: Path) -> None:
    with console(tmp_path) as screen:
        screen.until("? help  q quit")
        screen.press("q")
        code, took = screen.end()
    assert code == 0
    assert restored(screen.raw)
    assert took < QUIT_S


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_restores_the_terminal(tmp_path: Path, number: int, expected: int) -> None:
    with console(tmp_path) as screen:
        screen.until("? help  q quit")
        screen.signal(number)
        code, took = screen.end()
    assert code == expected
    assert restored(screen.raw)
    assert took < QUIT_S


def test_quitting_in_the_middle_of_probes_leaves_no_process(tmp_path: Path) -> None:
    with console(tmp_path, TORCHDOCTOR_PYTHON=sys.executable, size=(120, 40)) as screen:
        screen.until("torch ")
        screen.press("2")
        screen.until("all of tier standard")
        screen.press("r")
        screen.until(lambda: len(_payloads(tmp_path)) >= 2)
        screen.press("q")
        screen.until("Finished results stay")
        screen.press("y")
        code, took = screen.end()
    print(f"\nquit with probes running: {took:.2f} s")
    assert code == 0
    assert restored(screen.raw)
    assert took < QUIT_S
    end = time.monotonic() + DEADLINE_S
    while _payloads(tmp_path):
        assert time.monotonic() < end, _payloads(tmp_path)
        time.sleep(0.02)


def _payloads(state: Path) -> list[int]:
    """Processes that were started for a run below `state`."""
    mark, found = str(state).encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environ = (path / "environ").read_bytes()
            if mark in environ and b"TORCHDOCTOR_REQUEST=" in environ:
                found.append(int(path.name))
        except OSError:  # it ended, or is not ours
            continue
    return found


def test_keys_that_are_typed_ahead_belong_to_the_pane_that_they_open(tmp_path: Path) -> None:
    with console(tmp_path) as screen:
        screen.until("? help  q quit")
        screen.press("2R")
        screen.until("all of tier full")
        screen.press("q")
        assert screen.end()[0] == 0


def test_ctrl_c_quits_when_nothing_runs(tmp_path: Path) -> None:
    with console(tmp_path) as screen:
        screen.until("? help  q quit")
        screen.press("\x03")
        assert screen.end()[0] == 0


def test_an_unforeseen_error_is_one_line_and_a_code(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path[:0] = [{str(ROOT / "tui")!r}, {str(ROOT / "probes")!r}]
from torchdoctor.app import TorchDoctor
TorchDoctor.action_help = lambda self: 1 / 0
from torchdoctor.__main__ import main
main()
"""
    with Terminal([sys.executable, "-c", program], environ={"TORCHDOCTOR_STATE": str(tmp_path)}) as screen:
        screen.until("? help  q quit")
        screen.press("?")
        code, _ = screen.end()
    after = screen.raw[screen.raw.rfind(b"\x1b[?1049l") :]
    assert code == 4
    assert b"internal error: ZeroDivisionError" in after
    assert b"Traceback" not in after
    assert restored(screen.raw)


def test_no_color_draws_without_a_single_colour(tmp_path: Path) -> None:
    with console(tmp_path, NO_COLOR="1") as screen:
        screen.until("? help  q quit")
        screen.press("2")
        screen.until("all of tier standard")
        screen.press("?")
        screen.until("Everywhere")
        screen.press("\x1b")
        screen.until("all of tier standard")
        screen.press("q")
        screen.end()
    assert colour_codes(screen.raw) == []


def test_an_empty_no_color_is_no_wish(tmp_path: Path) -> None:
    program = "import os; os.environ['NO_COLOR'] = ''; from torchdoctor.__main__ import main; main()"
    with Terminal([sys.executable, "-c", program], environ={"TORCHDOCTOR_STATE": str(tmp_path)}) as screen:
        screen.until("? help  q quit")
        screen.press("q")
        screen.end()
    assert colour_codes(screen.raw)


def test_a_plain_xterm_gets_sixteen_colours_at_most(tmp_path: Path) -> None:
    with console(tmp_path, TERM="xterm") as screen:
        screen.until("? help  q quit")
        screen.press("q")
        screen.end()
    assert colour_codes(screen.raw)
    assert not [code for code in colour_codes(screen.raw) if b"8;2;" in code or b"8;5;" in code]


@pytest.mark.parametrize("environ", [{"LANG": "C"}, {"TERM": "linux"}, {"LANG": "", "LC_ALL": "POSIX"}])
def test_poor_terminals_get_ascii_only(tmp_path: Path, environ: dict[str, str]) -> None:
    with Terminal(CONSOLE, environ={"TORCHDOCTOR_STATE": str(tmp_path), **environ}) as screen:
        screen.until("? help  q quit")
        screen.press("2")
        screen.until("all of tier standard")
        screen.press("?")
        screen.until("Everywhere")
        screen.press("q")
        screen.press("q")
        screen.end()
    assert screen.raw.isascii()


def test_60_by_16_is_usable(tmp_path: Path) -> None:
    with console(tmp_path, size=(60, 16)) as screen:
        screen.until("q quit")
        for digit, mark in (("2", "all of tier standard"), ("5", "report"), ("4", "Logs"), ("1", "GPUs")):
            screen.press(digit)
            screen.until(lambda mark=mark: mark.lower() in screen.text.lower())
        screen.press("q")
        assert screen.end()[0] == 0


def test_20_by_5_says_one_line_and_still_quits(tmp_path: Path) -> None:
    with console(tmp_path, size=(20, 5)) as screen:
        screen.until("needs 60x16")
        screen.press("q")
        assert screen.end()[0] == 0


def test_a_closed_line_ends_it(tmp_path: Path) -> None:
    import os

    screen = console(tmp_path)
    screen.until("? help  q quit")
    os.close(screen.handle)
    pid, status = os.waitpid(screen.pid, 0)
    assert pid == screen.pid
    assert os.waitstatus_to_exitcode(status) != 0


# --- decided before the app is made --------------------------------------------------------------------------------

_BASE = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}


@pytest.mark.parametrize(("environ", "settings", "expected"), [
    ({}, {}, {"ascii": False, "ansi": False, "no_colour": False, "mouse": True}),
    ({"NO_COLOR": "1"}, {}, {"ansi": True, "no_colour": True}),
    ({"NO_COLOR": ""}, {}, {"ansi": False, "no_colour": False}),
    ({}, {"colour": "none"}, {"ansi": True, "no_colour": True}),
    ({"TERM": "linux"}, {}, {"ascii": True, "ansi": True}),
    ({"TERM": "xterm"}, {}, {"ascii": False, "ansi": True}),
    ({"TERM": "xterm", "COLORTERM": "truecolor"}, {}, {"ansi": False}),
    ({"TERM": "xterm"}, {"colour": "256"}, {"ansi": False}),
    ({}, {"colour": "16"}, {"ansi": True, "no_colour": False}),
    ({"LANG": "C"}, {}, {"ascii": True}),
    ({"LANG": "C", "LC_ALL": "en_US.utf8"}, {}, {"ascii": False}),
    ({"LC_ALL": "", "LC_CTYPE": "", "LANG": ""}, {}, {"ascii": True}),
    ({}, {"ascii": True}, {"ascii": True}),
    ({"SSH_CONNECTION": "1 2 3 4"}, {}, {"mouse": False, "screen_hz": 5.0}),
    ({"SSH_CONNECTION": "1 2 3 4"}, {"slow": True}, {"screen_hz": 2.0}),
])  # fmt: skip
def test_capabilities(environ: dict[str, str], settings: dict[str, object], expected: dict[str, object]) -> None:
    found = terminal.decide(Settings(**settings), {**_BASE, **environ})  # type: ignore[arg-type]
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("size", "small"), [((80, 24), False), ((60, 16), False), ((40, 8), False), ((39, 24), True),
                                             ((80, 7), True), ((1, 1), True)])  # fmt: skip
def test_what_is_too_small(size: tuple[int, int], small: bool) -> None:
    assert bool(terminal.too_small(*size)) is small
