"""Alerts: what is worth a word (rules), what is wrong now (alerts), and who was told (channels and deliveries)."""

from alerts.models.actions import AlertAction
from alerts.models.alerts import Alert, AlertEvent, AlertMember
from alerts.models.channels import ChannelKind, ChannelReceiver, EscalationStep, NotificationChannel
from alerts.models.conditions import Condition, MinerLook, MinerRestart
from alerts.models.deliveries import Delivery, DeliveryState
from alerts.models.rules import AlertRule, RuleKind, Severity, Silence

__all__ = [
    "Alert",
    "AlertAction",
    "AlertEvent",
    "AlertMember",
    "AlertRule",
    "ChannelKind",
    "ChannelReceiver",
    "Condition",
    "Delivery",
    "DeliveryState",
    "EscalationStep",
    "MinerLook",
    "MinerRestart",
    "NotificationChannel",
    "RuleKind",
    "Severity",
    "Silence",
]
