"""The catalogue of miner models that comes with the product."""

from __future__ import annotations

import json

from django.conf import settings

from miners.models import MinerModel

FIXTURE = settings.BASE_DIR / "fixtures" / "miner_models.json"


def add_missing_models() -> None:
    """Add the models that this database does not have, by slug and name. What is there stays as people left it."""
    known = set(MinerModel.objects.values_list("slug", flat=True))
    entries = [entry["fields"] for entry in json.loads(FIXTURE.read_text(encoding="utf-8"))]
    missing = [MinerModel(**fields) for fields in entries if fields["slug"] not in known]
    # A model a person added under a slug of their own keeps its name.
    MinerModel.objects.bulk_create(missing, ignore_conflicts=True)
