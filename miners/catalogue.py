"""The catalogue of miner models: what comes with the product, and what is known of it at present."""

from __future__ import annotations

import json

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from miners.models import MinerModel
from resilience.remembered import forget, remembered

MODELS_KEY = "miner_models"
"""Whoever changes a model forgets this."""
MODELS_S = 3_600
FIXTURE = settings.BASE_DIR / "fixtures" / "miner_models.json"


def add_missing_models() -> None:
    """Add the models that this database does not have, by slug and name. What is there stays as people left it."""
    known = set(MinerModel.objects.values_list("slug", flat=True))
    entries = [entry["fields"] for entry in json.loads(FIXTURE.read_text(encoding="utf-8"))]
    missing = [MinerModel(**fields) for fields in entries if fields["slug"] not in known]
    # A model a person added under a slug of their own keeps its name.
    MinerModel.objects.bulk_create(missing, ignore_conflicts=True)
    forget(MODELS_KEY)


def known_models() -> list[MinerModel]:
    """Every model, from the cache where all processes share one."""
    names = [field.attname for field in MinerModel._meta.concrete_fields]
    rows = remembered(MODELS_KEY, "all", lambda: list(MinerModel.objects.values_list(*names)), family=MODELS_KEY, timeout_s=MODELS_S)
    return [MinerModel.from_db(DEFAULT_DB_ALIAS, names, row) for row in rows]
