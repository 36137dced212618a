"""Reports and comparisons as HTML: one file for a person, without a network, a script or another file."""

from .comparison import comparison_html
from .report import to_html
from .timeline import timeline_html

__all__ = ["comparison_html", "timeline_html", "to_html"]
