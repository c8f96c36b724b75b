"""What a bitcoin was worth, as it was fetched."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from market.models import MarketSample
from sites.listing import LargeList
from telemetry import units


@admin.register(MarketSample)
class MarketSampleAdmin(LargeList, ModelAdmin):
    list_display = ["quantity", "value", "source", "fetched"]
    list_filter = ["quantity", "source"]
    empty_text = _("No price was fetched yet. HASHINSIGHT_MARKET_DATA=True switches it on.")

    fetched = units.moment_column("fetched_at", MarketSample._meta.get_field("fetched_at").verbose_name)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
