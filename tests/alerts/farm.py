"""Makers of rules and alerts, and a farm whose minutes a test lets pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from alerts.evaluation import EvaluationReport, evaluate
from alerts.models import Alert, AlertEvent, AlertMember, AlertRule, RuleKind
from miners.models import Miner
from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from tests.makers import NOON, make_reading, make_site

_numbers = itertools.count(1)


def make_rule(kind: RuleKind, **fields: Any) -> AlertRule:
    """A rule that raises and clears at once unless told otherwise."""
    defaults = {"slug": f"test-{kind.value.replace('_', '-')}-{next(_numbers)}", "for_minutes": 0, "clear_minutes": 0}
    return AlertRule.objects.create(kind=kind, **{**defaults, **fields})


def only_rule(kind: RuleKind, **fields: Any) -> AlertRule:
    """The same, and no other rule beside it."""
    AlertRule.objects.all().delete()
    return make_rule(kind, **fields)


def make_alert(rule: AlertRule, **fields: Any) -> Alert:
    """An open alert; with `miners`, about those."""
    miners = fields.pop("miners", [])
    only = miners[0] if len(miners) == 1 else None
    defaults = {
        "site": miners[0].site if miners else None,
        "miner": only,
        "scope": Alert.Scope.MINER if only else Alert.Scope.SITE if miners else Alert.Scope.SYSTEM,
        "scope_key": str(only.pk) if only else "",
        "severity": rule.severity,
        "member_count": len(miners),
        "opened_at": NOON,
        "changed_at": NOON,
        "seen_at": NOON,
    }
    alert = Alert.objects.create(rule=rule, **{**defaults, **fields})
    AlertMember.objects.bulk_create(AlertMember(alert=alert, miner=miner, joined_at=NOON) for miner in miners)
    return alert


class Farm:
    """A site that reports each interval, through the ingest that everything comes through, and is evaluated after each report.

    `says` holds what a miner reports other than a healthy one: fields of a reading, or None while nothing is heard of it.
    """

    def __init__(self, site: Site | None = None, *, collector: bool = False) -> None:
        collection = Site.Collection.COLLECTOR if collector else Site.Collection.SERVER
        self.site = site or make_site(collection=collection)
        self.now = NOON
        self.began = NOON
        self.says: dict[str, dict[str, Any] | None] = {}
        self.is_silent = False

    def add(self, *names: str, **fields: Any) -> list[Miner]:
        defaults = {"created_at": NOON - timedelta(days=30)}
        miners = [Miner(site=self.site, miner_id=name, **fields) for name in names]
        Miner.objects.bulk_create(miners)
        Miner.objects.filter(pk__in=[miner.pk for miner in miners]).update(**defaults)
        return miners

    def add_rack(self, zone: str, rack: str, count: int, **fields: Any) -> list[Miner]:
        """`count` miners named after their rack, "A-R1-03" being the third; each rack on a subnet of its own."""
        subnet = Miner.objects.values("zone", "rack").distinct().count()
        miners = []
        for number in range(1, count + 1):
            miners += self.add(f"{zone}-{rack}-{number:02}", zone=zone, rack=rack, ip_address=f"10.0.{subnet}.{number}", **fields)
        return miners

    def set(self, miners: Iterable[Miner | str], **fields: Any) -> None:
        for miner in miners:
            self.says[str(miner)] = fields

    def offline(self, miners: Iterable[Miner | str]) -> None:
        self.set(miners, online=False, error_type="connection_refused")

    def quiet(self, miners: Iterable[Miner | str]) -> None:
        for miner in miners:
            self.says[str(miner)] = None

    def well(self, miners: Iterable[Miner | str]) -> None:
        for miner in miners:
            self.says.pop(str(miner), None)

    def report(self) -> None:
        """One round of readings at the present minute."""
        if self.is_silent:
            return
        up = int((self.now - self.began).total_seconds()) + 86_400
        readings = []
        for name in Miner.objects.filter(site=self.site, is_enabled=True).values_list("miner_id", flat=True):
            fields = self.says.get(name, {})
            if fields is None:
                continue
            usual = {"uptime_seconds": up, "accepted_shares": up // 5, "rejected_shares": up // 5_000, "hashrate_expected_ghs": 95_000.0}
            readings.append(make_reading(name, timestamp=self.now, **{**usual, **fields}))
        source = Source.COLLECTOR if self.site.collection == Site.Collection.COLLECTOR else Source.POLLER
        ingest_readings(self.site, readings, source=source, received_at=self.now)

    def run(self, minutes: int = 1) -> EvaluationReport:
        """Let minutes pass: at each interval a round of readings, each minute an evaluation. The last one's report."""
        for _ in range(minutes):
            self.now += timedelta(minutes=1)
            if (self.now - NOON).total_seconds() % self.site.interval_seconds == 0:
                self.report()
            report = evaluate(self.now)
            assert report.failed == {}
        return report

    def minutes(self, count: float) -> datetime:
        """The moment so many minutes after the beginning."""
        return NOON + timedelta(minutes=count)


def open_alerts() -> list[str]:
    """The open alerts as "kind scope key ×miners", in order."""
    rows = Alert.objects.open().select_related("rule", "miner")
    return sorted(f"{row.rule.kind} {row.scope} {row.miner or row.scope_key} ×{row.member_count}".replace("  ", " ") for row in rows)


def event_kinds(alert: Alert) -> list[str]:
    return list(AlertEvent.objects.filter(alert=alert).values_list("kind", flat=True))
