"""Faults of the user's own model, in the file that `--entry` names: `entry_models.py` holds each beside its cure."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault import Change, Fault, State
from faults_compiler import TRIALS

from torchprobes.model import Verdict

_MODELS = Path(__file__).parent / "entry_models.py"
_DEGRADED, _FAIL = Verdict.DEGRADED, Verdict.FAIL


def _entry(factory: str) -> Change:
    """That factory, with the code that earlier faults compiled at hand."""

    def change(folder: Path) -> State:
        params = {"entry": f"entry_models.py:{factory}", "folder": str(_MODELS.parent)}
        return State(environ={"TORCHINDUCTOR_CACHE_DIR": str(folder.parent / "inductor")}, params=params)

    return change


def _compiled(name: str, factory: str, card: str, cured: str, fix: str) -> Fault:
    return Fault(name, "compile.entry", card, _DEGRADED, _entry(factory), _entry(cured), fix, TRIALS)


FAULTS = (
    _compiled("a graph broken by .item()", "item", "TD-CMP-030", "item_cured", "keep .item()"),
    _compiled('backend="eager" left in', "backend", "TD-CMP-075", "sound", "without backend="),
    _compiled("a recompile storm", "storm", "TD-CMP-076", "storm_cured", "then pass it as a tensor"),
    _compiled("shapes past the recompile limit", "limit", "TD-CMP-025", "limit_cured", "dynamic=True"),
    _compiled("FLOPs counted in every step", "counted", "TD-CMP-073", "sound",
              "leave the `with FlopCounterMode():` off"),
    _compiled("a helper under compiler.disable", "disabled", "TD-CMP-070", "disabled_cured",
              "remove @torch.compiler.disable"),
    _compiled("calls that go past what was compiled", "past", "TD-CMP-072", "sound", "m = torch.compile(m), and m(x)"),
    Fault("a branch on the data", "export.entry", "TD-ENT-020", _FAIL, _entry("branching"), _entry("branching_cured"),
          "torch.cond", (pytest.mark.trials,)),
)  # fmt: skip
