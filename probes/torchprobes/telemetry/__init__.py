"""Live readings of GPUs and host: the sampler child, what it says, and the rules of health over it."""

from . import health
from .source import Sampler, take_sample

__all__ = ["Sampler", "health", "take_sample"]
