"""Lines of logs that mean something: a table, and a scanner that is fed line by line. Pure: it opens nothing."""

from .exits import exit_words, shell_signal, signal_name
from .scanner import Scanner
from .sites import site
from .table import PATTERNS, SIGNS, Pattern, Role, Tells

__all__ = [
    "PATTERNS",
    "SIGNS",
    "Pattern",
    "Role",
    "Scanner",
    "Tells",
    "exit_words",
    "shell_signal",
    "signal_name",
    "site",
]
