"""Reports, comparisons and time lines for a ticket: Markdown, in the same order as the HTML."""

from .comparison import comparison_markdown
from .report import to_markdown
from .timeline import timeline_markdown

__all__ = ["comparison_markdown", "timeline_markdown", "to_markdown"]
