"""The structured trace of torch.compile (torch 2.3 to the newest): its records, read as they are written, as events."""

from .reader import TraceReader

__all__ = ["TraceReader"]
