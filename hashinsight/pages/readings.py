"""Readings of the past. History has billions of rows, so the page goes forward by keyset and never counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from hashinsight.pages.access import require
from miners.models import Miner
from sites.models import Site
from telemetry.models import MinerTelemetryHistory

PER_PAGE = 100
SPAN = timedelta(days=1)


class ReadingsForm(forms.Form):
    """Which readings: of a miner at any time, or of a site within a day."""

    site = forms.ModelChoiceField(
        Site.objects.none(), required=False, label=_("Site"), empty_label=_("All sites"), widget=UnfoldAdminSelectWidget
    )
    miner = forms.CharField(required=False, label=_("Miner ID"), widget=UnfoldAdminTextInputWidget(attrs={"placeholder": _("exact")}))
    until = forms.DateTimeField(
        required=False,
        label=_("Until"),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-01-31 18:00", "inputmode": "numeric"}),
        help_text=_("Empty: now"),
    )

    def __init__(self, *args: Any, sites: QuerySet[Site], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]  # a ModelChoiceField


def readings(request: HttpRequest) -> HttpResponse:
    require(request, "telemetry.view_minertelemetryhistory")
    sites = Site.objects.visible_to(request.user)
    form = ReadingsForm(request.GET or None, sites=sites)
    chosen = form.cleaned_data if form.is_bound and form.is_valid() else {}
    rows = [] if form.is_bound and not form.is_valid() else page_of(sites, chosen, before=_before(request), now=timezone.now())
    context = {
        **admin.site.each_context(request),
        "title": _("Readings"),
        "form": form,
        "rows": rows[:PER_PAGE],
        "next_address": _next_address(request, rows),
    }
    return render(request, "console/readings.html", context)


def page_of(
    sites: QuerySet[Site], chosen: dict[str, Any], *, before: tuple[datetime, int] | None, now: datetime
) -> list[MinerTelemetryHistory]:
    """The next PER_PAGE readings before a point of (time, miner), newest first, and one more when there are more."""
    until = chosen.get("until") or now
    history = MinerTelemetryHistory.objects.filter(timestamp__lte=until, miner__in=_miners(sites, chosen)).select_related(
        "miner", "miner__site"
    )
    if not chosen.get("miner"):
        history = history.filter(timestamp__gt=(before[0] if before else until) - SPAN)
    if before:
        moment, miner = before
        history = history.filter(timestamp__lte=moment).filter(Q(timestamp__lt=moment) | Q(miner_id__gt=miner))
    return list(history.order_by("-timestamp", "miner_id")[: PER_PAGE + 1])


def _miners(sites: QuerySet[Site], chosen: dict[str, Any]) -> QuerySet[Miner]:
    miners = Miner.objects.filter(site=chosen["site"]) if chosen.get("site") else Miner.objects.filter(site__in=sites)
    return miners.filter(miner_id=chosen["miner"].strip()) if chosen.get("miner") else miners


def _before(request: HttpRequest) -> tuple[datetime, int] | None:
    """Where the page before ended, from the address; None for the first page or for an address that says nothing sensible."""
    moment, _comma, miner = request.GET.get("before", "").partition(",")
    try:
        parsed = parse_datetime(moment)
    except ValueError:
        return None
    return (parsed, int(miner)) if parsed and timezone.is_aware(parsed) and miner.isdecimal() else None


def _next_address(request: HttpRequest, rows: list[MinerTelemetryHistory]) -> str:
    if len(rows) <= PER_PAGE:
        return ""
    last = rows[PER_PAGE - 1]
    query = request.GET.copy()
    query["before"] = f"{last.timestamp.isoformat()},{last.miner_id}"
    return f"?{query.urlencode()}"
