"""Any list of the console as CSV or XLSX: its rows as filtered, searched and ordered, of the user's own sites, and its columns as shown."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.http import content_disposition_header

from sites.spreadsheets import safe_cell, write_sheet
from telemetry.units import moment_of

CHUNK = 2_000
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MARK = "\ufeff"
"""By which a spreadsheet knows that a CSV file is UTF-8."""


class _Echo:
    """Hands each line that `csv` writes straight on."""

    def write(self, line: str) -> str:
        return line


def export(request: HttpRequest, app_label: str, model_name: str, kind: str) -> HttpResponseBase:
    """The list of `app_label.model_name` with the filters of its address."""
    try:
        page: Any = admin.site._registry[apps.get_model(app_label, model_name)]
    except LookupError:
        raise Http404 from None
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    try:
        shown = page.get_changelist_instance(request)
    except IncorrectLookupParameters:
        return redirect(f"admin:{app_label}_{model_name}_changelist")
    rows = shown.get_queryset(request)
    lines = _lines(page, rows, columns_of(page, shown))
    name = f"{page.opts.verbose_name_plural}-{timezone.localtime():%Y%m%d-%H%M%S}.{kind}".replace(" ", "-")
    if kind == "xlsx":
        return FileResponse(write_sheet(lines), as_attachment=True, filename=name, content_type=SHEET_TYPE)
    writer = csv.writer(_Echo())
    body = (line for part in ([MARK], (writer.writerow(line) for line in lines)) for line in part)
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return StreamingHttpResponse(body, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition})


def columns_of(page: Any, shown: Any) -> Sequence[Any]:
    """The admin's `export_columns` (fields, across relations), or what the list shows."""
    columns = getattr(page, "export_columns", None) or shown.list_display
    return [column for column in columns if column != "action_checkbox"]


def _lines(page: Any, rows: Any, columns: Sequence[Any]) -> Iterator[list[Any]]:
    names = getattr(page, "export_columns", None)
    yield [safe_cell(name if names else str(label_for_field(name, page.model, page))) for name in columns]
    for row in rows.iterator(chunk_size=CHUNK):
        yield [safe_cell(_related(row, name) if names else _as_shown(page, row, name)) for name in columns]


def _related(row: Any, path: str) -> Any:
    """The value of `path`, `live__hashrate_ghs` for one; None where there is nothing at its end."""
    value = row
    for name in path.split("__"):
        try:
            value = getattr(value, name)
        except (ObjectDoesNotExist, AttributeError):
            return None
    return _plain(value)


def _as_shown(page: Any, row: Any, name: Any) -> Any:
    """What the list's column says, as text without its looks; of a time the moment, however the list words it."""
    if moment_field := getattr(getattr(page, str(name), None), "moment_field", None):
        return _plain(moment_of(row, moment_field))
    try:
        field, _attribute, value = lookup_field(name, row, page)
    except ObjectDoesNotExist:
        return None
    if field is not None and getattr(field, "flatchoices", None):
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, tuple):  # of Unfold's labels: the key and its name
        value = value[-1]
    return _plain(value) if field is not None or isinstance(value, datetime) else strip_tags(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
