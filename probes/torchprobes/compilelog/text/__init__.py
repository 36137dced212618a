"""What a program under torch.compile says in words: its stderr, its stdout, any log, of torch 2.1 to the newest."""

from .reader import TextReader

__all__ = ["TextReader"]
