"""Readings of the past, from a table of billions: one miner's, newest first, or what every miner of a site said at a moment.

Both go on by keyset and count nothing; both read history by its primary key (miner, timestamp) only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
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
LOOK_BACK = timedelta(hours=1)
"""How long before the moment asked for a miner's reading may lie."""
NAMESAKES = 20
"""Miner IDs are unique in a site, so several sites may have one of that name."""


class ReadingsForm(forms.Form):
    site = forms.ModelChoiceField(
        Site.objects.none(), required=False, label=_("Site"), empty_label=_("All sites"), widget=UnfoldAdminSelectWidget
    )
    miner = forms.CharField(required=False, label=_("Miner ID"), widget=UnfoldAdminTextInputWidget(attrs={"placeholder": _("all of them")}))
    until = forms.DateTimeField(
        required=False,
        label=_("At or before"),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": _("now")}),
        help_text=_("As 2026-01-31 18:00"),
    )

    def __init__(self, *args: Any, sites: QuerySet[Site], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]  # a ModelChoiceField


def readings(request: HttpRequest) -> HttpResponse:
    require(request, "telemetry.view_minertelemetryhistory")
    sites = Site.objects.visible_to(request.user)
    form = ReadingsForm(request.GET, sites=sites)
    rows: list[MinerTelemetryHistory] = []
    next_page = ""
    if form.is_valid():
        miners = Miner.objects.filter(site=form.cleaned_data["site"]) if form.cleaned_data["site"] else Miner.objects.filter(site__in=sites)
        until = form.cleaned_data["until"] or timezone.now()
        if name := form.cleaned_data["miner"]:
            rows, next_page = of_miner(miners.filter(miner_id=name), until=until, before=_moment(request))
        else:
            rows, next_page = at_moment(miners, moment=until, after=_key(request))
    context = {
        **admin.site.each_context(request),
        "title": _("Readings"),
        "form": form,
        "rows": rows,
        "next_address": _address(request, next_page) if next_page else "",
    }
    return render(request, "console/readings.html", context)


def of_miner(miners: QuerySet[Miner], *, until: datetime, before: datetime | None) -> tuple[list[MinerTelemetryHistory], str]:
    """The newest readings up to `until`, or those before the last page's end; and where the next page begins, if there is one."""
    keys = list(miners.values_list("pk", flat=True)[:NAMESAKES])
    history = MinerTelemetryHistory.objects.filter(miner_id__in=keys, timestamp__lte=until)
    if before:
        history = history.filter(timestamp__lt=before)
    rows = list(history.select_related("miner", "miner__site").order_by("-timestamp", "miner_id")[: PER_PAGE + 1])
    return rows[:PER_PAGE], rows[PER_PAGE - 1].timestamp.isoformat() if len(rows) > PER_PAGE else ""


def at_moment(miners: QuerySet[Miner], *, moment: datetime, after: int) -> tuple[list[MinerTelemetryHistory], str]:
    """What each miner last said before `moment`, by the order of the inventory, beginning after the key `after`."""
    said = MinerTelemetryHistory.objects.filter(miner_id=OuterRef("pk"), timestamp__lte=moment, timestamp__gt=moment - LOOK_BACK)
    page = list(
        miners.filter(pk__gt=after)
        .order_by("pk")
        .annotate(said_at=Subquery(said.order_by("-timestamp").values("timestamp")[:1]))
        .values_list("pk", "said_at")[: PER_PAGE + 1]
    )
    wanted = Q(pk__in=[])
    for key, said_at in page[:PER_PAGE]:
        if said_at:
            wanted |= Q(miner_id=key, timestamp=said_at)
    rows = list(MinerTelemetryHistory.objects.filter(wanted).select_related("miner", "miner__site").order_by("miner_id"))
    return rows, str(page[PER_PAGE - 1][0]) if len(page) > PER_PAGE else ""


def _moment(request: HttpRequest) -> datetime | None:
    """Where the page before ended; None for the first page, and for an address that says nothing sensible."""
    try:
        parsed = parse_datetime(request.GET.get("next", ""))
    except ValueError:
        return None
    return parsed if parsed and timezone.is_aware(parsed) else None


def _key(request: HttpRequest) -> int:
    text = request.GET.get("next", "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _address(request: HttpRequest, next_page: str) -> str:
    """The same choice, further on."""
    query = request.GET.copy()
    query["next"] = next_page
    return f"?{query.urlencode()}"
