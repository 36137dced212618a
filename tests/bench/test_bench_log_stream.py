"""A log that streams into the real console on a pseudo terminal: keys, blocks of the loop, bytes, nothing lost.

Printed, never judged by a clock; a bare loop beside it says what the machine itself does at that time.
`pytest -s -m bench tests/bench/test_bench_log_stream.py`; on a busy machine, as root, `chrt -r 1 pytest …`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_terminal import CONSOLE, Pty

LINE = (
    "V1123 06:15:03.456000 18663 torch/_dynamo/guards.py:5396] [3/{nth}] [__guards] "
    "| | +- TYPE_MATCH: ___check_type_id(L['x'], {number})\n"
)

WRITER = """
import os, sys, time
line, rate, seconds = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
fd, start, done = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT), time.monotonic(), 0
while (now := time.monotonic() - start) < seconds:
    due = int(now * rate)
    os.write(fd, "".join(line.format(nth=n % 7, number=n) for n in range(done, due)).encode())
    done = due
    time.sleep(0.01)
print(done)
"""
"""Writes lines that all differ at a rate, and says how many."""

HEART = """
import asyncio, sys, time
async def beat(seconds):
    late, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - start - 0.005)
    late.sort()
    print(*late[-3:])
asyncio.run(beat(float(sys.argv[1])))
"""
"""A loop with nothing to do: how late the machine wakes it."""


@contextmanager
def program(source: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    made = subprocess.Popen([sys.executable, "-I", "-c", source, *argv], stdout=subprocess.PIPE, text=True)
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def key_times(screen: Pty, rounds: int) -> list[float]:
    """Seconds from a key to the bytes that show what it did."""
    times = []
    for _ in range(rounds):
        for key, shows in (("g", rb"line 1 of"), ("j", rb"line 2 of"), ("\x04", rb"line [12]\d of"), ("G", rb"FOLLOW")):
            times.append(screen.answer(key, shows))
            screen.rest(0.08)
    return sorted(times)


@pytest.mark.bench
@pytest.mark.parametrize("rate", [0, 10_000, 100_000])
def test_keys_while_lines_stream(tmp_path: Path, rate: int) -> None:
    log = tmp_path / "stderr.log"
    log.write_text("".join(LINE.format(nth=0, number=n) for n in range(1000)))
    with (
        Pty([*CONSOLE, "logs", str(log)], (120, 40), {"TORCHDOCTOR_STATE": str(tmp_path)}) as screen,
        program(WRITER, str(log), LINE, str(rate), "20") as writer,
        program(HEART, "15") as heart,
    ):
        screen.until(b"FOLLOW")
        screen.rest(2)
        cpu, start, sent = screen.cpu_s(), time.monotonic(), screen.sent
        times = key_times(screen, 12)
        passed = time.monotonic() - start
        spent, wrote = (screen.cpu_s() - cpu) / passed, (screen.sent - sent) / passed / 1024
        heart.wait()
        writer.wait()
        assert writer.stdout is not None
        assert heart.stdout is not None
        lines = 1000 + int(writer.stdout.read())
        screen.answer("g", b"line 1 of")
        screen.answer("G", f"line {lines:,} of {lines:,}".encode(), deadline_s=30)
        late = float(heart.stdout.read().split()[-1])
    print(f"\n{rate:>7,} lines/s: key to bytes p50 {statistics.median(times) * 1e3:.0f} ms, ", end="")
    print(f"p95 {times[int(len(times) * 0.95)] * 1e3:.0f} ms, max {times[-1] * 1e3:.0f} ms; ", end="")
    print(f"console {spent:.0%} of a core, {wrote:.0f} KiB/s; all {lines:,} lines; ", end="")
    print(f"a bare loop was late by {late * 1e3:.0f} ms at most")


@pytest.mark.bench
@pytest.mark.parametrize("rate", [50, 10_000])
@pytest.mark.parametrize("colour", ["256", "truecolor"])
def test_bytes_of_a_followed_log_over_ssh(tmp_path: Path, rate: int, colour: str) -> None:
    log = tmp_path / "stderr.log"
    log.write_text("".join(LINE.format(nth=0, number=n) for n in range(1000)))
    environ = {"TORCHDOCTOR_STATE": str(tmp_path), "SSH_CONNECTION": "10.0.0.1 5022 10.0.0.2 22"}
    environ |= {"COLORTERM": "truecolor"} if colour == "truecolor" else {}
    with (
        Pty([*CONSOLE, "logs", str(log)], (120, 40), environ) as screen,
        program(WRITER, str(log), LINE, str(rate), "25"),
    ):
        screen.until(b"FOLLOW")
        screen.rest(3)
        sent, start = screen.sent, time.monotonic()
        screen.rest(10)
        mean = (screen.sent - sent) / (time.monotonic() - start) / 1024
        answers = sorted(screen.answer(key, shows) for key, shows in [("g", b"line 1 of"), ("G", b"FOLLOW")] * 5)
    print(f"\nssh, {colour}, {rate:,} lines/s: {mean:.1f} KiB/s over 10 s (40 may be); ", end="")
    print(f"a key is answered after {answers[len(answers) // 2] * 1e3:.0f} ms, {answers[-1] * 1e3:.0f} ms at most")


async def lateness(stop: asyncio.Event) -> list[tuple[float, float]]:
    """(seconds that a 5 ms sleep came late, CPU seconds of this thread meanwhile), until `stop`."""
    late = []
    while not stop.is_set():
        start, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.005)
        late.append((time.perf_counter() - start - 0.005, time.thread_time() - cpu))
    return late


@pytest.mark.bench
@pytest.mark.parametrize("rate", [0, 10_000, 100_000])
async def test_blocks_of_the_loop_while_lines_stream(tmp_path: Path, rate: int) -> None:
    from log_console import console

    log = tmp_path / "stderr.log"
    log.write_text("".join(LINE.format(nth=0, number=n) for n in range(1000)))
    async with console(log, (120, 40)) as pilot:
        stop = asyncio.Event()
        with program(WRITER, str(log), LINE, str(rate), "12"), program(HEART, "9") as heart:
            await asyncio.sleep(1)
            beats = asyncio.create_task(lateness(stop))
            for key in ["k", "pageup", "g", "G"] * 15:
                pilot.app.simulate_key(key)
                await asyncio.sleep(0.12)
            stop.set()
            late = await beats
            await asyncio.to_thread(heart.wait)
            assert heart.stdout is not None
            bare = float(heart.stdout.read().split()[-1])
    over = sum(wall > 0.05 for wall, _ in late)
    print(
        f"\n{rate:>7,} lines/s: the loop was late by {max(late)[0] * 1e3:.0f} ms at most, {over} times over 50 ms; ",
        end="",
    )
    print(f"its own work took {max(cpu for _, cpu in late) * 1e3:.0f} ms of CPU at most; ", end="")
    print(f"a bare loop was late by {bare * 1e3:.0f} ms")
