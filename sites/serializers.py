"""Collector keys as the API shows them and as it is asked for them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from sites.models import CollectorKey


class KeySerializer(serializers.ModelSerializer[CollectorKey]):
    """A key without its secret."""

    site_id = serializers.SlugRelatedField[Any](source="site", slug_field="code", read_only=True, help_text="The site's code.")
    state = serializers.ChoiceField(choices=["active", "expired", "revoked"], read_only=True)
    created_by = serializers.CharField(source="created_by.get_username", default=None, read_only=True, allow_null=True)

    class Meta:
        model = CollectorKey
        fields = ["id", "site_id", "name", "prefix", "state", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at"]
        read_only_fields = fields


class NewKeySerializer(serializers.Serializer[Any]):
    """What a key is made for. `expires_at` empty: it works until it is revoked."""

    site_id = serializers.CharField(max_length=50, help_text="The site's code.")
    name = serializers.CharField(max_length=100, help_text="Where the key is used.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("Must lie in the future.")
        return value


class RotationSerializer(serializers.Serializer[Any]):
    """How long the old key goes on working beside the new one."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=24 * 90, default=24)


class KeyListSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    count = serializers.IntegerField()
    keys = KeySerializer(many=True)


class SecretSerializer(serializers.Serializer[Any]):
    """The one answer that holds the secret."""

    success = serializers.BooleanField(default=True)
    secret = serializers.CharField(help_text="The key as the collector must send it. Shown this once.")
    key = KeySerializer()


class RevokedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    revoked = serializers.BooleanField(help_text="False when it was revoked before.")
    key = KeySerializer()
