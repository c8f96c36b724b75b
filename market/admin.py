"""What a bitcoin was worth, as it was fetched."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from market.models import MarketSample
from sites.exports import ListExport
from telemetry import units


@admin.register(MarketSample)
class MarketSampleAdmin(ListExport, ModelAdmin):
    list_display = ["quantity", "value", "source", "fetched"]
    list_filter = ["quantity", "source"]
    show_full_result_count = False

    fetched = units.moment_column("fetched_at", MarketSample._meta.get_field("fetched_at").verbose_name)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
