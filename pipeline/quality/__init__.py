"""How good a finished character is: what was measured of it, what was guessed, and what to look at.

measures.py measures, limits.py says from where a figure is worth a warning, and report.py brings both
together in one document.
"""

from .limits import LIMITS, Limit
from .report import QualityReport, QualityWarning, report_quality

__all__ = ["LIMITS", "Limit", "QualityReport", "QualityWarning", "report_quality"]
