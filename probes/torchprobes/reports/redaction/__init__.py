"""What a report says of people and places, taken out before it is handed over; the figures and the versions stay."""

from .levels import DEFAULTS, Level, level_for
from .redactor import Redactor

__all__ = ["DEFAULTS", "Level", "Redactor", "level_for"]
