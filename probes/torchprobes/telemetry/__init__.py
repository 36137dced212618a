"""Live readings of GPUs and host: the sampler child, what it says, and the rules of health over it.

Names are looked up when they are used: the sampler child lives in this package, starts often, and needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import health
    from .source import Sampler, take_sample

__all__ = ["Sampler", "health", "take_sample"]


def __getattr__(name: str) -> Any:
    if name in ("Sampler", "take_sample"):
        from . import source

        return getattr(source, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
