"""What the command palette (Ctrl+K) finds: sites, miners and pages, a handful of each.

Unfold's own view keeps each answer for five minutes: a miner of a site that was taken away would go on being found, a renamed one under its
former name.
"""

from __future__ import annotations

import time

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.dataclasses import SearchResult

from miners.identity import mac_address, without_port
from miners.models import SEARCHED_FIELDS, Miner
from sites.models import Site

AT_MOST = 8
LONGEST_TERM = 100


def palette(request: HttpRequest) -> HttpResponse:
    started, term = time.monotonic(), request.GET.get("s", "").strip()[:LONGEST_TERM]
    if not term or "\0" in term:
        return HttpResponse()
    found = Paginator([*find(request, term), *_pages(request, term)], per_page=100)
    context = {"results": found.page(1), "page_obj": found, "page_counter": 0, "execution_time": time.monotonic() - started}
    return TemplateResponse(request, "unfold/helpers/command_results.html", context, headers={"HX-Trigger": "search"})


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    return [*_sites(request, term), *_miners(request, term)]


def _pages(request: HttpRequest, term: str) -> list[SearchResult]:
    """Lists by their names in the reader's language."""
    return [
        SearchResult(title=str(model["name"]), description=str(app["name"]), link=model["admin_url"], icon="tag")
        for app in admin.site.get_app_list(request)
        for model in app["models"]
        if model["admin_url"] and term.lower() in str(model["name"]).lower()
    ][:AT_MOST]


def _sites(request: HttpRequest, term: str) -> list[SearchResult]:
    sites = Site.objects.visible_to(request.user).filter(Q(code__icontains=term) | Q(name__icontains=term))[:AT_MOST]
    return [
        SearchResult(title=site.name, description=site.code, link=reverse("console:site", args=[site.pk]), icon="factory") for site in sites
    ]


def _miners(request: HttpRequest, term: str) -> list[SearchResult]:
    """Miners by the beginning of an identity: the search reads the inventory only, and stops at the first few."""
    matches = Q(mac_address=mac_address(term)) if mac_address(term) else Q()  # however it is written
    for field in SEARCHED_FIELDS:
        matches |= Q(**{f"{field}__istartswith": without_port(term)})
    miners = Miner.objects.visible_to(request.user).filter(matches).select_related("site").order_by()[:AT_MOST]
    return [
        SearchResult(
            title=miner.miner_id,
            description=f"{miner.site.name} · {miner.ip_address}" if miner.ip_address else miner.site.name,
            link=reverse("console:miner", args=[miner.pk]),
            icon="dns",
        )
        for miner in miners
    ]
