"""Where a line of a log leads."""

from __future__ import annotations

import time

import pytest

from torchdoctor.widgets.log_jump import Jump, jump_of

PREFIX = "V1123 06:15:17.268000 18663 torch/_dynamo/guards.py:5396]"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{PREFIX} [3/1] [__guards] x", Jump("3/1")),
        (f"[rank2]:{PREFIX} [3/1_2] x", Jump("3/1", 2)),
        (f"[default0]:[rank8]:{PREFIX} [!0/0/1] x", Jump("!0/0/1", 8)),
        ("[default1]:epoch 3 at train.py:7", Jump("", 1, "train.py", 7)),
        (f"{PREFIX} no id here, nor a place", Jump()),
        (
            f"{PREFIX} [0/0] [__graph_breaks] Graph break in user code at /home/me/my runs/train.py:9",
            Jump("0/0", None, "/home/me/my runs/train.py", 9),
        ),
        (
            f"{PREFIX} [3/1] [__recompiles] Recompiling function forward in model.py:15",
            Jump("3/1", None, "model.py", 15),
        ),
        ('  File "train.py", line 21, in <module>', Jump("", None, "train.py", 21)),
        (
            '  File "/v/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1775, in _call_impl',
            Jump("", None, "/v/lib/python3.11/site-packages/torch/nn/modules/module.py", 1775),
        ),
        (
            f"{PREFIX} [0/0] | +- TYPE_MATCH: x  # _dynamo/output_graph.py:1135 in f, then /me/net.py:7",
            Jump("0/0", None, "_dynamo/output_graph.py", 1135),
        ),
        (
            "at /v/lib/python3.11/site-packages/torch/a.py:1 from ~/mödel.py:33, code: y = x",
            Jump("", None, "~/mödel.py", 33),
        ),
        (
            f'{PREFIX} {{"dynamo_start": {{}}, "rank": 3, "frame_id": 0, "frame_compile_id": 2, "attempt": 1}}',
            Jump("0/2", 3),
        ),
        ("[2026-11-23 06:37:11,748] [0/0] torch._dynamo.guards.__recompiles: [DEBUG] text", Jump("0/0")),
        ("see [1/2] of x.pyc:3 and y.py:", Jump("1/2")),
        ("", Jump()),
    ],
)
def test_a_line_leads_to_its_compile_and_to_the_persons_own_source(line: str, expected: Jump) -> None:
    assert jump_of(line) == expected


@pytest.mark.parametrize("line", ["a.py:1 " * 600, ".py:1" * 800, "user code at " * 300, 'File "' * 700], ids=range(4))
def test_no_line_takes_long(line: str) -> None:
    start = time.process_time()
    jump_of(line)
    assert time.process_time() - start < 1.0, "linear: milliseconds; a rule that explodes takes minutes"
