"""NCCL RAS: what the communicators of a job know of each other, asked over the socket that NCCL listens on.

NCCL 2.24 and later, on by default; JSON since 2.28.7. It counts operations that were launched, so that equal counts do
not mean that all is well; different ones mean that somebody is behind.
"""

from .client import DEFAULT_ADDRESS, NoRas, address_of, ask
from .documents import BadAnswer, parse_json
from .text import parse_text

__all__ = ["DEFAULT_ADDRESS", "BadAnswer", "NoRas", "address_of", "ask", "parse_json", "parse_text"]
