"""What a chart shows of time, and the same as a file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from miners.models import Miner
from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.rollups import roll_up
from tests.makers import make_reading, make_site, make_superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(client: Client) -> str:
    """Of the charts of a miner with a reading a minute over the last three hours."""
    client.force_login(make_superuser())
    site, now = make_site("north", interval_seconds=60, timezone="America/Denver"), timezone.now()
    readings = [make_reading("m1", timestamp=now - timedelta(minutes=minute), hashrate_ghs=90_000.0) for minute in range(180)]
    ingest_readings(site, readings, source=Source.POLLER, received_at=now)
    roll_up(now + timedelta(minutes=1))
    return reverse("console:miner_series", args=[Miner.objects.get().pk])


def test_what_was_zoomed_into_is_drawn_finer(client: Client, address: str) -> None:
    end = int(timezone.now().timestamp()) - 600
    whole, part = client.get(address).json(), client.get(address, {"start": end - 1_800, "end": end}).json()
    steps = [data["timestamps"][1] - data["timestamps"][0] for data in (whole, part)]
    assert steps == [300, 60]
    assert (part["start"], part["end"]) == (end - 1_800, end)


@pytest.mark.parametrize("span", [("1", "2"), ("5", "1"), ("0", "99999999999"), ("a", "b"), ("-5", "900"), ("1", ""), ("9" * 30, "9" * 31)])
def test_nonsense_is_no_span(client: Client, address: str, span: tuple[str, str]) -> None:
    assert client.get(address, dict(zip(("start", "end"), span, strict=True))).status_code == 404


def test_file_has_what_the_chart_shows_with_the_time_in_both_zones(client: Client, address: str) -> None:
    answer = client.get(address, {"hours": "24", "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    drawn = client.get(address, {"hours": "24"}).json()["charts"]["hashrate"]["lines"][0]["values"]
    assert "north-m1-" in answer["Content-Disposition"]
    assert [float(row["hash rate, TH/s"]) for row in rows if row["hash rate, TH/s"]] == [value for value in drawn if value is not None]
    assert rows[0]["time_utc"].endswith("Z")
    assert rows[0]["time America/Denver"] != rows[0]["time_utc"]


def test_gap_is_an_empty_cell(client: Client) -> None:
    client.force_login(make_superuser())
    site, now = make_site(interval_seconds=60), timezone.now()
    readings = [make_reading("m1", timestamp=now - timedelta(minutes=minute)) for minute in (100, 10)]
    ingest_readings(site, readings, source=Source.POLLER, received_at=now)
    roll_up(now + timedelta(minutes=1))
    answer = client.get(reverse("console:site_series", args=[site.pk]), {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["hash rate, TH/s"] for row in rows].count("") == len(rows) - 2


def test_year_is_drawn_by_the_day(client: Client, address: str) -> None:
    site = Miner.objects.get().site
    Site.objects.update(created_at=timezone.now() - timedelta(days=200))
    roll_up(timezone.now() + timedelta(days=1, hours=2))
    data = client.get(reverse("console:site_series", args=[site.pk]), {"hours": "8760"}).json()
    assert data["timestamps"][1] - data["timestamps"][0] == 86_400
    assert data["charts"]["hashrate"]["lines"][0]["values"][-1] == 90.0
