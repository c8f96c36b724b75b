"""Any list of the console as CSV, XLSX or JSON: its rows as filtered, searched and ordered, of the user's own sites, and the fields chosen.

The pages, forms and resources are django-import-export's. The rows are handed out as they are read: a list has 100,000 of them, which
the library would hold in memory three times over.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.http import content_disposition_header
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from import_export.admin import ExportMixin
from import_export.fields import Field
from import_export.formats import base_formats
from import_export.resources import ModelResource
from unfold.contrib.import_export.forms import SelectableFieldsExportForm

from sites.spreadsheets import safe_cell, write_sheet
from telemetry.units import moment_of

MARK = "\ufeff"
"""By which a spreadsheet knows that a CSV file is UTF-8."""
Rows = Iterator[Sequence[Any]]


class _Echo:
    """Hands each line that `csv` writes straight on."""

    def write(self, line: str) -> str:
        return line


class CSV(base_formats.CSV):
    CONTENT_TYPE = "text/csv; charset=utf-8"

    def body(self, header: Sequence[str], rows: Rows) -> Iterable[str]:
        writer = csv.writer(_Echo())
        yield MARK
        for cells in chain([header], rows):
            yield writer.writerow(map(safe_cell, cells))


class JSON(base_formats.JSON):
    def body(self, header: Sequence[str], rows: Rows) -> Iterable[str]:
        before = "["
        for cells in rows:
            yield f"{before}\n{json.dumps(dict(zip(header, cells, strict=True)), ensure_ascii=False)}"
            before = ","
        yield "\n]\n" if before == "," else "[]\n"


class XLSX(base_formats.XLSX):
    def body(self, header: Sequence[str], rows: Rows) -> Any:
        return write_sheet([safe_cell(cell) for cell in cells] for cells in chain([header], rows))


class ListResource(ModelResource):
    """The columns of one list. `usual` are those that are ticked before somebody chooses."""

    usual: ClassVar[Sequence[str]] = ()
    labels: ClassVar[Mapping[str, str]] = {}
    """What people call a column, where the file's header has another name for it."""


class ExportForm(SelectableFieldsExportForm):
    """The columns by their names in the list, and CSV until another format is chosen."""

    def __init__(self, formats: Any, resources: Sequence[type[ListResource]], **kwargs: Any) -> None:
        super().__init__(formats, resources, **kwargs)
        format_field: Any = self.fields["format"]
        format_field.choices = [choice for choice in format_field.choices if choice[0]]
        format_field.initial, format_field.label = "0", _("File format")
        for resource in resources:
            for name, column in resource.fields.items():
                ticked: Any = self.fields[self.create_boolean_field_name(resource, name)]
                ticked.label = capfirst(resource.labels.get(name, column.column_name))
                ticked.initial = name in resource.usual

    def clean(self) -> Any:
        try:
            return super().clean()
        except ValidationError:
            raise ValidationError(_("Tick at least one column.")) from None


class ListExport(ExportMixin):
    """Mixed into a ModelAdmin. `export_columns` are fields, across relations; where there are none, what the list can show is offered.

    `export_labels` has what the page calls those of them that are no fields of the model itself; in the file each has its own name.
    """

    export_form_class = ExportForm
    export_template_name = "console/export.html"
    import_export_change_list_template = None
    export_columns: ClassVar[list[str]] = []
    export_labels: ClassVar[Mapping[str, Any]] = {}

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_or_change_permission(request))

    def get_export_formats(self) -> list[type]:
        return [CSV, XLSX, JSON]

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[ListResource]]:
        columns = {name: _field(name, _reader(name)) for name in self.export_columns} or self._shown_columns(request)
        usual = self.export_columns or [_name(column) for column in self.get_list_display(request)]
        meta = type("Meta", (), {"model": self.model, "fields": list(columns), "chunk_size": 2_000})
        return [type("Listed", (ListResource,), {**columns, "Meta": meta, "usual": usual, "labels": self._export_labels()})]

    def _export_labels(self) -> dict[str, str]:
        return {name: str(self.export_labels.get(name) or label_for_field(name, self.model, self)) for name in self.export_columns}

    def _shown_columns(self, request: HttpRequest) -> dict[str, Field]:
        every = [*self.get_list_display(request), *super().get_list_display(request), *getattr(self, "further_columns", ())]
        return {_name(each): _field(str(label_for_field(each, self.model, self)), self._as_shown(each)) for each in every}

    def _as_shown(self, column: Any) -> Callable[[Any], Any]:
        return lambda row: as_shown(self, row, column)

    def export_action(self, request: HttpRequest) -> HttpResponseBase:
        try:
            answer: HttpResponseBase = super().export_action(request)
        except IncorrectLookupParameters:
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return answer

    def init_request_context_data(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().init_request_context_data(request, form)
        query = request.GET.urlencode()
        list_url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist") + (f"?{query}" if query else "")
        title = capfirst(_("Export: %(list)s") % {"list": self.opts.verbose_name_plural})
        # Without `opts` the page is headed by its title, not by the list's name.
        return {**context, "opts": None, "title": title, "list_url": list_url, "narrowed": bool(query)}

    def _do_file_export(self, file_format: Any, request: HttpRequest, queryset: Any, export_form: Any = None) -> HttpResponseBase:
        resource = self.choose_export_resource_class(export_form, request)()
        fields = resource.get_export_fields(self.get_export_resource_fields_from_form(export_form))
        rows = ([resource.export_field(field, row) for field in fields] for row in resource.iter_queryset(queryset))
        body = file_format.body([field.column_name for field in fields], rows)
        name, kind = self.get_export_filename(request, queryset, file_format), file_format.get_content_type()
        if file_format.is_binary():
            return FileResponse(body, as_attachment=True, filename=name, content_type=kind)
        disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
        return StreamingHttpResponse(body, content_type=kind, headers={"Content-Disposition": disposition})

    def get_export_filename(self, request: HttpRequest, queryset: Any, file_format: Any) -> str:
        moment = f"{timezone.localtime():%Y%m%d-%H%M%S}"
        return f"{self.opts.verbose_name_plural}-{moment}.{file_format.get_extension()}".replace(" ", "-")


def _name(column: Any) -> str:
    return column if isinstance(column, str) else column.__name__


def _field(label: str, read: Callable[[Any], Any]) -> Field:
    return Field(column_name=label, readonly=True, dehydrate_method=read)


def _reader(path: str) -> Callable[[Any], Any]:
    """Reads `path` of a row, `live__hashrate_ghs` for one; None where there is nothing at its end."""

    def read(row: Any) -> Any:
        for name in path.split("__"):
            try:
                row = getattr(row, name)
            except (ObjectDoesNotExist, AttributeError):
                return None
        return _plain(row)

    return read


def as_shown(page: Any, row: Any, column: Any) -> Any:
    """What the list's column says, as text without its looks; of a time the moment, however the list words it."""
    if moment_field := getattr(getattr(page, _name(column), None), "moment_field", None):
        return _plain(moment_of(row, moment_field))
    try:
        field, _attribute, value = lookup_field(column, row, page)
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
