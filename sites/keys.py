"""Collector keys: made, rotated, revoked. The admin, the API and the commands all call these."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from sites.changes import note_changes
from sites.models import CollectorKey, Site

DEFAULT_OVERLAP = timedelta(days=1)
"""How long a rotated key still works: time enough to reach an agent at a farm, and for a spool to be sent."""

ROTATED = gettext_noop("rotated")

log = structlog.get_logger(__name__)


class KeyNotActive(Exception):
    """The key is revoked or expired: a new one is made, not rotated."""


def create_key(
    site: Site, *, name: str, created_by: AbstractBaseUser | None = None, expires_at: datetime | None = None
) -> tuple[CollectorKey, str]:
    """A new key of `site` and its secret, which is shown now or never."""
    key, secret = CollectorKey.objects.generate(site=site, name=name, created_by=created_by, expires_at=expires_at)
    log.info("collector_key_created", site_id=site.code, key_id=key.pk, key_prefix=key.prefix)
    return key, secret


@transaction.atomic
def rotate_key(
    key: CollectorKey, *, created_by: AbstractBaseUser | None = None, overlap: timedelta = DEFAULT_OVERLAP
) -> tuple[CollectorKey, str]:
    """A new key of the same site and name; the old one stops working after `overlap`, or when it would have anyway.

    Raises KeyNotActive: nothing would overlap with a key that does not work any more.
    """
    if key.state != "active":
        raise KeyNotActive(f"Key {key.pk} is {key.state}: make a new key instead.")
    ends_at = timezone.now() + overlap
    if key.expires_at is None or key.expires_at > ends_at:
        CollectorKey.objects.filter(pk=key.pk).update(expires_at=ends_at)
        key.expires_at = ends_at
        note_changes([key], by=created_by, reason=ROTATED)
    return create_key(key.site, name=key.name, created_by=created_by)


def revoke_key(key: CollectorKey) -> bool:
    """Stop accepting `key` from now on; False when it was revoked before."""
    now = timezone.now()
    revoked = CollectorKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now)
    if revoked:
        key.revoked_at = now
        note_changes([key])
        log.info("collector_key_revoked", site_id=key.site.code, key_id=key.pk, key_prefix=key.prefix)
    return bool(revoked)
