"""What the API answers of alerts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from alerts.messages import alert_address
from alerts.models import Alert, RuleKind, Severity
from alerts.wording import headline

NOT_OVER = "not_over"


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One incident. `value` is in the unit of its kind; null: it has none, or it is not known."""

    site_id = serializers.CharField(source="site.code", default=None, allow_null=True, help_text="null: it concerns the server itself.")
    kind = serializers.ChoiceField(source="rule.kind", choices=RuleKind.choices)
    rule = serializers.CharField(source="rule.slug")
    miner_id = serializers.CharField(source="miner.miner_id", default=None, allow_null=True, help_text="null: it is about several miners.")
    miners = serializers.IntegerField(source="member_count", help_text="How many miners it is about now.")
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True)
    headline = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField(help_text="Its page in the console.")

    class Meta:
        model = Alert
        fields = [
            *("id", "site_id", "rule", "kind", "severity", "state", "scope", "scope_key", "miner_id", "miners", "value"),
            *("is_silenced", "is_flapping", "opened_at", "changed_at", "acknowledged_at", "acknowledged_by", "resolved_at"),
            *("headline", "url"),
        ]

    def get_headline(self, alert: Alert) -> str:
        return headline(alert)

    def get_url(self, alert: Alert) -> str:
        return alert_address(alert)


class AlertQuerySerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(
        choices=[NOT_OVER, *Alert.State.values], required=False, help_text="`not_over`: open or acknowledged. All states by default."
    )
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    site = serializers.CharField(max_length=50, required=False, help_text="A site's code.")
    since = serializers.DateTimeField(required=False, help_text="Only alerts that changed at or after this time.")
    page = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=1_000, default=100)


class AlertPageSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    count = serializers.IntegerField(help_text="Alerts that match.")
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    pages = serializers.IntegerField()
    alerts = AlertSerializer(many=True)
