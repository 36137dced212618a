"""Numbers as people read them."""

from __future__ import annotations

import pytest

from torchprobes.quantity import quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (179800.0, "us", "180 ms"),
        (999.9, "us", "1 ms"),
        (0.05, "us", "50 ns"),
        (59.4, "us", "59.4 µs"),
        (2.5, "s", "2.5 s"),
        (95.0, "s", "1.58 min"),
        (4 << 30, "B", "4 GiB"),
        (1 << 30, "B", "1 GiB"),
        (64 << 20, "B", "64 MiB"),
        (4.298e12, "B/s", "4.3 TB/s"),
        (7.88e14, "FLOP/s", "788 TFLOP/s"),
        (1.0, "calls", "1 call"),
        (2.0, "calls", "2 calls"),
        (0.5, "graphs", "0.5 graphs"),
        (4.613, "x", "4.61×"),
        (0.869, "share", "86.9 %"),
        (0, "us", "0 µs"),
        (0, "B", "0 B"),
        (0, "x", "0×"),
        (float("nan"), "us", "nan us"),
        (1234567, "", "1,234,567"),
        (-3.14159, "W", "-3.14 W"),
        (1.4e-12, "relative", "1.40e-12 relative"),
    ],
)
def test_a_number_reads_as_a_person_says_it(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text
