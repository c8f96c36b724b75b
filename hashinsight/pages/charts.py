"""What charts.js draws: JSON with one column of times, and the charts with a column a line. A bucket without readings is a gap (null).

`hours` in the address asks for the last so many, `start` and `end` (seconds since 1970) for what somebody zoomed into; `format=csv` gives
the same as a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from alerts.models import Alert
from hashinsight.pages.access import alert_or_404, miner_or_404, site_or_404
from hashinsight.pages.chart_file import csv_of
from preferences.wishes import own_zone
from sites.models import Site
from telemetry import units
from telemetry.rollups import FIVE_MINUTES
from telemetry.series import Point, Series, farm_series, miner_series, site_series

HOURS = (1, 24, 168, 720, 8760)
LONGEST = timedelta(days=366)
SHORTEST = timedelta(minutes=5)
"""Nobody zooms in further: there are no more than a handful of readings."""
LEAST_BUCKETS = 3
"""A chart is at least so wide, however new what it shows."""
AROUND = timedelta(hours=2)
"""What is drawn at least before and after an incident."""
HASHRATE_UNITS = ((2e9, 1e9, "EH/s"), (2e6, 1e6, "PH/s"), (0.0, 1e3, "TH/s"))
Column = list[float | None]
Rows = Sequence[Point | None]


def farm(request: HttpRequest) -> HttpResponse:
    """All sites the user sees, as one."""
    sites = list(Site.objects.visible_to(request.user).active())
    since = min((shown.created_at for shown in sites), default=timezone.now())
    series, start, end = _drawn(request, lambda start, end: farm_series(sites, start=start, end=end), since=since)
    return _answer(
        request, with_silent_sites(series), start=start, end=end, zone=timezone.get_current_timezone_name(), name="farm", since=since
    )


def site(request: HttpRequest, pk: int) -> HttpResponse:
    shown = site_or_404(request, pk)
    series, start, end = _drawn(request, lambda start, end: site_series(shown, start=start, end=end), since=shown.created_at)
    return _answer(request, series, start=start, end=end, zone=own_zone(request) or shown.timezone, name=shown.code, since=shown.created_at)


def miner(request: HttpRequest, pk: int) -> HttpResponse:
    shown = miner_or_404(request, pk)
    series, start, end = _drawn(request, lambda start, end: miner_series(shown, start=start, end=end), since=shown.created_at)
    return _answer(
        request,
        series,
        start=start,
        end=end,
        zone=own_zone(request) or shown.site.timezone,
        name=f"{shown.site.code}-{shown.miner_id}",
        since=shown.created_at,
    )


def alert(request: HttpRequest, pk: int) -> HttpResponse:
    """The alert's miner or site, from before the incident until after it, or what somebody zoomed into."""
    shown = alert_or_404(request, pk)
    if shown.site is None:
        raise Http404("an alert of this server has no series")
    start, end = _span(request) if "start" in request.GET else around(shown, now=timezone.now())
    series = miner_series(shown.miner, start=start, end=end) if shown.miner else site_series(shown.site, start=start, end=end)
    return _answer(request, series, start=start, end=end, zone=own_zone(request) or shown.site.timezone, name=f"alert-{pk}", since=start)


def around(alert: Alert, *, now: datetime) -> tuple[datetime, datetime]:
    """Half as long again before and after the incident, two hours at least, a year in all at most."""
    over = alert.resolved_at or now
    margin = max(AROUND, (over - alert.opened_at) / 2)
    end = min(now, over + margin)
    return max(alert.opened_at - margin, end - LONGEST), end


def _drawn(request: HttpRequest, read: Callable[[datetime, datetime], Series], *, since: datetime) -> tuple[Series, datetime, datetime]:
    """What to draw of the span asked for, and its ends: the time before there was anything to read is left out, not shown as missing.

    Where somebody zoomed in it is drawn as asked for.
    """
    start, end = _span(request)
    series = read(start, end)
    if "start" in request.GET:
        return series, start, end
    begin = min([since, end - LEAST_BUCKETS * series.step, *(point.timestamp for point in series.points[:1])])
    return (read(begin, end), begin, end) if begin > start else (series, start, end)


def _span(request: HttpRequest) -> tuple[datetime, datetime]:
    """The last `hours` of the address, one of HOURS, or its `start` and `end`."""
    if "start" in request.GET:
        return _chosen_span(request.GET.get("start", ""), request.GET.get("end", ""))
    text = request.GET.get("hours", "24")
    if not text.isdecimal() or int(text) not in HOURS:
        raise Http404(f"hours is one of {', '.join(map(str, HOURS))}")
    end = timezone.now()
    return end - timedelta(hours=int(text)), end


def _chosen_span(start: str, end: str) -> tuple[datetime, datetime]:
    if not (start.isdecimal() and end.isdecimal() and max(len(start), len(end)) < 12):
        raise Http404("start and end are seconds since 1970")
    first, last = (datetime.fromtimestamp(int(text), UTC) for text in (start, end))
    if not SHORTEST <= last - first <= LONGEST:
        raise Http404(f"from start to end it is at least {SHORTEST} and at most {LONGEST}")
    return first, last


def with_silent_sites(series: Series) -> Series:
    """Let a site that fell silent count as missing: a farm owes as many readings as it ever owed before within the span."""
    owed = accumulate((point.expected for point in series.points), max)
    points = [replace(point, expected=most) for point, most in zip(series.points, owed, strict=True)]
    samples, expected = sum(point.samples for point in points), sum(point.expected for point in points)
    return replace(series, points=points, coverage=samples / expected if expected else series.coverage)


def _answer(request: HttpRequest, series: Series, *, start: datetime, end: datetime, zone: str, name: str, since: datetime) -> HttpResponse:
    drawing = _drawing(series, start=start, end=end, zone=zone, since=since)
    return csv_of(drawing, name=name) if request.GET.get("format") == "csv" else JsonResponse(drawing)


def _drawing(series: Series, *, start: datetime, end: datetime, zone: str, since: datetime) -> dict[str, Any]:
    """What charts.js draws. Coverage is None where nothing was owed yet: before `since`, with no reading."""
    begun = int((since - series.step).timestamp())
    grid = _grid(start, end, series.step)
    points = {int(point.timestamp.timestamp()): point for point in series.points}
    rows = [points.get(moment) for moment in grid]
    return {
        "start": int(start.timestamp()),
        "end": int(end.timestamp()),
        "timezone": zone,
        "time_label": _("Time"),
        "timestamps": grid,
        "coverage": [
            round(point.coverage, 3) if point else 0 if moment > begun else None for moment, point in zip(grid, rows, strict=True)
        ],
        "coverage_text": _("%(percent)s of the readings are there") % {"percent": units.percent(series.coverage * 100)}
        if series.coverage is not None
        else "",
        "charts": {
            "hashrate": _hashrate(rows),
            "temperature": _temperature(rows, is_raw=series.step < FIVE_MINUTES.width),
            "power": _power(rows),
            "fans": _fans(rows),
        },
    }


def _grid(start: datetime, end: datetime, step: timedelta) -> list[int]:
    """The beginnings of all buckets that lie in the span, as seconds since 1970."""
    seconds = int(step.total_seconds())
    first = int(start.timestamp()) // seconds * seconds
    return list(range(first, int(end.timestamp()) + 1, seconds))


def _column(rows: Rows, name: str, *, scale: float = 1.0) -> Column:
    """One figure of every bucket; None where nothing was read, so that a gap is drawn as a gap."""
    values = [getattr(point, name) if point else None for point in rows]
    return [None if value is None else round(value * scale, 3) for value in values]


def _hashrate(rows: Rows) -> dict[str, Any]:
    delivered, expected = _column(rows, "hashrate_ghs"), _column(rows, "hashrate_expected_ghs")
    highest = max((value for value in [*delivered, *expected] if value is not None), default=0.0)
    factor, unit = next(((factor, unit) for limit, factor, unit in HASHRATE_UNITS if highest >= limit))
    lines: list[dict[str, Any]] = [{"label": _("hash rate"), "values": _scaled(delivered, factor)}]
    if any(expected):
        lines.append({"label": _("expected"), "values": _scaled(expected, factor), "expected": True})
    return {"unit": unit, "from_zero": True, "lines": lines}


def _scaled(values: Column, factor: float) -> Column:
    return [None if value is None else round(value / factor, 3) for value in values]


def _temperature(rows: Rows, *, is_raw: bool) -> dict[str, Any]:
    """`is_raw`: a row is one reading, whose average is over the miner's sensors; of a roll-up it is the hottest sensor's over time."""
    lines = [{"label": _("hottest"), "values": _column(rows, "temperature_max")}]
    average = _column(rows, "temperature_avg")
    if any(value is not None for value in average):
        lines.append({"label": _("average of the sensors") if is_raw else _("hottest, on average"), "values": average})
    return {"unit": "°C", "from_zero": False, "lines": lines}


def _power(rows: Rows) -> dict[str, Any]:
    return {"unit": "kW", "from_zero": True, "lines": [{"label": _("power"), "values": _column(rows, "power_consumption", scale=0.001)}]}


def _fans(rows: Rows) -> dict[str, Any]:
    return {"unit": _("rpm"), "from_zero": True, "lines": [{"label": _("fans, on average"), "values": _column(rows, "fan_speed_avg")}]}
