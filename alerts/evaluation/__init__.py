"""Once a minute: what every rule says of the farm now, and what becomes of its alerts.

Each rule is one transaction; one that fails leaves the others alone and is tried again the next minute.
"""

from __future__ import annotations

from alerts.evaluation.run import EvaluationReport, evaluate

__all__ = ["EvaluationReport", "evaluate"]
