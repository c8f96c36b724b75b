"""The demo's farm in the database: three sites, their miners, a collector's key and an operator."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction

from cgminer.simulator import MinerSpec
from hashinsight.demo.fleets import Fleets, Place, places
from hashinsight.demo.world import World, keep
from miners.matching import ModelMatcher
from miners.models import Miner
from sites.keys import create_key
from sites.models import CollectorKey, Site, digest_of

NORTH, FJORD, STEPPE = "north", "fjord", "steppe"
OPERATOR = "operator"
LEFT_TO_DISCOVERY = 3
"""The last miners of the collector's site are not in the inventory: its uploads register them."""

SITES: dict[str, dict[str, Any]] = {
    NORTH: {
        "name": "Big Spring North",
        "collection": Site.Collection.SERVER,
        "timezone": "America/Chicago",
        "power_price_kwh": Decimal("0.05200"),
    },
    FJORD: {
        "name": "Fjord Hydro",
        "collection": Site.Collection.COLLECTOR,
        "timezone": "Europe/Oslo",
        "power_price_kwh": Decimal("0.03850"),
    },
    STEPPE: {
        "name": "Steppe Extension",
        "collection": Site.Collection.COLLECTOR,
        "timezone": "Asia/Almaty",
        "power_price_kwh": Decimal("0.04400"),
    },
}


def foreign_sites() -> list[str]:
    """Codes of sites in the database that are not the demo's; none when there is no such table yet."""
    try:
        return list(Site.objects.exclude(code__in=SITES).values_list("code", flat=True))
    except DatabaseError:
        return []


@transaction.atomic
def load_farm(fleets: Fleets) -> None:
    """Make what is missing and put the simulated miners' addresses right; what an operator changed beside that stays."""
    sites = {code: Site.objects.get_or_create(code=code, defaults=fields)[0] for code, fields in SITES.items()}
    _load_miners(sites[NORTH], fleets.north, zone="hall", reachable=True)
    _load_miners(sites[FJORD], fleets.fjord[: -LEFT_TO_DISCOVERY or None], zone="container", reachable=False)


def _load_miners(site: Site, specs: Sequence[MinerSpec], *, zone: str, reachable: bool) -> None:
    matcher = ModelMatcher.from_catalogue()
    miners = [_miner(site, spec, place, matcher, reachable=reachable) for spec, place in zip(specs, places(specs, zone=zone), strict=True)]
    Miner.objects.bulk_create(
        miners,
        update_conflicts=True,
        unique_fields=["site", "miner_id"],
        update_fields=["ip_address", "port", "is_enabled"],
        batch_size=500,
    )
    gone = Miner.objects.filter(site=site, serial_number__startswith="SIM").exclude(miner_id__in=[spec.miner_id for spec in specs])
    gone.update(is_enabled=False)


def _miner(site: Site, spec: MinerSpec, place: Place, matcher: ModelMatcher, *, reachable: bool) -> Miner:
    return Miner(
        site=site,
        miner_id=spec.miner_id,
        model=matcher.match(spec.catalogued.name),
        ip_address=spec.host if reachable else "",
        port=spec.port,
        serial_number=spec.serial_number,
        mac_address=spec.mac_address,
        zone=place.zone,
        rack=place.rack,
        slot=place.slot,
    )


def provide_collector_key(world: World) -> None:
    """See to it that the key in the collector's file is one the database accepts."""
    site = Site.objects.get(code=FJORD)
    held = world.collector_key.read_text().strip() if world.collector_key.exists() else ""
    if held and CollectorKey.objects.filter(site=site, digest=digest_of(held), revoked_at__isnull=True).exists():
        return
    keep(world.collector_key, create_key(site, name="demo collector")[1])


def provide_operator(world: World) -> str | None:
    """The operator's password, or None when somebody changed it in the admin."""
    password = world.password()
    users = get_user_model().objects
    operator = users.filter(username=OPERATOR).first()
    if operator is None:
        users.create_superuser(OPERATOR, "", password)
        return password
    return password if operator.check_password(password) else None
