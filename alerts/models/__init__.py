"""What should not be so (rules), what is so now (alerts), and who was told (channels and deliveries)."""

from alerts.models.alerts import Alert, AlertEvent, AlertMember
from alerts.models.conditions import Condition, MinerLook, MinerRestart
from alerts.models.rules import AlertRule, RuleKind, Severity, Silence

__all__ = ["Alert", "AlertEvent", "AlertMember", "AlertRule", "Condition", "MinerLook", "MinerRestart", "RuleKind", "Severity", "Silence"]
