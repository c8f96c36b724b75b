"""What the collector API tells of telemetry: where a site stands, its live rows, one miner."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import Max
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from miners.models import Miner
from resilience.remembered import remembered
from sites.api import ApiError, CollectorView, SharedView
from sites.authentication import key_of, visible_sites
from sites.models import Site
from sites.schema import SITE_HEADER, errors
from telemetry.models import CollectorUploadLog, MinerTelemetryLive
from telemetry.overview import live_key, site_totals, summary_key
from telemetry.serializers import (
    LivePageSerializer,
    LiveSerializer,
    MinerStatusSerializer,
    PageQuerySerializer,
    StatsSerializer,
    StatusSerializer,
    SummarySerializer,
)

LIVE_S = 60
"""So long a page of live rows may lag behind a change of the inventory; new readings end it at once."""
SUMMARY_S = 30
"""Silence shows in totals that nobody has made anew: so long it may stay unseen."""


class StatusView(CollectorView):
    @extend_schema(summary="The key's site", parameters=[SITE_HEADER], responses={200: StatusSerializer, **errors(401, 403, 429)})
    def get(self, request: Request) -> Response:
        """Totals of the key's own site, its last upload, and the name of the key: what an agent shows to prove that it is connected."""
        key = key_of(request)
        [totals] = site_totals(visible_sites(request), now=timezone.now())
        last_upload = CollectorUploadLog.objects.filter(site=key.site_id).exclude(status=CollectorUploadLog.Status.REFUSED)
        about = {
            "collector": key.name,
            "key_prefix": key.prefix,
            "last_upload_at": last_upload.aggregate(last=Max("upload_time"))["last"],
        }
        return Response(StatusSerializer({**totals, **about}).data)


class StatsView(SharedView):
    @extend_schema(summary="Totals by site", responses={200: StatsSerializer, **errors(401, 403, 429)})
    def get(self, request: Request) -> Response:
        """One row for each site the caller may see: a key its own, staff the ones given to them."""
        totals = site_totals(visible_sites(request), now=timezone.now())
        return Response(StatsSerializer({"count": len(totals), "sites": totals}).data)


class SummaryView(SharedView):
    @extend_schema(summary="Totals of one site", responses={200: SummarySerializer, **errors(401, 403, 404, 429)})
    def get(self, request: Request, site_id: str) -> Response:
        """Counts, sums and extremes over the site's miners as they stand now."""
        site = _site(request, site_id)
        make = partial(_summary, site)
        return Response(remembered(summary_key(site.pk), "totals", make, family="telemetry:summary", timeout_s=SUMMARY_S))


class LiveView(SharedView):
    @extend_schema(
        summary="Live rows of one site",
        parameters=[PageQuerySerializer],
        responses={200: LivePageSerializer, **errors(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request, site_id: str) -> Response:
        """The newest reading of each of the site's miners, by miner ID, a page at a time."""
        site = _site(request, site_id)
        query = PageQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        page, page_size = query.validated_data["page"], query.validated_data["page_size"]
        make = partial(_live_page, site, page=page, page_size=page_size)
        return Response(remembered(live_key(site.pk), f"{page}:{page_size}", make, family="telemetry:live", timeout_s=LIVE_S))


class MinerStatusView(SharedView):
    @extend_schema(
        summary="One miner",
        parameters=[OpenApiParameter("site", str, description="The site's code, where more than one of yours has a miner of this ID.")],
        responses={200: MinerStatusSerializer, **errors(401, 403, 404, 409, 429)},
    )
    def get(self, request: Request, miner_id: str) -> Response:
        """What one miner is and what it last reported."""
        miner = _miner(request, miner_id)
        context = {"now": timezone.now(), "interval_seconds": miner.site.interval_seconds}
        return Response(MinerStatusSerializer(miner, context=context).data)


def _summary(site: Site) -> dict[str, Any]:
    [totals] = site_totals(Site.objects.filter(pk=site.pk), now=timezone.now())
    return dict(SummarySerializer(totals).data)


def _site(request: Request, code: str) -> Site:
    return get_object_or_404(visible_sites(request), code=_storable(code))


def _miner(request: Request, miner_id: str) -> Miner:
    miners = Miner.objects.filter(site__in=visible_sites(request), miner_id=_storable(miner_id))
    if code := request.query_params.get("site"):
        miners = miners.filter(site__code=_storable(code))
    found = list(miners.select_related("site", "model", "live", "detail").order_by("site__code")[:20])
    if not found:
        raise NotFound(f"There is no miner {miner_id!r} that you may see.")
    if len(found) > 1:
        codes = ", ".join(miner.site.code for miner in found)
        raise ApiError(409, f"Several sites have a miner {miner_id!r} ({codes}): add ?site=CODE.")
    return found[0]


def _storable(value: str) -> str:
    """No row has a NUL in it, and PostgreSQL refuses to look for one."""
    if "\0" in value:
        raise NotFound("Not found.")
    return value


def _live_page(site: Site, *, page: int, page_size: int) -> dict[str, Any]:
    live = MinerTelemetryLive.objects.filter(site=site, miner__is_enabled=True)
    count = live.count()
    first = (page - 1) * page_size
    rows = live.select_related("miner").order_by("miner__miner_id")[first : first + page_size]
    context = {"now": timezone.now(), "interval_seconds": site.interval_seconds}
    return {
        "success": True,
        "site_id": site.code,
        "count": count,
        "page": page,
        "page_size": page_size,
        "pages": -(-count // page_size),
        "miners": [dict(row) for row in LiveSerializer(rows, many=True, context=context).data],
    }
