"""A miner's own page: what it does now against what it should, its boards, pools and fans, its day, what happened to it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from commands.permissions import allowed_commands
from hashinsight.pages.access import miner_or_404
from hashinsight.pages.probe import kept_reply, may_probe, stored_reading, why_not
from miners.models import Miner, MinerState
from preferences.wishes import in_zone_of

DETAIL_LISTS = ("boards", "temperature_chips", "fan_speeds", "pools", "error_codes")


def overview(request: HttpRequest, pk: int) -> HttpResponse:
    context = _context(request, pk, now=timezone.now())
    miner = context["miner"]
    said = {"why_not": why_not(miner), "may_probe": may_probe(request), "stored_reading": stored_reading(miner), **kept_reply(miner)}
    with in_zone_of(request, miner.site.timezone):
        return render(request, "console/miner.html", {**admin.site.each_context(request), "title": miner.miner_id, **context, **said})


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it is open."""
    context = _context(request, pk, now=timezone.now())
    with in_zone_of(request, context["miner"].site.timezone):
        return render(request, "console/miner_live.html", context)


def _context(request: HttpRequest, pk: int, *, now: datetime) -> dict[str, Any]:
    miner = miner_or_404(request, pk, Miner.objects.with_state(now).with_expectation())
    live_row = getattr(miner, "live", None)
    return {
        "miner": miner,
        "now": now,
        "state": MinerState(miner.state),
        "live": live_row,
        "is_current": miner.state in (MinerState.ONLINE, MinerState.SLEEPING),
        "reject_percent": _reject_percent(live_row),
        "poll_state": getattr(miner, "poll_state", None),
        **_detail(miner),
        "may_command": bool(allowed_commands(request.user)),
    }


def _detail(miner: Any) -> dict[str, list[Any]]:
    """The lists of the newest reading, each empty when nothing was reported."""
    detail = getattr(miner, "detail", None)
    return {name: json.loads(getattr(detail, name)) if detail else [] for name in DETAIL_LISTS}


def _reject_percent(live_row: Any) -> float | None:
    if live_row is None or live_row.rejected_shares is None or live_row.accepted_shares is None:
        return None
    shares = live_row.accepted_shares + live_row.rejected_shares
    return live_row.rejected_shares * 100 / shares if shares else None
