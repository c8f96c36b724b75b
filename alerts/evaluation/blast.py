"""Many miners that fail together are one alert: who joins which, which alerts merge, and which split.

A group that was formed stays one alert: it grows while half of what formed it still holds, narrows or splits when what is left is a
smaller rack or zone, and keeps the few that do not recover. A miner that is about to join a group is not alerted of alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.evaluation.ground import Ground
from alerts.evaluation.grouping import Bar, Container, Group, Place, containers_of, group
from alerts.evaluation.holding import Held
from alerts.evaluation.incidents import Incident, Incidents, Kind
from alerts.evaluation.kinds import EXPLAINED_BY, PLACES, TOPOLOGY
from alerts.models import Alert, AlertEvent, AlertRule


def settle(rule: AlertRule, held: Held, ground: Ground) -> list[AlertEvent]:
    """Bring the rule's alerts about miners in line with its conditions; returns what happened. Inside a transaction."""
    incidents = Incidents(rule, ground)
    raised = {subject for subject in held.raised if isinstance(subject, int)}
    pending = {subject for subject in held.pending if isinstance(subject, int)}
    explained = _explained(rule, ground) - incidents.members()
    ground.cover(rule.kind, raised - explained)
    if not incidents.all and not raised - explained:
        return []
    _Blast(incidents, raised - explained, pending - explained, held).settle()
    for incident in incidents.open():
        incidents.observe(incident, [held.raised[miner] for miner in incident.members if miner in held.raised])
        incidents.told_of_size(incident)
    return incidents.save(held.raised)


def _explained(rule: AlertRule, ground: Ground) -> set[int]:
    """Miners of which a more telling alert speaks: of another kind, or of a sharper rule of the same kind."""
    kinds = {rule.kind, *EXPLAINED_BY.get(rule.kind, ())}
    return set().union(*(ground.covered.get(kind, set()) for kind in kinds))


@dataclass(slots=True)
class _SiteView:
    """One site as the rule sees it now: who is bad, where they stand, how many each container has, and what fits together."""

    places: Mapping[int, Place]
    totals: Counter[Container]
    groups: list[Group]
    failing: Counter[Container]


@dataclass(slots=True)
class _Blast:
    incidents: Incidents
    raised: set[int]
    pending: set[int]
    held: Held
    kinds: tuple[str, ...] = ()
    bar: Bar = field(default_factory=lambda: Bar(from_miners=2, percent=100))
    waiting: set[int] = field(default_factory=set)

    def settle(self) -> None:
        rule, ground = self.incidents.rule, self.incidents.ground
        self.kinds = TOPOLOGY.get(rule.kind, PLACES)
        self.bar = Bar(from_miners=rule.group_from, percent=rule.group_percent)
        self._let_go()
        members = self.incidents.members()
        by_site: dict[int, set[int]] = defaultdict(set)
        for miner, site in ground.sites_of(self.raised | self.pending).items():
            by_site[site].add(miner)
        for site, bad in by_site.items():
            grouped = any(incident.is_group and incident.alert.site_id == site for incident in self.incidents.open())
            if bad & self.raised - members or grouped:
                self._settle_site(site, bad)

    def _let_go(self) -> None:
        """Miners that recovered, or are watched no longer, leave; an alert without any is over."""
        for incident in self.incidents.open():
            gone = incident.members - self.raised
            incident.members -= gone
            if not incident.members:
                details: dict[str, Any] = {"unwatched": True} if gone and gone <= self.held.unwatched else {}
                self.incidents.end(incident, **details)

    def _settle_site(self, site: int, bad: set[int]) -> None:
        view = self._view(site, bad)
        for incident in self.incidents.open():
            if incident.is_group and incident.alert.site_id == site and not self._is_valid(incident, view):
                self._narrow(incident, view)
        for found in view.groups:
            self._join(found, view)
        for miner in sorted(bad & self.raised - self.incidents.members() - self.waiting):
            home = self._home([miner], view)
            if home:
                home.members.add(miner)
            else:
                self.incidents.begin(Container(site, Alert.Scope.MINER, str(miner)), {miner})

    def _view(self, site: int, bad: set[int]) -> _SiteView:
        ground, rule = self.incidents.ground, self.incidents.rule
        if len(bad) < 2 and not any(incident.is_group for incident in self.incidents.open()):
            return _SiteView({}, Counter(), [], Counter())
        places = ground.places(site)
        totals = ground.totals(site, rule, self.kinds)
        known = {miner for miner in bad if miner in places}
        failing = Counter(container for miner in known for container in containers_of(places[miner], self.kinds))
        return _SiteView(places, totals, group(known, places, totals, self.kinds, self.bar), failing)

    def _is_valid(self, incident: Incident, view: _SiteView) -> bool:
        container = incident.container
        return self.bar.half().is_reached(view.failing[container], view.totals[container])

    def _home(self, miners: Collection[int], view: _SiteView) -> Incident | None:
        """The group alert, still a group, in whose container all of `miners` are."""
        shared = [set(containers_of(view.places[miner], self.kinds)) for miner in miners if miner in view.places]
        if len(shared) < len(miners) or not shared:
            return None
        common = set.intersection(*shared)
        fitting = (item for item in self.incidents.open() if item.is_group and item.container in common and self._is_valid(item, view))
        return max(fitting, key=lambda item: len(item.members), default=None)

    # --- Larger ---------------------------------------------------------------------------------------------------------------------

    def _join(self, found: Group, view: _SiteView) -> None:
        raised = found.miners & self.raised
        home = self._home(found.miners, view)
        if home is None and not self.bar.is_reached(len(raised), view.totals[found.container]):
            self.waiting |= raised  # the others follow within the rule's hold time, or they do not and these are alerted of alone
            return
        touching = [item for item in self.incidents.open() if item is not home and item.members & raised]
        if home is None:
            home = self._grown(found, raised, touching, view) or self._begun(found, raised, touching, view)
        for incident in touching:
            if incident is not home:
                self._absorb(incident, home, incident.members & raised)
        home.members |= raised

    def _grown(self, found: Group, raised: set[int], touching: list[Incident], view: _SiteView) -> Incident | None:
        """The alert that becomes the group's: the largest that lies in it, of two alike the older."""
        inside = [incident for incident in touching if incident.members <= raised]
        if not inside:
            return None
        home = max(inside, key=lambda incident: len(incident.members))
        home.members |= raised
        self.incidents.rescope(home, found.container, kind=Kind.GREW, total=view.totals[found.container])
        return home

    def _begun(self, found: Group, raised: set[int], touching: list[Incident], view: _SiteView) -> Incident:
        kind = Kind.SPLIT if touching else Kind.OPENED
        return self.incidents.begin(found.container, raised, kind=kind, total=view.totals[found.container])

    def _absorb(self, incident: Incident, home: Incident, miners: Collection[int]) -> None:
        incident.members -= set(miners)
        if not incident.members:
            self.incidents.end(incident, kind=Kind.MERGED, into=_name(home.container), into_alert=home.alert.pk)

    # --- Smaller --------------------------------------------------------------------------------------------------------------------

    def _narrow(self, incident: Incident, view: _SiteView) -> None:
        """What is left of a group that is none any more, by the smaller containers that it fills. Where it fills none, it stays."""
        placed = {miner for miner in incident.members if miner in view.places}
        parts = [part for part in group(placed, view.places, view.totals, self.kinds, self.bar) if part.container != incident.container]
        left_over = incident.members - {miner for part in parts for miner in part.miners}
        if not parts:
            return
        if not left_over:
            largest = parts.pop(0)
            taken = self.incidents.find(largest.container)
            if taken is None:
                incident.members = set(largest.miners)
                self.incidents.rescope(incident, largest.container, kind=Kind.SHRANK, total=view.totals[largest.container])
            else:
                parts.append(largest)
        for part in parts:
            self._split_off(part, incident, view)

    def _split_off(self, part: Group, incident: Incident, view: _SiteView) -> None:
        incident.members -= part.miners
        other = self.incidents.find(part.container)
        if other:
            other.members |= part.miners
        else:
            total = view.totals[part.container]
            details = {"of": _name(incident.container), "of_alert": incident.alert.pk}
            self.incidents.begin(part.container, part.miners, kind=Kind.SPLIT, details=details, total=total)
        if not incident.members:
            self.incidents.end(incident, kind=Kind.MERGED, into=_name(part.container))


def _name(container: Container) -> str:
    return f"{container.scope} {container.key}".strip()
