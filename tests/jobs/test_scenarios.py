"""Faults in real jobs of four gloo ranks, launched by the public command: who is named, for what, and how soon.

The harness and its table are in `scenarios/`, whose `run.py` is run by hand for twenty trials of each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import scenario_trials as scenarios
from scenario_table import Trial, healthy_table, quantile, table

TRIALS = 20


def test_a_killed_rank_and_one_that_hangs_are_named() -> None:
    """Side by side, of two ranks each; a close look at the hang is asked for, so that it need not be waited for."""
    with ThreadPoolExecutor(2) as pool:
        killed, hung = pool.map(lambda name: scenarios.trial(name, 1, press=True, ranks=2), ("sigkill", "hang"))
    print(table([killed, hung]))
    assert killed.right, killed
    assert (killed.wrong_sure, hung.wrong_sure) == ((), ())
    assert hung.right, hung


@pytest.mark.trials
@pytest.mark.parametrize("name", scenarios.FAULTS)
def test_the_right_rank_and_cause_in_twenty_trials(name: str) -> None:
    rows = [scenarios.trial(name, seed) for seed in range(TRIALS)]
    print(table(rows))
    if rows[0].skip:
        pytest.skip(rows[0].skip)
    assert not any(row.wrong_sure for row in rows)
    assert sum(row.right for row in rows) >= 0.95 * TRIALS


@pytest.mark.trials
@pytest.mark.parametrize("name", [name for name in scenarios.FAULTS if name not in scenarios.HANGS])
def test_ranks_that_ignore_the_end_delay_no_verdict(name: str) -> None:
    rows = [scenarios.trial(name, seed, deaf=True) for seed in range(3)]
    print(table(rows))
    assert all(row.right or row.skip for row in rows), rows


@pytest.mark.trials
@pytest.mark.parametrize("name", scenarios.HELD_OUT)
def test_faults_on_which_nothing_was_tuned(name: str) -> None:
    """Reported apart: what is asked of them is that none is sure and wrong."""
    rows = [scenarios.trial(name, seed) for seed in range(5)]
    print(table(rows))
    assert not any(row.wrong_sure for row in rows), rows


@pytest.mark.trials
@pytest.mark.parametrize("name", scenarios.healthy_names())
def test_a_sound_job_that_is_slow_is_no_sure_hang(name: str) -> None:
    row = scenarios.healthy(name, pause_s=60.0)
    print(healthy_table([row]))
    assert row.right, row


# --- the harness itself ----------------------------------------------------------------------------------------------


def test_a_trial_is_right_only_with_the_rank_alone_and_the_cause() -> None:
    def of(ranks: tuple[int, ...], cause: str, sure: bool = True) -> Trial:
        return Trial("hang", 2, ("hung-in-collective",), ranks=ranks, cause=cause, sure=sure)

    assert of((2,), "hung-in-collective").right
    for other in (of((2, 3), "hung-in-collective"), of((1,), "hung-in-collective"), of((2,), "killed")):
        assert not other.right
        assert not other.unsure
    assert of((), "unknown", sure=False).unsure


def test_what_never_came_is_later_than_all() -> None:
    assert quantile([0.1, 0.2, None], 0.5) == 0.2
    assert quantile([0.1, 0.2, None], 0.99) is None
    assert quantile([], 0.5) is None


def test_every_sound_job_has_its_name() -> None:
    assert len(scenarios.healthy_names()) == 20
    assert len(scenarios.FAULTS) == 12
    assert len(scenarios.HELD_OUT) == 4


def test_the_rank_that_torchrun_blames_is_read() -> None:
    lines = ["Failures:", "[1]:", "  rank      : 1 (local_rank: 1)", "Root Cause (first observed failure):", "[0]:"]
    log = "\n".join([*lines, "  time      : now", "  rank      : 3 (local_rank: 3)", ""])
    found = scenarios.ROOT_CAUSE.search(log)
    assert found is not None
    assert found[1] == "3"
