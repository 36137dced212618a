"""Rules of compute.*: right numbers, and figures against what the device can reach. One module a question."""

from __future__ import annotations

from ..rules import Expected, Positive, Rule
from . import attention as compute_attention
from . import copies as compute_links
from . import gradients as compute_gradients
from . import numbers as compute_numbers
from . import speed as compute_speed

RULES: tuple[Rule, ...] = (
    compute_speed.RULES
    + compute_numbers.RULES
    + compute_links.RULES
    + compute_attention.RULES
    + compute_gradients.RULES
)

POSITIVE: Positive = {
    **compute_speed.POSITIVE,
    **compute_numbers.POSITIVE,
    **compute_links.POSITIVE,
    **compute_attention.POSITIVE,
    **compute_gradients.POSITIVE,
}

EXPECTED: Expected = {**compute_speed.EXPECTED, **compute_links.EXPECTED}
