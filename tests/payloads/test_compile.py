"""compile.default for real on a sound machine; what it says of faults is in tests/faults."""

from __future__ import annotations

import shutil

import pytest
from payload_process import Said, run_untouched

from torchprobes.judge.reading import number
from torchprobes.model import Verdict

pytestmark = [
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): torch.compile was not tried at all"),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """One healthy run: the one cold compile of this file, and of the faults that are cured into it."""
    return run_untouched(tmp_path_factory.mktemp("sound"), "compile.default")


def test_a_sound_cpu_passes_with_compiled_code_entered_and_compared(sound: Said) -> None:
    noisy = sound.judgement.verdict is Verdict.UNSURE and "TD-CMP-046" in sound.ids  # others work on this machine too
    assert sound.judgement.verdict is Verdict.PASS or noisy, (sound.judgement, sound.stderr[-3000:])
    reference = {name: number(sound.readings, name, model="reference") for name in ("graphs", "graph_breaks", "ops")}
    assert reference == {"graphs": 1, "graph_breaks": 0, "ops": 13}
    assert number(sound.readings, "compiled_calls_per_step", model="reference") == 1
    assert number(sound.readings, "compiled_calls_per_step", model="toy") == 1
    error = number(sound.readings, "error_compiled_64", model="reference")
    assert error is not None
    assert 0 < error < 1e-6


def test_the_second_process_is_warm(sound: Said) -> None:
    hits = sound.readings.fact("warm.cache_hits")
    assert hits is not None
    assert isinstance(hits.value, int)
    assert hits.value >= 1
    cold, warm = (number(sound.readings, "first_call_s", model="reference", cache=c) for c in ("cold", "warm"))
    assert cold is not None
    assert warm is not None
    assert "TD-CMP-060" not in sound.ids


def test_a_speed_carries_its_number_and_interval(sound: Said) -> None:
    speedup = next(f for f in sound.readings.figures if f.name == "speedup" and f.labels["model"] == "reference")
    assert speedup.n >= 30
    assert speedup.spread is not None
    low, high = (number(sound.readings, name, model="reference") for name in ("speedup_low", "speedup_high"))
    assert low is not None
    assert high is not None
    assert low <= speedup.value <= high
