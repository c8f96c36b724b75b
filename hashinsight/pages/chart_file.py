"""A chart as a file for a spreadsheet: one row a bucket, its time in UTC and in the zone of the page, one column a line."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.utils.http import content_disposition_header


def csv_of(drawing: dict[str, Any], *, name: str) -> HttpResponse:
    """`drawing` as charts.js gets it. An empty cell is a bucket without readings, which is not zero."""
    day = datetime.fromtimestamp(drawing["end"], UTC)
    answer = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")  # the mark by which Excel knows UTF-8
    answer["Content-Disposition"] = content_disposition_header(True, f"{name}-{day:%Y%m%d-%H%M}.csv")
    lines = [(f"{line['label']}, {chart['unit']}", line["values"]) for chart in drawing["charts"].values() for line in chart["lines"]]
    writer = csv.writer(answer)
    writer.writerow(["time_utc", f"time {drawing['timezone']}", *(label for label, _values in lines), "coverage"])
    zone = ZoneInfo(drawing["timezone"])
    for index, moment in enumerate(drawing["timestamps"]):
        at = datetime.fromtimestamp(moment, UTC)
        values = [values[index] for _label, values in lines]
        writer.writerow([f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}", *values, drawing["coverage"][index]])
    return answer
