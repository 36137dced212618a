"""What NVML's return codes mean."""

from __future__ import annotations

import pynvml
import pytest

from torchprobes.cells import CellState
from torchprobes.telemetry import hardware
from torchprobes.telemetry.vendors.nvidia import codes


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (1, CellState.ERROR, "closed or reloaded"),
        (2, CellState.ERROR, "finds the question wrong"),
        (3, CellState.NOT_SUPPORTED, "does not support"),
        (4, CellState.PERMISSION, "denies"),
        (6, CellState.ERROR, "no such object"),
        (9, CellState.ERROR, "no longer loaded"),
        (12, CellState.ERROR, "library is gone"),
        (13, CellState.NOT_SUPPORTED, "does not know the call"),
        (15, CellState.LOST, "fallen off the bus"),
        (16, CellState.RESET, "must be reset"),
        (17, CellState.PERMISSION, "operating system"),
        (18, CellState.ERROR, "different versions"),
        (25, CellState.NOT_SUPPORTED, "version of the call"),
        (28, CellState.ERROR, "finds no GPU"),
        (999, CellState.ERROR, "unknown error"),
        (4711, CellState.ERROR, "answers 4711"),
    ],
)
def test_a_code_is_a_state_with_words_and_keeps_its_number(code: int, state: CellState, words: str) -> None:
    cell = codes.absent(pynvml.NVMLError(code))
    assert (cell.state, cell.code) == (state, code)
    assert words in cell.why


def test_every_code_of_pynvml_has_words_of_ours() -> None:
    known = {value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")}
    rare = {5, 7, 22, 24, 30}  # of calls that are never made here, or answered within one
    assert known - rare <= set(codes.STATES)


@pytest.mark.parametrize("code", [4, 9, 12, 15, 16, 17, 18, 28, 999])
def test_what_keeps_the_driver_shut_has_a_remedy(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "count", lambda: 8)
    words = codes.open_failure(pynvml.NVMLError(code))
    assert words.endswith("(8 NVIDIA GPUs are there)")
    assert any(verb in words for verb in ("look at", "modprobe", "start it", "reboot", "create it again", "nvidia-smi"))


def test_a_machine_without_the_library_and_without_a_gpu_has_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "count", lambda: 0)
    monkeypatch.setattr(hardware, "none_here", lambda: "no NVIDIA GPU on this machine")
    assert codes.open_failure(pynvml.NVMLError(12)) == "no NVIDIA GPU on this machine"
    assert codes.open_failure(OSError("a broken library")) == "NVML cannot be opened: a broken library"
