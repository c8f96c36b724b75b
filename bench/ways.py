"""Three ways to store one upload, from the gzipped body to the commit. The first two are the ones people write first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from django.db import models, transaction

from miners.models import Miner
from resilience.bodies import read_body
from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import CollectorUploadLog, MinerTelemetryDetail, MinerTelemetryHistory, MinerTelemetryLive, Source
from telemetry.readings import IngestReport, Upload
from telemetry.uploads import parse_batch

LISTS = ("boards", "temperature_chips", "fan_speeds")


def ours(site: Site, body: bytes, received_at: datetime) -> IngestReport:
    """What the upload view does."""
    unpacked, size = read_body(BytesIO(body), content_encoding="gzip", max_bytes=10**7, max_unpacked_bytes=10**8)
    batch = parse_batch(unpacked, received_at=received_at, max_records=5_000)
    upload = Upload(key_id=None, client_address="127.0.0.1", size_bytes=size, received=batch.received, errors=batch.errors)
    return ingest_readings(site, batch.readings, source=Source.COLLECTOR, received_at=received_at, upload=upload)


@transaction.atomic
def row_by_row(site: Site, body: bytes, received_at: datetime) -> None:
    for record in json.loads(gzip.decompress(body)):
        miner, _ = Miner.objects.get_or_create(site=site, miner_id=record["miner_id"])
        live, detail, history = _rows(site, miner.pk, record, received_at)
        MinerTelemetryLive.objects.update_or_create(miner_id=miner.pk, defaults=_values(live))
        MinerTelemetryDetail.objects.update_or_create(miner_id=miner.pk, defaults=_values(detail))
        history.save(force_insert=True)
    _log(site, received_at)


@transaction.atomic
def bulk_create(site: Site, body: bytes, received_at: datetime) -> None:
    records = json.loads(gzip.decompress(body))
    keys = dict(Miner.objects.filter(site=site, miner_id__in=[record["miner_id"] for record in records]).values_list("miner_id", "pk"))
    rows = [_rows(site, keys[record["miner_id"]], record, received_at) for record in records]
    for model, objects in zip((MinerTelemetryLive, MinerTelemetryDetail), zip(*[row[:2] for row in rows], strict=True), strict=True):
        names = [field.name for field in model._meta.concrete_fields if not field.primary_key]
        model.objects.bulk_create(objects, update_conflicts=True, unique_fields=["miner"], update_fields=names)
    MinerTelemetryHistory.objects.bulk_create([row[2] for row in rows], ignore_conflicts=True)
    _log(site, received_at)


def _rows(
    site: Site, miner: int, record: dict[str, Any], received_at: datetime
) -> tuple[MinerTelemetryLive, MinerTelemetryDetail, MinerTelemetryHistory]:
    timestamp = datetime.fromisoformat(record["timestamp"]).replace(tzinfo=UTC)
    common = {"miner_id": miner, "timestamp": timestamp, "mining_state": "mining"}
    live = _fields(MinerTelemetryLive, record) | {
        "site": site,
        "received_at": received_at,
        "last_online_at": timestamp,
        "source": "collector",
    }
    return (
        MinerTelemetryLive(**live | common),
        MinerTelemetryDetail(miner_id=miner, timestamp=timestamp, **{name: json.dumps(record[name]) for name in LISTS}),
        MinerTelemetryHistory(**_fields(MinerTelemetryHistory, record) | common),
    )


def _fields(model: type[models.Model], record: dict[str, Any]) -> dict[str, Any]:
    names = {field.attname for field in model._meta.concrete_fields} - {"miner_id", "timestamp"}
    return {name: value for name, value in record.items() if name in names}


def _values(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}


def _log(site: Site, received_at: datetime) -> None:
    CollectorUploadLog.objects.create(site=site, upload_time=received_at, status="stored")


WAYS: Sequence[Any] = (row_by_row, bulk_create, ours)
