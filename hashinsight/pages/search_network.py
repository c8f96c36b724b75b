"""Searching a site's network for miners: say where, watch, look at what was found, take it into the inventory."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from cgminer.address import DEFAULT_PORT
from hashinsight.pages.access import site_or_404
from miners import searches
from miners.discovery import DiscoveryPlan, UnusableRange, left_out_of
from miners.models import NetworkSearch
from sites.models import Site

SHOWN = 200
"""Machines that the page lists; the counts are of all."""


class SearchForm(forms.Form):
    ranges = forms.CharField(
        label=gettext_lazy("Address ranges"),
        max_length=500,
        help_text=gettext_lazy("Such as 10.1.0.0/22; several with commas or line breaks between, at most 65,536 addresses."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "10.1.0.0/22"}),
    )
    port = forms.IntegerField(
        label=gettext_lazy("Port of the miners"), min_value=1, max_value=65_535, initial=DEFAULT_PORT, widget=UnfoldAdminIntegerFieldWidget
    )


def _require(request: HttpRequest) -> None:
    if not request.user.has_perms(("miners.add_miner", "miners.change_miner")):
        raise PermissionDenied


def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Say where to search; a search that can be made leads to its page."""
    _require(request)
    site = site_or_404(request, pk)
    form = SearchForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            search = searches.ask(site, by=request.user, **form.cleaned_data)
        except UnusableRange as error:
            form.add_error("ranges", str(error))
        else:
            return redirect("console:search_found", search.pk)
    recent = NetworkSearch.objects.filter(site=site).defer("found", "denied").select_related("user")[:10]
    context = {"title": _("Search for miners"), "site": site, "form": form, "recent": recent}
    return render(request, "miners/search.html", {**admin.site.each_context(request), **context})


def found(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; then what was found, and a POST takes it into the inventory."""
    search = _search_or_404(request, pk)
    if request.method == "POST":
        if searches.take(search, by=request.user):
            messages.success(request, _("The inventory is up to date."))
        return redirect("console:search_found", search.pk)
    context: dict[str, Any] = {"title": _("Search for miners"), "search": search, **_progress(search)}
    if search.state == NetworkSearch.State.FOUND:
        plan = searches.plan_of(search)
        context |= {"plan": plan, "counts": _counts(plan), "findings": _rows(plan), "shown": SHOWN, "left_out": _left_out(search)}
    return render(request, "miners/search_found.html", {**admin.site.each_context(request), **context})


def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it runs; what was found needs the whole page."""
    return render(request, "miners/search_progress.html", _progress(_search_or_404(request, pk)))


def _search_or_404(request: HttpRequest, pk: int) -> NetworkSearch:
    _require(request)
    visible = NetworkSearch.objects.filter(site__in=Site.objects.visible_to(request.user))
    return get_object_or_404(visible.select_related("site", "user"), pk=pk)


def _progress(search: NetworkSearch) -> dict[str, Any]:
    percent = 100 * search.asked // search.to_ask if search.to_ask else 100
    return {"search": search, "percent": percent, "is_silent": searches.is_silent(search, timezone.now())}


def _left_out(search: NetworkSearch) -> str:
    return ", ".join(address.host for address in left_out_of(searches.ranges_of(search.ranges)))


def _counts(plan: DiscoveryPlan) -> list[tuple[str, int, str]]:
    return [
        (_("new"), len(plan.new), "success"),
        (_("moved"), len(plan.moved), "info"),
        (_("known"), len(plan.known), "default"),
        (_("displaced"), len(plan.displaced), "warning"),
    ]


def _rows(plan: DiscoveryPlan) -> list[dict[str, Any]]:
    words = {"new": _("new"), "moved": _("moved"), "known": _("known")}
    return [{"kind": kind, "word": words[kind], "finding": finding} for kind, finding in plan.findings[:SHOWN]]
