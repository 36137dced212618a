"""Stacks of ranks: by py-spy without stopping them, by the faulthandler and the worker server of ranks of our own."""

from .dumps import parse_dump
from .groups import call_site, grouped
from .pyspy import by_pyspy, parse_pyspy
from .pyspy import find as find_pyspy

__all__ = ["by_pyspy", "call_site", "find_pyspy", "grouped", "parse_dump", "parse_pyspy"]
