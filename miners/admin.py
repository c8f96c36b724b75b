"""The inventory: miners with what they do right now, and the models they are of."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from commands.ordering import order_page
from commands.permissions import allowed_commands
from miners.catalogue import MODELS_KEY
from miners.filters import (
    DeliveryFilter,
    FirmwareFilter,
    LastSeenFilter,
    OtherPoolFilter,
    PoolFilter,
    RackFilter,
    StateFilter,
    TemperatureFilter,
    TroubleFilter,
    ZoneFilter,
)
from miners.identity import mac_address, without_port
from miners.models import SEARCHED_FIELDS, Miner, MinerModel, MinerState, MinerTag
from resilience.remembered import forget
from sites.exports import ListExport
from sites.listing import OverviewChangeList
from sites.recorded import RecordedAdmin
from sites.scoping import SiteScopedAdmin, VisibleSiteFilter
from telemetry import units

STATE_COLOURS = {
    MinerState.ONLINE: "success",
    MinerState.SLEEPING: "info",
    MinerState.OFFLINE: "danger",
    MinerState.STALE: "warning",
    MinerState.NEVER: "default",
    MinerState.DISABLED: "default",
}
MEASURED_STATES = (MinerState.ONLINE, MinerState.SLEEPING)
"""States in which the last reading is what the miner does now."""


@admin.register(MinerTag)
class MinerTagAdmin(ListExport, ModelAdmin):
    search_fields = ["name"]


@admin.register(MinerModel)
class MinerModelAdmin(RecordedAdmin):
    list_display = ["name", "maker", "terahashes", "watts", "efficiency", "boards", "fans", "cooling", "released"]
    list_filter = ["maker", "cooling"]
    search_fields = ["name", "maker", "slug"]
    list_per_page = 50
    fieldsets = [
        (None, {"fields": ["maker", "name", "slug", "aliases", "released"]}),
        (_("Nameplate"), {"fields": ["hashrate_ghs", "power_consumption", "efficiency", "temperature_max", "source"]}),
        (_("Build"), {"fields": ["boards", "chips_per_board", "fans", "cooling"]}),
        (_("Tuning"), {"fields": ["frequency_min", "frequency_max", "capabilities"]}),
    ]

    def save_model(self, request: HttpRequest, obj: MinerModel, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(forget, MODELS_KEY))

    def delete_model(self, request: HttpRequest, obj: MinerModel) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(partial(forget, MODELS_KEY))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[MinerModel]) -> None:
        super().delete_queryset(request, queryset)
        transaction.on_commit(partial(forget, MODELS_KEY))

    @admin.display(description=_("hash rate"), ordering="hashrate_ghs")
    def terahashes(self, model: MinerModel) -> str:
        return units.hashrate(model.hashrate_ghs)

    @admin.display(description=_("power"), ordering="power_consumption")
    def watts(self, model: MinerModel) -> str:
        return units.power(model.power_consumption)


@admin.register(Miner)
class MinerAdmin(RecordedAdmin, SiteScopedAdmin):
    list_display = ["miner_id", "state", "site", "model", "hashrate", "delivered", "temperature", "power", "pool", "last_seen"]
    further_columns: ClassVar[list[str]] = [
        *("address", "mac_address", "serial_number", "worker", "firmware", "place", "boards", "efficiency", "uptime", "registered")
    ]
    list_filter = [
        VisibleSiteFilter,
        StateFilter,
        DeliveryFilter,
        TemperatureFilter,
        TroubleFilter,
        LastSeenFilter,
        ["model", AutocompleteSelectFilter],
        ZoneFilter,
        RackFilter,
        FirmwareFilter,
        PoolFilter,
        OtherPoolFilter,
    ]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["site", "model", "live"]
    search_fields = SEARCHED_FIELDS
    search_help_text = _("Beginning of an ID, address, serial number, MAC or worker")
    ordering = ["site_id", "miner_id"]
    autocomplete_fields = ["model", "tags"]
    # The columns of an import first, so that an export can be changed and imported again.
    export_columns: ClassVar[list[str]] = [
        *("miner_id", "ip_address", "port", "model", "serial_number", "mac_address", "worker_name", "zone", "rack", "slot"),
        *("site__code", "is_enabled", "state", "live__hashrate_ghs", "expected_ghs", "live__temperature_max", "live__power_consumption"),
        *("live__firmware_version", "live__pool_url", "live__last_online_at"),
    ]
    export_labels: ClassVar[dict[str, Any]] = {
        "site__code": _("site code"),
        "live__hashrate_ghs": _("hash rate, GH/s"),
        "expected_ghs": _("expected hash rate, GH/s"),
        "live__temperature_max": _("temperature, °C"),
        "live__power_consumption": _("power, W"),
        "live__firmware_version": _("firmware"),
        "live__pool_url": _("pool"),
        "live__last_online_at": _("last seen"),
    }
    actions = ["send_command"]
    readonly_fields = ["discovered", "created_at"]
    empty_text = _(
        "Import an inventory with “manage.py import_miners”, add a miner here, or start a collector: it registers what it reads."
    )
    fieldsets = [
        (None, {"fields": ["site", "miner_id", "model", "is_enabled"]}),
        (_("Network"), {"fields": ["ip_address", "port", "mac_address", "worker_name"]}),
        (_("Place"), {"fields": ["zone", "rack", "slot", "serial_number"]}),
        (_("Notes"), {"fields": ["tags", "notes", "discovered", "created_at"]}),
    ]

    last_seen = units.ago_column("live__last_online_at", _("last seen"))
    registered = units.moment_column("created_at", _("created"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        miners: Any = super().get_queryset(request)
        return miners.with_state(timezone.now()).with_expectation()  # type: ignore[no-any-return]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OverviewChangeList]:
        return OverviewChangeList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Rows of which each word begins something. A MAC address is found however it is written; a serial number may look like one."""
        mac = mac_address(search_term)
        for word in [search_term.strip()] if mac else search_term.split():
            queryset = queryset.beginning_with(without_port(word), mac=mac)  # type: ignore[attr-defined]  # miners, with their own QuerySet
        return queryset, False

    @admin.action(description=_("Send a command…"), permissions=["command"])
    def send_command(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """To the page that shows what the command will hit; nothing is sent from here."""
        return order_page(request, Miner.objects.filter(pk__in=queryset.order_by().values("pk")))

    def has_command_permission(self, request: HttpRequest) -> bool:
        return bool(allowed_commands(request.user))

    @display(description=_("state"), label=STATE_COLOURS, ordering="state")
    def state(self, miner: Any) -> tuple[str, Any]:
        return miner.state, MinerState(miner.state).label

    @admin.display(description=_("hash rate"), ordering="live__hashrate_ghs")
    def hashrate(self, miner: Any) -> str:
        return _measured(miner, units.hashrate, "hashrate_ghs")

    @admin.display(description=_("of expected"), ordering="delivered_percent")
    def delivered(self, miner: Any) -> str:
        return units.percent(miner.delivered_percent) if miner.state in MEASURED_STATES else units.DASH

    @admin.display(description=_("hottest"), ordering="live__temperature_max")
    def temperature(self, miner: Any) -> str:
        return _measured(miner, units.temperature, "temperature_max")

    @admin.display(description=_("power"), ordering="live__power_consumption")
    def power(self, miner: Any) -> str:
        return _measured(miner, units.power, "power_consumption")

    @admin.display(description=_("pool"), ordering="live__pool_url")
    def pool(self, miner: Any) -> str:
        url = _live_value(miner, "pool_url")
        return format_html('<span title="{}">{}</span>', url, url.split("//")[-1][:28]) if url else units.DASH

    @admin.display(description=_("address"), ordering="ip_address")
    def address(self, miner: Any) -> str:
        return f"{miner.ip_address}:{miner.port}" if miner.ip_address else units.DASH

    @admin.display(description=_("worker"), ordering="live__worker_name")
    def worker(self, miner: Any) -> str:
        return _live_value(miner, "worker_name") or miner.worker_name or units.DASH

    @admin.display(description=_("firmware"), ordering="live__firmware_version")
    def firmware(self, miner: Any) -> str:
        return _live_value(miner, "firmware_version") or units.DASH

    @admin.display(description=_("place"), ordering="rack")
    def place(self, miner: Any) -> str:
        return miner.place or units.DASH

    @admin.display(description=_("boards"), ordering="live__boards_healthy")
    def boards(self, miner: Any) -> str:
        total = _live_value(miner, "boards_total")
        return f"{units.number(_live_value(miner, 'boards_healthy'))} / {total}" if total else units.DASH

    @admin.display(description=_("J/TH"), ordering="live__efficiency")
    def efficiency(self, miner: Any) -> str:
        return _measured(miner, lambda value: units.number(value, 1), "efficiency")

    @admin.display(description=_("up for"), ordering="live__uptime_seconds")
    def uptime(self, miner: Any) -> str:
        return _measured(miner, units.duration, "uptime_seconds")


def _live_value(miner: Any, field: str) -> Any:
    return getattr(getattr(miner, "live", None), field, None)


def _measured(miner: Any, display_unit: Any, field: str) -> str:
    """A value of the last reading, or a dash when the miner no longer does what that reading said."""
    return str(display_unit(_live_value(miner, field))) if miner.state in MEASURED_STATES else units.DASH
