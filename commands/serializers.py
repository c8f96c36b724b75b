"""What staff send to ask for commands, and what they filter the past by."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from commands.dispatch import MAX_TTL_S
from commands.models import CommandStatus, CommandType

MAX_BATCH = 10_000


class OrderSerializer(serializers.Serializer[Any]):
    """What a command is, whoever it is for."""

    site_id = serializers.CharField(max_length=50, help_text="The site's code.")
    command = serializers.ChoiceField(choices=CommandType.choices)
    params = serializers.DictField(required=False, default=dict)
    priority = serializers.IntegerField(required=False, default=0, min_value=-100, max_value=100)
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=255)
    ttl_s = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1, max_value=MAX_TTL_S)
    idempotency_key = serializers.CharField(
        required=False, default=None, allow_null=True, max_length=100, help_text="The same key again makes no second command."
    )


class CommandSerializer(OrderSerializer):
    miner_id = serializers.CharField(max_length=50)


class BatchSerializer(OrderSerializer):
    miner_ids = serializers.ListField(child=serializers.CharField(max_length=50), min_length=1, max_length=MAX_BATCH)


class HistoryQuerySerializer(serializers.Serializer[Any]):
    site = serializers.CharField(required=False, max_length=50)
    miner_id = serializers.CharField(required=False, max_length=50)
    command = serializers.ChoiceField(required=False, choices=CommandType.choices)
    status = serializers.ChoiceField(required=False, choices=CommandStatus.choices)
    before = serializers.DateTimeField(
        required=False, help_text="Only commands asked before this time: the page's oldest, for the next page."
    )
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1_000)
