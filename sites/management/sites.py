"""How the management commands name a site, and what they say when there is none of that name."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from sites.models import Site

SHOWN_CODES = 20
OR_CREATE = "add --create-site to make it"
"""What commands with that option say of a code that is not known."""


def site_by_code(code: str, *, otherwise: str = "make it in the admin") -> Site:
    """The site of `code`; CommandError names the known ones and says what to do `otherwise`."""
    site = Site.objects.filter(code=code).first()
    if site is None:
        raise CommandError(f"There is no site {code!r}. {_known_sites(otherwise)}")
    return site


def create_site(code: str) -> tuple[Site, bool]:
    """The site of `code`, made as one that a collector feeds when there is none; the second value says whether it was made."""
    site = unsaved_site(code, collection=Site.Collection.COLLECTOR)
    made = site.pk is None
    if made:
        site.save()
    return site, made


def unsaved_site(code: str, *, collection: Site.Collection = Site.Collection.SERVER) -> Site:
    """The site of `code`, or a new one of that name that is valid and not saved yet."""
    if site := Site.objects.filter(code=code).first():
        return site
    site = Site(code=code, name=code, collection=collection)
    try:
        site.full_clean()
    except ValidationError as error:
        raise CommandError(f"{code!r} can't be a site's code: {' '.join(error.messages)}")
    return site


def _known_sites(otherwise: str) -> str:
    codes = list(Site.objects.order_by("code").values_list("code", flat=True)[: SHOWN_CODES + 1])
    if not codes:
        return f"There are no sites yet: {otherwise}."
    more = " …" if len(codes) > SHOWN_CODES else ""
    return f"Known sites: {', '.join(codes[:SHOWN_CODES])}{more}. Name one of them, or {otherwise}."
