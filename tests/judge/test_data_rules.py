"""data.loader judged: each fault in a sound run has its card, and nothing unread passes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import DATALOADER, figure, ids, judged, readings

from torchprobes.model import Verdict

NAME = "data.loader"
F, D, U = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE


def test_a_sound_loader_passes_with_what_was_seen() -> None:
    judgement = judged(readings(NAME, DATALOADER, (figure("killed_told_s", 0.03),)))
    assert (judgement.verdict, judgement.findings) == (Verdict.PASS, ())
    assert judgement.reason == (
        "order exact with 0, 2, 4 workers, a killed worker was told after 0.03 s, nothing left behind"
    )


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"dataloader.workers-2.order": "wrong"}, "TD-DTL-001", F),
        ({"dataloader.spawn.order": ..., "dataloader.spawn.raised": "builtins.RuntimeError"}, "TD-DTL-002", F),
        ({"dataloader.killed": "silent"}, "TD-DTL-003", F),
        ({"dataloader.exception": "silent"}, "TD-DTL-003", F),
        ({"dataloader.killed": "other error"}, "TD-DTL-004", D),
        ({"dataloader.exception": "mute"}, "TD-DTL-004", D),
        ({"dataloader.left.fork.zombies": 2}, "TD-DTL-005", D),
        ({"dataloader.left.killed.descriptors": 7}, "TD-DTL-005", D),
        ({"shm.total_bytes": 64 << 20}, "TD-DTL-006", D),
        ({"shm.total_bytes": None}, "TD-DTL-007", D),
        ({"dataloader.persistent.kept": False}, "TD-DTL-008", D),
        ({"dataloader.spawn-persistent.kept": False}, "TD-DTL-008", D),
        ({"dataloader.pinned": "wrong"}, "TD-DTL-009", F),
        ({"limit.open_files": 256}, "TD-DTL-010", D),
    ],
)
def test_each_fault_has_its_card(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = judged(readings(NAME, {**DATALOADER, **change}, evidence=dict.fromkeys(change, "as seen")))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)
    assert judgement.findings[0].seen


_FAILED = {"dataloader.workers-2.order": ..., "dataloader.workers-2.raised": "builtins.RuntimeError"}
_LEFT = {"dataloader.left.killed.descriptors": 1, "dataloader.killed": "other error"}


@pytest.mark.parametrize(
    ("change", "message", "card"),
    [
        ({"limit.open_files": 300}, "Too many open files. Communication with the workers ...", "TD-DTL-010"),
        ({"limit.open_files": 65536}, "OSError: [Errno 24] ...", "TD-DTL-010"),
        ({"limit.open_files": 24}, "DataLoader worker (pid(s) 7) exited unexpectedly", "TD-DTL-010"),
        ({"limit.socket_path": -9}, "DataLoader timed out after 40.0 seconds", "TD-DTL-011"),
        ({"shm.total_bytes": 1 << 20}, "worker is killed by signal: Bus error. ... out of shared memory", "TD-DTL-006"),
    ],
)
def test_what_a_loader_ran_out_of_is_its_one_cause(change: Mapping[str, object], message: str, card: str) -> None:
    facts = {**DATALOADER, **_FAILED, **_LEFT, "dataloader.workers-2.raised.message": message, **change}
    judgement = judged(readings(NAME, facts, evidence={"limit.socket_path": "/a/long/one is 84 bytes long"}))
    assert (ids(judgement), judgement.verdict) == ([card], F), judgement
    assert message in judgement.reason


@pytest.mark.parametrize(
    "change",
    [
        {"dataloader.left.fork.descriptors": -2},
        {"limit.open_files": -1},
        {"limit.open_files": 1024},
        {"limit.socket_path": -9},
        {"shm.total_bytes": 1 << 30},
    ],
)
def test_what_is_within_its_limit_is_no_finding(change: Mapping[str, object]) -> None:
    assert judged(readings(NAME, {**DATALOADER, **change})).findings == ()


@pytest.mark.parametrize("missing", ["dataloader.killed", "dataloader.workers-2.order", "dataloader.left.fork.zombies"])
def test_what_was_not_read_is_no_pass(missing: str) -> None:
    assert judged(readings(NAME, {**DATALOADER, missing: ...})).verdict is U


def test_the_limit_is_said_with_the_number() -> None:
    (finding,) = judged(readings(NAME, {**DATALOADER, "shm.total_bytes": 64 << 20})).findings
    assert finding.seen == "shared memory (/dev/shm) has 64 MiB (limit 1 GiB)"
    needed = figure("shm_needed", 2.4 * 2**30, workers="16")
    (finding,) = judged(readings(NAME, {**DATALOADER, "shm.total_bytes": 2 << 30}, (needed,))).findings
    assert finding.seen == (
        "shared memory (/dev/shm) has 2 GiB (limit 2.4 GiB: 2 batches of 64 pictures x 16 workers x 2 prefetched)"
    )
    assert judged(readings(NAME, DATALOADER, (needed,))).findings == ()
