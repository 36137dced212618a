"""The one style sheet of every page: light and dark, on screen and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 2rem; }
"""
