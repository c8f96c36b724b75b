"""The floor map of a site: zones, racks and slots as they stand, each with what its miner does now."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from hashinsight.pages.access import require, site_or_404
from miners.models import Miner, MinerState
from sites.models import Site

MEASURED = (MinerState.ONLINE, MinerState.SLEEPING)
_DIGITS = re.compile(r"(\d+)")

Cell = list[Any]
"""[primary key, miner ID, slot, state, % of expected, hottest °C, healthy boards, boards, TH/s], None where nothing is known."""


def floor(request: HttpRequest, pk: int) -> JsonResponse:
    site = site_or_404(request, pk)
    require(request, "miners.view_miner")
    zones, tray = floor_of(site)
    return JsonResponse({"zones": zones, "tray": tray, "states": {str(state): str(state.label) for state in MinerState}})


def floor_of(site: Site) -> tuple[list[dict[str, Any]], list[Cell]]:
    """Zones with their racks with their cells, in the order of their names; and the tray, the miners that stand in no rack."""
    racks: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    tray: list[Cell] = []
    for zone, rack, cell in _cells(site):
        (racks[zone, rack] if rack else tray).append(cell)
    zones: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for zone, rack in sorted(racks, key=lambda place: (natural(place[0]), natural(place[1]))):
        zones[zone].append({"name": rack, "cells": sorted(racks[zone, rack], key=lambda cell: (natural(cell[2]), natural(cell[1])))})
    return [{"name": name, "racks": found} for name, found in zones.items()], sorted(tray, key=lambda cell: natural(cell[1]))


def _cells(site: Site) -> list[tuple[str, str, Cell]]:
    miners = Miner.objects.filter(site=site, is_enabled=True).with_state(timezone.now()).with_expectation().order_by()
    rows = miners.values_list(
        *("zone", "rack", "pk", "miner_id", "slot", "state", "delivered_percent", "live__temperature_max"),
        *("live__boards_healthy", "live__boards_total", "live__hashrate_ghs"),
    )
    return [(zone, rack, _cell(*rest)) for zone, rack, *rest in rows]


def _cell(pk: int, name: str, slot: str, state: str, percent: Any, hottest: Any, healthy: Any, boards: Any, ghs: Any) -> Cell:
    if state not in MEASURED:
        percent = hottest = ghs = None
    return [pk, name, slot, state, _rounded(percent), _rounded(hottest), healthy, boards, None if ghs is None else round(ghs / 1000, 1)]


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorts R2 before R10."""
    parts = _DIGITS.split(text.casefold())
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part]
