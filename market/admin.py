"""What a bitcoin was worth, as it was fetched."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from market.models import MarketSample


@admin.register(MarketSample)
class MarketSampleAdmin(ModelAdmin):
    list_display = ["quantity", "value", "source", "fetched_at"]
    list_filter = ["quantity", "source"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
