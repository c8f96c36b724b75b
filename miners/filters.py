"""What operators narrow a list of miners by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from miners.models import MinerState

Lookups = list[tuple[str, Any]]


class StateFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        return list(MinerState.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.in_state(self.value(), timezone.now()) if self.value() else queryset


class DeliveryFilter(DropdownFilter):
    """Online, and doing less than it should."""

    title = _("hash rate")
    parameter_name = "under"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        return [(str(limit), _("under %(limit)d %% of expected") % {"limit": limit}) for limit in (95, 90, 75, 50)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value not in dict(self.lookup_choices):
            return queryset
        return queryset.in_state(MinerState.ONLINE, timezone.now()).filter(live__hashrate_ghs__lt=F("expected_ghs") * int(value) / 100.0)


class TemperatureFilter(DropdownFilter):
    title = _("temperature")
    parameter_name = "hotter"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        return [(str(limit), _("over %(limit)d °C") % {"limit": limit}) for limit in (75, 80, 85, 90)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value not in dict(self.lookup_choices):
            return queryset
        return queryset.in_state(MinerState.ONLINE, timezone.now()).filter(live__temperature_max__gt=int(value))


class TroubleFilter(DropdownFilter):
    """What the miner itself, or what we know of it, says is wrong."""

    title = _("trouble")
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        return [
            ("boards", _("boards missing")),
            ("pool", _("another worker than expected")),
            ("overheated", _("overheated")),
            ("fault", _("reports a fault")),
            ("new", _("registered by itself")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "boards":
                return queryset.filter(live__boards_healthy__lt=F("live__boards_total"))
            case "pool":
                return queryset.exclude(worker_name="").exclude(live__worker_name=F("worker_name")).filter(live__worker_name__isnull=False)
            case "overheated" | "fault" as state:
                return queryset.filter(live__mining_state=state)
            case "new":
                return queryset.filter(discovered=True)
        return queryset


class _StartsWithFilter(TextFilter):
    lookup = ""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(**{self.lookup: value}) if value else queryset


class ZoneFilter(_StartsWithFilter):
    title, parameter_name, lookup = _("zone"), "zone", "zone__istartswith"


class RackFilter(_StartsWithFilter):
    title, parameter_name, lookup = _("rack"), "rack", "rack__istartswith"


class FirmwareFilter(_StartsWithFilter):
    title, parameter_name, lookup = _("firmware"), "firmware", "live__firmware_version__istartswith"


class PoolFilter(_StartsWithFilter):
    title, parameter_name, lookup = _("pool contains"), "pool", "live__pool_url__icontains"


class OtherPoolFilter(TextFilter):
    """The pool is not the right one: miners that name a pool, and not this one."""

    title, parameter_name = _("pool is not"), "pool_not"

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(live__pool_url__gt="").exclude(live__pool_url__icontains=value)


class LastSeenFilter(DropdownFilter):
    """Not heard of for so long, or never."""

    title = _("last seen")
    parameter_name = "unseen"
    NEVER = "never"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        choices = (
            (600, _("over 10 min ago")),
            (3_600, _("over an hour ago")),
            (86_400, _("over a day ago")),
            (604_800, _("over a week ago")),
        )
        return [*((str(seconds), label) for seconds, label in choices), (self.NEVER, _("never"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value not in dict(self.lookup_choices):
            return queryset
        if value == self.NEVER:
            return queryset.filter(live__last_online_at__isnull=True)
        return queryset.filter(live__last_online_at__lt=timezone.now() - timedelta(seconds=int(value)))
