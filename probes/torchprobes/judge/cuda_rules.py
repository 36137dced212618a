"""Rules of cuda.* and accel.*, gathered: driver, architectures, toolkits, loaded libraries, cuDNN, other back ends."""

from __future__ import annotations

from . import accel_rules, cuda_driver, cuda_stack
from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = cuda_driver.RULES + cuda_stack.RULES + accel_rules.RULES

POSITIVE: Positive = {**cuda_driver.POSITIVE, **cuda_stack.POSITIVE, **accel_rules.POSITIVE}

EXPECTED: Expected = {}
