"""What was reported, to look at: live readings and uploads. Readings of the past have their own page, by miner and time."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from sites.listing import LargeChangeList
from sites.scoping import ReadOnly, SiteScopedAdmin, VisibleSiteFilter
from telemetry import units
from telemetry.models import CollectorUploadLog, MinerTelemetryLive, TelemetryGap


class MinerPageChangeList(LargeChangeList):
    def url_for_result(self, result: Any) -> str:
        return reverse("console:miner", args=[result.miner_id])


HEALTH = {"healthy": _("healthy"), "degraded": _("degraded"), "critical": _("critical"), "offline": _("offline")}


@admin.register(MinerTelemetryLive)
class MinerTelemetryLiveAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["name", "site", "read_at", "online", "terahashes", "hottest", "watts", "joules", "health", "source"]
    list_filter = [VisibleSiteFilter, "online", ["source", ChoicesDropdownFilter]]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["miner", "site"]
    search_fields = ["^miner__miner_id"]
    ordering = ["pk"]
    empty_text = _("No miner has reported yet. A site shows up here within a minute of its first poll or upload.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[MinerPageChangeList]:
        return MinerPageChangeList

    read_at = units.moment_column("timestamp", _("read at"))

    @admin.display(description=_("miner"), ordering="miner__miner_id")
    def name(self, live: MinerTelemetryLive) -> str:
        return live.miner.miner_id

    @admin.display(description=_("hash rate"), ordering="hashrate_ghs")
    def terahashes(self, live: MinerTelemetryLive) -> str:
        return units.hashrate(live.hashrate_ghs)

    @admin.display(description=_("hottest"), ordering="temperature_max")
    def hottest(self, live: MinerTelemetryLive) -> str:
        return units.temperature(live.temperature_max)

    @admin.display(description=_("J/TH"), ordering="efficiency")
    def joules(self, live: MinerTelemetryLive) -> str:
        return units.number(live.efficiency, 1)

    @admin.display(description=_("power"), ordering="power_consumption")
    def watts(self, live: MinerTelemetryLive) -> str:
        return units.power(live.power_consumption)

    @display(
        description=_("health"),
        ordering="overall_health",
        label={"healthy": "success", "degraded": "warning", "critical": "danger", "offline": "danger"},
    )
    def health(self, live: MinerTelemetryLive) -> tuple[str | None, Any]:
        return live.overall_health, HEALTH.get(live.overall_health or "", units.DASH)


@admin.register(CollectorUploadLog)
class CollectorUploadLogAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["received_at", "site", "outcome", "received", "inserted", "duplicates", "error_count", "size", "took", "key"]
    list_filter = [VisibleSiteFilter, ["status", ChoicesDropdownFilter]]
    list_filter_submit = True
    list_select_related = ["site", "key"]
    empty_text = _("No collector has uploaded yet. Make a key for a site, and start its collector with it.")

    received_at = units.moment_column("upload_time", _("received"))

    @display(description=_("status"), ordering="status", label={"stored": "success", "partial": "warning", "refused": "danger"})
    def outcome(self, upload: CollectorUploadLog) -> tuple[str, str]:
        return upload.status, upload.get_status_display()

    @admin.display(description=_("size"), ordering="size_bytes")
    def size(self, upload: CollectorUploadLog) -> str:
        return f"{units.number(upload.size_bytes / 1000, 1)}\N{NO-BREAK SPACE}kB"

    @admin.display(description=_("processing"), ordering="processing_ms")
    def took(self, upload: CollectorUploadLog) -> str:
        return f"{units.number(upload.processing_ms)}\N{NO-BREAK SPACE}ms"


@admin.register(TelemetryGap)
class TelemetryGapAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["started", "ended", "lasted", "site", "of", "reason", "records", "numbers"]
    list_filter = [VisibleSiteFilter, ["cause", ChoicesDropdownFilter]]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["site", "miner", "collector"]
    search_fields = ["^miner__miner_id", "=collector__device_id"]
    empty_text = _("Nothing is missing: every reading that was due has arrived.")

    started = units.moment_column("started_at", _("last reading before"))
    ended = units.moment_column("ended_at", _("first reading after"))

    @admin.display(description=_("lasted"))
    def lasted(self, gap: TelemetryGap) -> str:
        return units.duration(((gap.ended_at or timezone.now()) - gap.started_at).total_seconds())

    @admin.display(description=_("of"))
    def of(self, gap: TelemetryGap) -> str:
        """Whose readings are missing."""
        if gap.miner:
            return gap.miner.miner_id
        return str(gap.collector or _("the whole site"))

    @display(
        description=_("cause"),
        ordering="cause",
        label={
            TelemetryGap.Cause.SPOOL_REPLAYING: "info",
            TelemetryGap.Cause.DROPPED: "danger",
            TelemetryGap.Cause.SEQUENCE_MISSING: "danger",
            TelemetryGap.Cause.COLLECTOR_SILENT: "warning",
            TelemetryGap.Cause.POLLER_STOPPED: "danger",
            TelemetryGap.Cause.MINER_OFFLINE: "warning",
        },
    )
    def reason(self, gap: TelemetryGap) -> tuple[str, str]:
        return gap.cause, gap.get_cause_display()

    @admin.display(description=_("numbers"))
    def numbers(self, gap: TelemetryGap) -> str:
        if gap.sequence_start is None:
            return units.DASH
        return f"{units.number(gap.sequence_start)} – {units.number(gap.sequence_end)}"
