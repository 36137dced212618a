"""Rules of cuda.* and accel.*, gathered: driver, architectures, toolkits, loaded libraries, cuDNN, other back ends."""

from __future__ import annotations

from ..rules import Expected, Positive, Rule
from . import accel as accel_rules
from . import driver as cuda_driver
from . import stack as cuda_stack

RULES: tuple[Rule, ...] = cuda_driver.RULES + cuda_stack.RULES + accel_rules.RULES

POSITIVE: Positive = {**cuda_driver.POSITIVE, **cuda_stack.POSITIVE, **accel_rules.POSITIVE}

EXPECTED: Expected = {}
