"""Long repetitions, run by hand with `-m trials`: whatever happens when, nothing is left and every probe has an end."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from harness import finish, left_of, make, probe

from torchprobes.model import Verdict
from torchprobes.runner.check import Options
from torchprobes.runner.snapshot import ProbeState

ROUNDS = 25
ENDLESS = ("hangs", "hangs_deaf", "stops", "leaves_children", "leaves_daemon", "fork_storm", "storm_of_sessions")
QUICK = Options(device="cpu", slots=4, grace_s=0.2)


@pytest.mark.trials
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_cancelled_at_any_moment_nothing_is_left(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = [probe(fault) for fault in chance.sample(ENDLESS, 4)]
    check = make(tmp_path, *rows, options=QUICK)
    check.start()
    time.sleep(chance.uniform(0.0, 1.5))  # the moment is what is tried
    check.cancel()
    assert check.wait(60.0)
    assert left_of(check.view().run) == []
    assert all(v.state is ProbeState.DONE and v.result for v in check.view().probes)


@pytest.mark.trials
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_let_go_at_any_moment_nothing_is_left(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    check = make(tmp_path, *(probe(fault) for fault in chance.sample(ENDLESS, 4)), options=QUICK)
    check.start()
    time.sleep(chance.uniform(0.0, 1.5))
    begin = time.monotonic()
    check.abandon()
    assert time.monotonic() - begin < 0.5
    deadline = time.monotonic() + 30.0
    while left_of(check.view().run):
        assert time.monotonic() < deadline, left_of(check.view().run)
        time.sleep(0.02)


@pytest.mark.trials
def test_the_same_sound_probe_a_hundred_times(tmp_path: Path) -> None:
    for number in range(100):
        assert finish(make(tmp_path / str(number), probe("sound")))["sound"].verdict is Verdict.PASS
