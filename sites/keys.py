"""Collector keys: made, rotated, revoked. The admin, the API and the commands all call these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from sites.changes import note_changes
from sites.models import VISIBLE_PREFIX_LENGTH, Collector, CollectorKey, Site, digest_of, new_secret

DEFAULT_OVERLAP = timedelta(days=1)
"""How long a rotated key still works: time enough to reach an agent at a farm, and for a spool to be sent."""

LAST_MINUTES = timedelta(minutes=10)
"""So long an old key goes on after the collector has been heard with its new one: for what it had under way."""
WAITING_AT_MOST = 20
"""Replacements of one key that were fetched and never used."""
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


# --- Replaced by the collector itself: an administrator asks for it, the old key fetches the new one, a heartbeat with that confirms it ---


class NoReplacement(Exception):
    """Nobody has asked for a replacement of this key, or too many were fetched and not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A new key's secret, shown now or never, and when the old one ends."""

    secret: str
    old_ends_at: datetime


def ask_for_replacement(key: CollectorKey, *, asked_by: str) -> bool:
    """Let the collectors that use `key` fetch a new one; False when that was asked before. Raises KeyNotActive."""
    if key.state != "active":
        raise KeyNotActive(f"Key {key.pk} is {key.state}: make a new key instead.")
    asked = CollectorKey.objects.filter(pk=key.pk, replacement_asked_at=None).update(
        replacement_asked_at=timezone.now(), replacement_asked_by=asked_by[:150], replacement_expires_at=key.expires_at
    )
    if asked:
        _record(key.pk, gettext_noop("its collectors may fetch a new key"))
        log.info("collector_key_replacement_asked", site_id=key.site.code, key_id=key.pk, key_prefix=key.prefix, by=asked_by)
    return bool(asked)


@transaction.atomic
def withdraw_replacement(key: CollectorKey, *, withdrawn_by: str) -> bool:
    """Keep `key` after all: it lives as long as before, and replacements that nobody has used yet are revoked."""
    asked = CollectorKey.objects.select_for_update(of=("self",)).filter(pk=key.pk, replacement_asked_at__isnull=False).first()
    if asked is None:
        return False
    asked.replacements.filter(confirmed_at=None, revoked_at=None).update(revoked_at=timezone.now())
    CollectorKey.objects.filter(pk=key.pk).update(replacement_asked_at=None, expires_at=asked.replacement_expires_at)
    _record(key.pk, gettext_noop("kept after all"))
    log.info("collector_key_replacement_withdrawn", site_id=key.site.code, key_id=key.pk, key_prefix=key.prefix, by=withdrawn_by)
    return True


@transaction.atomic
def fetch_replacement(key: CollectorKey, *, fetched_by: str, now: datetime) -> Replacement:
    """A new key for the collector `fetched_by`, in the place of one that it fetched before and has not used.

    Both work until `old_ends_at`, which moves on with each call. Raises NoReplacement.
    """
    old = CollectorKey.objects.select_for_update(of=("self",)).select_related("site").get(pk=key.pk)
    if old.replacement_asked_at is None:
        raise NoReplacement("Nobody has asked for a replacement of this key.")
    secret = _fetched(old, fetched_by=fetched_by[:151])
    ends_at = now + timedelta(days=settings.KEY_OVERLAP_DAYS)
    if old.replacement_expires_at is not None:
        ends_at = min(ends_at, old.replacement_expires_at)
    CollectorKey.objects.filter(pk=old.pk).update(expires_at=ends_at)
    _record(old.pk, gettext_noop("replacement fetched"))
    log.info(
        "collector_key_replacement_fetched",
        site_id=old.site.code,
        key_id=old.pk,
        key_prefix=old.prefix,
        new_prefix=secret[:VISIBLE_PREFIX_LENGTH],
        collector=fetched_by,
    )
    return Replacement(secret=secret, old_ends_at=ends_at)


def _fetched(old: CollectorKey, *, fetched_by: str) -> str:
    unused = old.replacements.filter(confirmed_at=None, revoked_at=None)
    before = unused.filter(fetched_by=fetched_by).first()
    if before is not None:
        secret = new_secret()
        CollectorKey.objects.filter(pk=before.pk).update(prefix=secret[:VISIBLE_PREFIX_LENGTH], digest=digest_of(secret))
        return secret
    if unused.count() >= WAITING_AT_MOST:
        raise NoReplacement(f"{WAITING_AT_MOST} replacements of this key were fetched and none of them is used.")
    made, secret = CollectorKey.objects.generate(site=old.site, name=old.name, expires_at=old.replacement_expires_at)
    CollectorKey.objects.filter(pk=made.pk).update(replaces=old, fetched_by=fetched_by)
    return secret


@transaction.atomic
def confirm_replacement(key: CollectorKey, *, now: datetime) -> None:
    """A heartbeat came with `key`. When it is a replacement, the old key ends soon, unless other collectors still beat with it."""
    if key.replaces_id is None or not CollectorKey.objects.filter(pk=key.pk, confirmed_at=None).update(confirmed_at=now):
        return
    log.info("collector_key_replaced", site_id=key.site.code, key_id=key.pk, key_prefix=key.prefix, old_key_id=key.replaces_id)
    if Collector.objects.watched().filter(key=key.replaces_id).exists():
        return
    old = CollectorKey.objects.select_for_update(of=("self",)).get(pk=key.replaces_id)
    ends_at = now + LAST_MINUTES
    if old.expires_at is None or old.expires_at > ends_at:
        old.expires_at = ends_at
    CollectorKey.objects.filter(pk=old.pk).update(expires_at=old.expires_at, replacement_asked_at=None)
    _record(old.pk, gettext_noop("replaced"))


def _record(key_pk: int, reason: str) -> None:
    note_changes([CollectorKey.objects.get(pk=key_pk)], reason=reason)
