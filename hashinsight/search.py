"""What the command palette (Ctrl+K) finds: sites and miners, a handful of each."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from miners.identity import mac_address
from miners.models import SEARCHED_FIELDS, Miner
from sites.models import Site

AT_MOST = 8


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    return [*_sites(request, term), *_miners(request, term)]


def _sites(request: HttpRequest, term: str) -> list[SearchResult]:
    sites = Site.objects.visible_to(request.user).filter(Q(code__icontains=term) | Q(name__icontains=term))[:AT_MOST]
    return [
        SearchResult(title=site.name, description=site.code, link=reverse("console:site", args=[site.pk]), icon="factory") for site in sites
    ]


def _miners(request: HttpRequest, term: str) -> list[SearchResult]:
    """Miners by the beginning of an identity: the search reads the inventory only, and stops at the first few."""
    matches = Q(mac_address=mac_address(term)) if mac_address(term) else Q()  # however it is written
    for field in SEARCHED_FIELDS:
        matches |= Q(**{f"{field}__istartswith": term})
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
