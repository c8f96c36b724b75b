"""A miner's own page: what it does now against what it should, its boards, pools and fans, its day, its commands."""

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
from miners.models import Miner, MinerState

DETAIL_LISTS = ("boards", "temperature_chips", "fan_speeds", "pools", "error_codes")
COMMANDS_AT_MOST = 8


def overview(request: HttpRequest, pk: int) -> HttpResponse:
    context = _context(request, pk, now=timezone.now())
    return render(request, "console/miner.html", {**admin.site.each_context(request), "title": context["miner"].miner_id, **context})


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it is open."""
    return render(request, "console/miner_live.html", _context(request, pk, now=timezone.now()))


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
        "commands": list(miner.commands.select_related("requested_by").order_by("-created_at")[:COMMANDS_AT_MOST])
        if request.user.has_perm("commands.view_minercommand")
        else [],
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
