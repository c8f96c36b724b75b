"""What all rules of one evaluation share: the time, who is in scope, who is in maintenance, and from which sites nothing is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet

from alerts.evaluation.grouping import Container, Place, host_of, subnet_of, totals_of
from alerts.models import Alert, AlertRule, Condition, Silence
from miners.models import STALE_INTERVALS, Miner
from sites.models import Collector, Site
from telemetry.models import MinerTelemetryLive

SILENT_INTERVALS = 2
"""A site of which no miner was heard for so long is not judged by its miners: sooner than the first of them is stale."""
KEYS_AT_ONCE = 5_000


@dataclass(slots=True, kw_only=True)
class Ground:
    now: datetime
    sites: dict[int, Site]
    """The active sites by primary key."""
    read_at: dict[int, datetime]
    """Time of the newest reading of any enabled miner, by site; absent where there is none."""
    received_at: dict[int, datetime]
    """When the last reading came in, by site."""
    collectors: Sequence[Collector]
    """Those that send heartbeats and are watched."""
    silences: Sequence[Silence]
    """Those that hold now, maintenance windows among them."""
    holding: set[int]
    """Rules that have conditions: for the others nothing has to be looked up but what is bad now."""
    alerted: set[int]
    """Rules that have open alerts."""
    covered: dict[str, set[int]] = field(default_factory=dict)
    """Miners of which an alert of the kind speaks already; filled as rules are evaluated."""
    _places: dict[int, dict[int, Place]] = field(default_factory=dict)
    _totals: dict[tuple[int, tuple[str, ...]], Counter[Container]] = field(default_factory=dict)

    @property
    def silent_sites(self) -> set[int]:
        return {
            pk
            for pk, site in self.sites.items()
            if pk in self.read_at and self.now - self.read_at[pk] > SILENT_INTERVALS * timedelta(seconds=site.interval_seconds)
        }

    @property
    def silent_places(self) -> Q:
        """Where nothing can be judged because nobody tells: silent sites, and the zones of collectors that are late at others."""
        silent = Q(site__in=self.silent_sites)
        for collector in self.collectors:
            if collector.zone_id and self.quiet_intervals(collector) > SILENT_INTERVALS:
                silent |= Q(site=collector.site_id, zone=collector.zone_id)
        return silent

    def quiet_intervals(self, collector: Collector) -> float:
        """How many of its own intervals a collector has sent no heartbeat."""
        heard_at = collector.heartbeat_at or self.now
        return (self.now - heard_at) / timedelta(seconds=max(1, collector.interval_seconds))

    def cutoffs(self, intervals: float) -> dict[int, datetime]:
        """The time so many intervals ago, by length of interval in seconds."""
        lengths = {site.interval_seconds for site in self.sites.values()}
        return {seconds: self.now - timedelta(seconds=seconds * intervals) for seconds in sorted(lengths)}

    def heard(self) -> Q:
        """Miners whose newest reading is recent enough to judge by, where somebody tells of them."""
        recent = Q(pk__in=[])
        for seconds, since in self.cutoffs(STALE_INTERVALS).items():
            recent |= Q(site__interval_seconds=seconds, live__timestamp__gte=since)
        return recent & ~self.silent_places

    def all_miners(self) -> QuerySet[Miner]:
        return Miner.objects.filter(is_enabled=True, site__is_active=True)

    def miners(self, rule: AlertRule) -> QuerySet[Miner]:
        """The enabled miners that the rule watches now."""
        miners = self.all_miners().filter(scope_of(rule))
        for window in self._windows(rule):
            miners = miners.exclude(_place_of(window))
        return miners

    def in_maintenance(self) -> QuerySet[Miner]:
        """Miners that no rule watches for now."""
        resting = Q(pk__in=[])
        for window in self.silences:
            if window.is_maintenance and window.rule_id is None:
                resting |= _place_of(window)
        return self.all_miners().filter(resting)

    def _windows(self, rule: AlertRule) -> list[Silence]:
        return [window for window in self.silences if window.is_maintenance and window.rule_id in (None, rule.pk)]

    def cover(self, kind: str, miners: set[int]) -> None:
        self.covered[kind] = self.covered.get(kind, set()) | miners

    def sites_of(self, miners: Iterable[int]) -> dict[int, int]:
        """The site of each miner."""
        keys = list(miners)
        found: dict[int, int] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            found.update(Miner.objects.filter(pk__in=keys[start : start + KEYS_AT_ONCE]).order_by().values_list("pk", "site"))
        return found

    def places(self, site: int) -> dict[int, Place]:
        """Where each enabled miner of the site stands; read once an evaluation, and only for sites that need it."""
        if site not in self._places:
            rows = self.all_miners().filter(site=site).order_by().values_list("pk", "zone", "rack", "ip_address", "live__pool_url")
            alike: dict[Place, Place] = {}
            found = ((pk, Place(site, zone, rack, subnet_of(address), host_of(url))) for pk, zone, rack, address, url in rows.iterator())
            self._places[site] = {pk: alike.setdefault(place, place) for pk, place in found}
        return self._places[site]

    def totals(self, site: int, rule: AlertRule, kinds: tuple[str, ...]) -> Counter[Container]:
        """How many miners that the rule watches each container of the site has."""
        places = self.places(site)
        if scope_of(rule) or self._windows(rule):
            watched = self.miners(rule).filter(site=site).order_by().values_list("pk", flat=True)
            return totals_of((places[pk] for pk in watched if pk in places), kinds)
        if (site, kinds) not in self._totals:
            self._totals[site, kinds] = totals_of(places.values(), kinds)
        return self._totals[site, kinds]

    def watched_sites(self, rule: AlertRule) -> list[Site]:
        """Active sites in the rule's scope, but for those in maintenance as a whole."""
        wanted = {site.pk for site in rule.sites.all()}
        resting = {window.site_id for window in self._windows(rule) if not (window.zone or window.rack or window.miner_id)}
        if None in resting:
            return []
        return [site for pk, site in self.sites.items() if pk not in resting and (not wanted or pk in wanted)]


def survey(now: datetime) -> Ground:
    newest = (
        MinerTelemetryLive.objects.filter(miner__is_enabled=True)
        .order_by()
        .values_list("site")
        .annotate(read_at=Max("timestamp"), received_at=Max("received_at"))
    )
    rows = list(newest)
    return Ground(
        now=now,
        sites={site.pk: site for site in Site.objects.active()},
        read_at={site: read_at for site, read_at, _ in rows},
        received_at={site: received_at for site, _, received_at in rows},
        collectors=list(Collector.objects.filter(is_watched=True, heartbeat_at__isnull=False, site__is_active=True)),
        holding=set(Condition.objects.order_by().values_list("rule_id", flat=True).distinct()),
        alerted=set(Alert.objects.open().order_by().values_list("rule_id", flat=True).distinct()),
        silences=list(Silence.objects.at(now).select_related("miner")),
    )


def scope_of(rule: AlertRule) -> Q:
    """What the rule's sites, models, tags and racks leave; all of them must fit, and an empty one fits everything."""
    scope = Q()
    if sites := rule.sites.all():
        scope &= Q(site__in=[site.pk for site in sites])
    if models := rule.miner_models.all():
        scope &= Q(model__in=[model.pk for model in models])
    if tags := rule.tags.all():
        scope &= Q(pk__in=Miner.objects.filter(tags__in=[tag.pk for tag in tags]).values("pk"))
    if rule.racks:
        scope &= _in_racks(rule.racks)
    return scope


def _in_racks(names: Sequence[str]) -> Q:
    found = Q(pk__in=[])
    for name in names:
        zone, _, rack = str(name).rpartition("/")
        found |= Q(zone=zone, rack=rack) if zone else Q(rack=rack)
    return found


def _place_of(window: Silence) -> Q:
    place = ~Q(pk__in=[])  # everywhere
    if window.site_id:
        place &= Q(site=window.site_id)
    if window.zone:
        place &= Q(zone=window.zone)
    if window.rack:
        place &= Q(rack=window.rack)
    if window.miner_id:
        place &= Q(pk=window.miner_id)
    return place
