"""How far from float64 an operation may be, by number format: one table for products, operations and attention.

Errors are relative Frobenius norms against float64 from the operands as rounded. Rounding the result alone gives 0.21
machine epsilons in bf16 and fp16, whatever the length of the sums ("measured": torch 2.13 and 2.11, CPU and H200).
"""

from __future__ import annotations

EPSILON = {"fp32": 2.0**-23, "tf32": 2.0**-10, "fp16": 2.0**-10, "bf16": 2.0**-7, "fp8": 2.0**-7, "int8": 0.0}
"""Machine epsilon of the format of the result; of the operands for tf32. fp8 products are returned in bf16."""

_FLOAT32 = {"gemm": 64.0, "conv": 64.0, "attention": 64.0}
"""Epsilons of float32 by operation, for sums of up to 8192 terms added one by one (sqrt(n / 6) of them) ..."""

_FLOAT32_ELSE = 8.0
"""... and for what adds few terms. TF32 is 2,400 of them."""

_FLOAT32_FAIL = 4e-3
"""Above it float32 is no longer explained by fewer bits of the operands: bf16 operands are 1.7e-3."""

_HALF_FAIL = 8.0
"""Epsilons of a 16-bit format that sums in 16 bits may reach; more is wrong."""


def limits(dtype: str, op: str) -> tuple[float, float] | None:
    """(less exact than the format allows from here, wrong from here); None for a format that is not known."""
    epsilon = EPSILON.get(dtype)
    if epsilon is None:
        return None
    if dtype == "fp32":
        return epsilon * _FLOAT32.get(op, _FLOAT32_ELSE), _FLOAT32_FAIL
    return epsilon, epsilon * _HALF_FAIL


def precision_of(error: float) -> str:
    """Which precision a float32 product with this error was made in: the fingerprint that no flag can fake."""
    for limit, name in _FINGERPRINTS:
        if error <= limit:
            return name
    return "wrong"


_FINGERPRINTS = ((8e-6, "float32"), (8e-4, "TF32"), (4e-3, "bf16"))
"""Highest error of each: about 3e-7, 2.9e-4 and 1.7e-3 for sums of 2048 terms."""
