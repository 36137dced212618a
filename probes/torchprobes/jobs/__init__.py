"""Distributed runs: the one launcher of ranks, and what the ranks tell.

`BUILDERS` is what a check is given, by a row's kind of launch.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..runner.command import PLAIN, CommandBuilder
from .torchrun import build

BUILDERS: Mapping[str, CommandBuilder] = {**PLAIN, "torchrun": build}

__all__ = ["BUILDERS"]
