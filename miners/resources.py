"""Miners as rows of a file, for django-import-export: which cell is which field, what it may hold, and how rows are stored."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from import_export.fields import Field
from import_export.instance_loaders import CachedInstanceLoader
from import_export.resources import ModelResource
from import_export.widgets import CharWidget, Widget

from cgminer.address import Address
from cgminer.errors import MinerNameError
from miners.identity import mac_address
from miners.matching import ModelMatcher
from miners.models import Miner
from sites.changes import note_additions, note_changes
from sites.models import Site

STEP = 1_000
ID_LIMIT = 50


class Text(CharWidget):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        if len(value) > self.limit or not value.isprintable():
            raise ValueError(_("at most %(limit)d printable characters") % {"limit": self.limit})
        return str(value)


class Port(Widget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> int:
        if value.isascii() and value.isdigit() and 0 < int(value[:6]) < 65_536:
            return int(value)
        raise ValueError(_('"%(text)s" is not a number from 1 to 65535') % {"text": value})


class HardwareAddress(CharWidget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        known = mac_address(value)
        if known is None:
            raise ValueError(_('"%(text)s" is not a MAC address such as 02:00:5E:10:00:1F') % {"text": value})
        return known


class CatalogueModel(Widget):
    """A model by any of its names; None for one that is not in the catalogue."""

    def __init__(self, matcher: ModelMatcher) -> None:
        super().__init__()
        self.matcher = matcher
        self._names: dict[int, str] = {}

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> int | None:
        model = self.matcher.match(value)
        return model.pk if model else None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        self._names = self._names or {model.pk: model.name for model in self.matcher.models()}
        return self._names.get(value, "")


class MinerResource(ModelResource):
    """The rows of one site. A miner is known by its ID within it; an empty cell leaves what is there.

    `notes` has the cells that were left out of rows that are good without them: (row as the library counts, column, reason).
    """

    miner_id = Field("miner_id", "miner_id")
    ip_address = Field("ip_address", "ip_address")
    port = Field("port", "port", widget=Port())
    model = Field("model_id", "model")
    serial_number = Field("serial_number", "serial_number", widget=Text(64))
    mac_address = Field("mac_address", "mac_address", widget=HardwareAddress())
    worker_name = Field("worker_name", "worker_name", widget=Text(100))
    zone = Field("zone", "zone", widget=Text(50))
    rack = Field("rack", "rack", widget=Text(50))
    slot = Field("slot", "slot", widget=Text(50))

    class Meta:
        model = Miner
        fields = (
            "miner_id",
            "ip_address",
            "port",
            "model",
            "serial_number",
            "mac_address",
            "worker_name",
            "zone",
            "rack",
            "slot",
        )
        import_id_fields = ("miner_id",)
        instance_loader_class = CachedInstanceLoader
        use_bulk = True
        batch_size = STEP
        use_transactions = False
        skip_unchanged = True
        report_skipped = True
        skip_html_diff = True
        store_instance = True

    def __init__(self, site: Site, *, by: Any = None, reason: str = "", progress: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.site = site
        self.by, self.reason, self.progress = by, reason, progress
        self.matcher = ModelMatcher.from_catalogue()
        self.fields["model"].widget = CatalogueModel(self.matcher)
        self.notes: list[tuple[int, str, str]] = []
        self.first_row: dict[str, int] = {}
        self.columns: list[str] = []
        self.done = 0

    def get_queryset(self) -> QuerySet[Miner]:
        return Miner.objects.none() if self.site._state.adding else Miner.objects.filter(site=self.site)

    def init_instance(self, row: Any = None) -> Miner:
        return Miner(site=self.site)

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        self.columns = [field.attribute for field in self.get_import_fields() if field.column_name in dataset.headers]

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        text = row.get("model")
        if text and self.matcher.match(text) is None:
            near = difflib.get_close_matches(text, self.matcher.names(), n=1, cutoff=0.5)
            reason = _('"%(text)s" is not in the catalogue of models; what the miner reports counts') % {"text": text}
            hint = _("; did you mean %(name)s?") % {"name": near[0]} if near else ""
            self.notes.append((kwargs["row_number"], "model", reason + hint))

    def import_instance(self, instance: Miner, row: Any, **kwargs: Any) -> None:
        errors: dict[str, Any] = {}
        for check in (self._check_id, self._read_address):
            try:
                check(row, kwargs["row_number"])
            except ValidationError as error:
                errors = error.update_error_dict(errors)
        try:
            super().import_instance(instance, row, **kwargs)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def import_field(self, field: Field, instance: Miner, row: Any, is_m2m: bool = False, **kwargs: Any) -> None:
        if row.get(field.column_name):
            super().import_field(field, instance, row, is_m2m, **kwargs)

    def _check_id(self, row: Any, number: int) -> None:
        miner_id = row["miner_id"]
        if not miner_id:
            raise ValidationError({"miner_id": _("is empty")})
        if len(miner_id) > ID_LIMIT or not miner_id.isprintable():
            raise ValidationError({"miner_id": _("at most %(limit)d printable characters") % {"limit": ID_LIMIT}})
        if self.first_row.setdefault(miner_id, number) != number:
            # The header is row 1 for people, and the library counts from 1 without it.
            where = {"miner": miner_id, "row": self.row_of(self.first_row[miner_id])}
            raise ValidationError({"miner_id": _("%(miner)s is in row %(row)d already") % where})

    def row_of(self, number: int) -> int:
        """The row as a spreadsheet counts it; replaced where lines of the file were left out."""
        return number + 1

    def _read_address(self, row: Any, number: int) -> None:
        """An address may carry its port."""
        text, port = row.get("ip_address"), row.get("port")
        if not text:
            return
        try:
            address = Address.parse(text, default_port=0)
        except MinerNameError:
            reason = _('"%(text)s" is neither an IP address nor a host name, with or without a port') % {"text": text}
            raise ValidationError({"ip_address": reason}) from None
        row["ip_address"] = address.host
        if not address.port:
            return
        if port and port.lstrip("0") != str(address.port):
            raise ValidationError({"port": _("%(port)s, but the address says %(other)d") % {"port": port, "other": address.port}})
        row["port"] = str(address.port)

    def skip_row(self, instance: Miner, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        """One that an upload registered becomes the inventory's, also where nothing else changes."""
        return not instance.discovered and bool(super().skip_row(instance, original, row, import_validation_errors))

    def before_save_instance(self, instance: Miner, row: Any, **kwargs: Any) -> None:
        instance.discovered = False

    def bulk_create(self, using_transactions: bool, dry_run: bool, raise_errors: bool, batch_size: Any = None, result: Any = None) -> None:
        self._store(self.create_instances, note_additions, dry_run=dry_run)

    def bulk_update(self, using_transactions: bool, dry_run: bool, raise_errors: bool, batch_size: Any = None, result: Any = None) -> None:
        self._store(self.update_instances, note_changes, dry_run=dry_run)

    def _store(self, miners: list[Miner], note: Any, *, dry_run: bool) -> None:
        """Whole with their history. By (site, miner_id), so that a miner that appeared meanwhile is updated, not doubled."""
        if miners and not dry_run:
            with transaction.atomic():
                Miner.objects.bulk_create(
                    miners, update_conflicts=True, unique_fields=["site", "miner_id"], update_fields=["discovered", *self._updated()]
                )
                note(miners, by=self.by, reason=self.reason)
            self.done += len(miners)
            if self.progress:
                self.progress(self.done)
        miners.clear()

    def _updated(self) -> list[str]:
        return [name for name in self.columns if name != "miner_id"]

    def after_import(self, dataset: Any, result: Any, **kwargs: Any) -> None:
        """No sequence is set back, as the library does: keys are the database's own, and others may be adding miners."""

    def changes(self, before: Miner, after: Miner) -> Mapping[str, tuple[str, str]]:
        """Column → its value before and after, as people read them."""
        fields = [field for field in self.get_import_fields() if field.get_value(before) != field.get_value(after)]
        return {field.column_name: (field.export(before), field.export(after)) for field in fields}
