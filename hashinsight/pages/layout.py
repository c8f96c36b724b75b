"""Changing where miners stand: by hand on the floor map, and from a file that is shown before it is stored."""

from __future__ import annotations

import json
from typing import Any

import structlog
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminFileFieldWidget

from hashinsight.pages.access import site_or_404
from hashinsight.pages.inventory import of_bearable_size
from miners import layout
from miners.inventory_file import UnreadableFile, decoded, read_table
from miners.layout import LayoutPlan, Place, PlaceNameRefused, PlaceTaken
from sites.models import Site

MINERS_AT_MOST = 5_000
SHOWN_AT_MOST = 100
log = structlog.get_logger(__name__)


@require_POST
def place(request: HttpRequest, pk: int) -> JsonResponse:
    """JSON: `moves`, a list of [primary key, zone, rack, slot]; or `miners` with one `zone`, `rack` and first `slot` for all."""
    site = _changeable(request, pk)
    try:
        moved = layout.move(site, _wanted(json.loads(request.body)))
    except (PlaceTaken, PlaceNameRefused) as error:
        return JsonResponse({"error": str(error)}, status=409)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return JsonResponse({"error": _("The request is not understood.")}, status=400)
    log.info("miners_placed", site_id=site.code, miner_count=moved, by=request.user.get_username())
    return JsonResponse({"moved": moved})


def _wanted(said: dict[str, Any]) -> dict[int, Place]:
    if "moves" in said:
        moves = said["moves"][: MINERS_AT_MOST + 1]
        places = {int(key): Place(*(str(part).strip() for part in (zone, rack, slot))) for key, zone, rack, slot in moves}
    else:
        parts = {name: str(said[name]).strip() for name in ("zone", "rack")}
        places = layout.in_a_row([int(key) for key in said["miners"]], **parts, first_slot=str(said["slot"]).strip())
    if len(places) > MINERS_AT_MOST:
        raise ValueError
    return places


class LayoutForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("CSV file"), required=False, widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,text/csv"})
    )
    text = forms.CharField(
        label=gettext_lazy("or its rows, pasted"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "class": "hi-textarea", "placeholder": "miner_id,zone,rack,slot"}),
    )

    def clean(self) -> dict[str, Any]:
        """Looked at before it is read: a file is not bounded as other bodies are."""
        of_bearable_size(self.cleaned_data.get("file"))
        return self.cleaned_data

    def raw(self) -> bytes:
        file = self.cleaned_data["file"]
        return bytes(file.read()) if file else str(self.cleaned_data["text"]).encode()


def import_layout(request: HttpRequest, pk: int) -> HttpResponse:
    """First what the file would change; nothing is stored before that was seen."""
    site = _changeable(request, pk)
    form = LayoutForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"title": _("Import the layout"), "site": site, "form": form}
    if request.method == "POST" and form.is_valid():
        raw = form.raw()
        try:
            table = read_table(raw, required=("miner_id",))
        except UnreadableFile as error:
            form.add_error(None, str(error))
        else:
            if "apply" in request.POST:
                return _applied(request, layout.apply_layout(site, table))
            plan = layout.plan_layout(site, table)
            context |= {"plan": plan, "shown": plan.moves[:SHOWN_AT_MOST], "raw": decoded(raw)}
    return render(request, "console/layout_import.html", {**admin.site.each_context(request), **context})


def _applied(request: HttpRequest, plan: LayoutPlan) -> HttpResponse:
    count = len(plan.moves)
    log.info("layout_imported", site_id=plan.site.code, miner_count=count, error_count=len(plan.errors), by=request.user.get_username())
    messages.success(request, ngettext("%(count)d miner got a new place.", "%(count)d miners got a new place.", count) % {"count": count})
    if plan.errors:
        text = ngettext("%(count)d row was left out.", "%(count)d rows were left out.", len(plan.errors)) % {"count": len(plan.errors)}
        messages.warning(request, text)
    return HttpResponseRedirect(reverse("console:site", args=[plan.site.pk]))


def _changeable(request: HttpRequest, pk: int) -> Site:
    site = site_or_404(request, pk)
    if not request.user.has_perm("miners.change_miner"):
        raise PermissionDenied
    return site
