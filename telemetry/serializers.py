"""What the API answers of telemetry, in the wire's names and units."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from miners.models import Miner
from telemetry.models import Measurements, MinerTelemetryLive
from telemetry.overview import STATUSES, status_of

MEASURED = [field.name for field in Measurements._meta.get_fields()]


class RecordErrorSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Position in the batch, from 0.")
    field = serializers.CharField()
    reason = serializers.CharField()


class UploadDataSerializer(serializers.Serializer[Any]):
    processed = serializers.IntegerField()
    inserted = serializers.IntegerField()
    updated = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()
    processing_time_ms = serializers.FloatField()


class UploadAnswerSerializer(serializers.Serializer[Any]):
    """What became of a batch. `received` = `processed` + refused records; a reading that was stored before counts as a duplicate."""

    success = serializers.BooleanField(default=True)
    status = serializers.CharField(default="ok")
    received = serializers.IntegerField()
    processed = serializers.IntegerField()
    inserted = serializers.IntegerField(help_text="Miners seen for the first time.")
    updated = serializers.IntegerField(help_text="Miners whose newest reading came with this batch or is newer.")
    duplicates = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()
    ignored_fields = serializers.IntegerField(help_text="Fields of records that this server does not know.")

    def get_fields(self) -> dict[str, Any]:
        # As attributes, these two names would hide DRF's own properties.
        return {**super().get_fields(), "errors": RecordErrorSerializer(many=True), "data": UploadDataSerializer()}


class LiveSerializer(serializers.ModelSerializer[MinerTelemetryLive]):
    """The newest reading of one miner. null: not reported; 0: reported zero."""

    miner_id = serializers.CharField(source="miner.miner_id")
    status = serializers.SerializerMethodField()

    class Meta:
        model = MinerTelemetryLive
        fields = [
            "miner_id",
            "status",
            "timestamp",
            "received_at",
            "last_online_at",
            "source",
            *MEASURED,
            "model",
            "firmware_version",
            "pool_url",
            "worker_name",
            "error_message",
        ]

    @extend_schema_field(serializers.ChoiceField(choices=STATUSES))
    def get_status(self, live: MinerTelemetryLive) -> str:
        return status_of(live, interval_seconds=self.context["interval_seconds"], now=self.context["now"])


class PageQuerySerializer(serializers.Serializer[Any]):
    page = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=1_000, default=100)


class LivePageSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    site_id = serializers.CharField()
    count = serializers.IntegerField(help_text="Miners of the site that have reported.")
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    pages = serializers.IntegerField()
    miners = LiveSerializer(many=True)


class TotalsSerializer(serializers.Serializer[Any]):
    """One site. Sums are over the miners that answer now; null where none of them reports the value."""

    site_id = serializers.CharField()
    site_name = serializers.CharField()
    miners_total = serializers.IntegerField()
    online = serializers.IntegerField()
    sleeping = serializers.IntegerField(help_text="They answer, and do not mine because they were told so.")
    offline = serializers.IntegerField(help_text="Reported as unreachable.")
    stale = serializers.IntegerField(help_text="Nothing heard for three intervals.")
    never_seen = serializers.IntegerField()
    mining = serializers.IntegerField()
    healthy = serializers.IntegerField()
    degraded = serializers.IntegerField()
    critical = serializers.IntegerField()
    hashrate_ghs = serializers.FloatField(allow_null=True)
    hashrate_expected_ghs = serializers.FloatField(allow_null=True)
    power_consumption = serializers.FloatField(allow_null=True, help_text="W, as reported.")
    power_nameplate = serializers.FloatField(allow_null=True, help_text="W by nameplate, of hashing miners that report no power.")
    powered_hashrate_ghs = serializers.FloatField(allow_null=True, help_text="Of the miners whose power is known: W / GH/s x 1000 = J/TH.")
    temperature_avg = serializers.FloatField(allow_null=True)
    temperature_max = serializers.FloatField(allow_null=True)
    newest_reading_at = serializers.DateTimeField(allow_null=True)


class StatsSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    count = serializers.IntegerField()
    sites = TotalsSerializer(many=True)


class SummarySerializer(TotalsSerializer):
    success = serializers.BooleanField(default=True)


class StatusSerializer(TotalsSerializer):
    """The key's own site, and the collector that asks."""

    success = serializers.BooleanField(default=True)
    collector = serializers.CharField(help_text="The key's name.")
    key_prefix = serializers.CharField()
    last_upload_at = serializers.DateTimeField(allow_null=True)


class StoredList(serializers.ListField):
    """A list of the miner's newest reading, which the detail row keeps as JSON text; empty when it has never reported."""

    def get_attribute(self, instance: Miner) -> Any:
        try:
            return json.loads(getattr(instance.detail, str(self.field_name)))
        except ObjectDoesNotExist:
            return []

    def to_representation(self, data: Any) -> Any:
        return data


class BoardSerializer(serializers.Serializer[Any]):
    id = serializers.JSONField(allow_null=True)
    hashrate = serializers.FloatField(allow_null=True)
    temp = serializers.FloatField(allow_null=True)
    chips_ok = serializers.IntegerField(allow_null=True)
    chips_total = serializers.IntegerField(allow_null=True)


class MinerStatusSerializer(serializers.Serializer[Any]):
    """One miner: what it is, and what it last reported."""

    success = serializers.BooleanField(default=True)
    site_id = serializers.CharField(source="site.code")
    miner_id = serializers.CharField()
    model = serializers.CharField(source="model.name", default=None, allow_null=True)
    zone = serializers.CharField()
    rack = serializers.CharField()
    slot = serializers.CharField()
    is_enabled = serializers.BooleanField()
    live = LiveSerializer(allow_null=True, default=None, help_text="null: it has never reported.")
    boards = StoredList(child=BoardSerializer())
    temperature_chips = StoredList(child=serializers.FloatField())
    fan_speeds = StoredList(child=serializers.IntegerField())
