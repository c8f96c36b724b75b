"""Stores what a round brings in a PostgreSQL of its own, through the door that every reading takes."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from poll_designs import Store

from cgminer.poll import Outcome
from cgminer.simulator import MinerSpec
from tests.servers import PostgreSQLServer

SITE = "bench"


@contextmanager
def database() -> Iterator[str]:
    """The address of an empty database that lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="hashinsight-bench-") as scratch:
        directory = Path(scratch) / "postgresql"
        # As root, PostgreSQL runs as another user and must get through to its data.
        Path(scratch).chmod(0o711)
        directory.mkdir()
        with PostgreSQLServer(directory) as server:
            server.execute("CREATE DATABASE hashinsight")
            yield server.url("hashinsight")


def prepare(url: str, specs: Sequence[MinerSpec]) -> None:
    """Make the tables, and a site with these miners in its inventory."""
    _set_up(url)
    from django.core.management import call_command

    from miners.models import Miner
    from sites.models import Site

    call_command("migrate", verbosity=0)
    site = Site.objects.create(code=SITE, name="Bench")
    inventory = (Miner(site=site, miner_id=spec.miner_id, ip_address=spec.host, port=spec.port) for spec in specs)
    Miner.objects.bulk_create(inventory, batch_size=5_000)


def site_store(url: str) -> Store:
    """Stores outcomes of the site's miners."""
    _set_up(url)
    from django.utils import timezone

    from sites.models import Site
    from telemetry.ingest import ingest_readings
    from telemetry.models import Source
    from telemetry.polled import reading_of

    site = Site.objects.get(code=SITE)

    def store(outcomes: list[Outcome]) -> None:
        readings = [reading for outcome in outcomes if (reading := reading_of(outcome, miner_id=str(outcome.target.key)))]
        if readings:
            ingest_readings(site, readings, source=Source.POLLER, received_at=timezone.now())

    return store


def _set_up(url: str) -> None:
    os.environ |= {"DATABASE_URL": url, "HASHINSIGHT_ENV_FILE": os.devnull, "DJANGO_SETTINGS_MODULE": "hashinsight.settings"}
    import django

    django.setup()
    logging.disable(logging.INFO)
