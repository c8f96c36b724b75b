"""A week of two farms, replayed through ingest, roll-ups and the default rules: each incident is the alerts of the table, and no more."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts.evaluation import evaluate
from alerts.models import Alert, AlertRule, Delivery, DeliveryState, RuleKind, Silence
from alerts.notification import notify
from miners.models import Miner
from resilience.models import JobLease
from sites.models import Site
from telemetry.rollups import roll_up
from tests.alerts.farm import Farm
from tests.alerts.inboxes import MailServer, WebhookServer
from tests.alerts.told import make_channel, make_receiver
from tests.makers import NOON, make_miner_model, make_site, make_staff

pytestmark = [pytest.mark.once, pytest.mark.django_db]

STEP = timedelta(minutes=20)
"""The farms' interval: coarse, so that a week is 504 rounds."""
POOL, THIEF = "stratum+tcp://eu.pool.example:3333", "stratum+tcp://thief.example:3333"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the week, which begins on day 1 at 0:00."""
    return NOON.replace(hour=0) + timedelta(days=day - 1, hours=hour, minutes=minute)


@dataclass(frozen=True, kw_only=True)
class Incident:
    """What happens to miners from `begins` to `ends`; `says` gives a miner's reading so many minutes after the beginning."""

    name: str
    miners: tuple[str, ...]
    begins: datetime
    ends: datetime
    says: Callable[[int], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One alert: which rule of which thing, how many miners at most, and between which moments it opens and is over."""

    incident: str
    rule: str
    site: str
    scope: str
    key: str = ""
    miners: int = 1
    opens: tuple[datetime, datetime]
    ends: tuple[datetime, datetime]
    is_flapping: bool = False


def rack(zone: str, name: str) -> tuple[str, ...]:
    return tuple(f"{zone}-{name}-{number:02}" for number in range(1, 11))


NORTH = rack("A", "R1") + rack("A", "R2") + rack("B", "R1") + rack("B", "R2")
OFF = {"online": False, "error_type": "timeout"}


def is_off(_minutes: int) -> dict[str, Any]:
    return OFF


def booting_after(minutes_off: int) -> Callable[[int], dict[str, Any]]:
    """Off, and for its last reading back with a hash rate that is only beginning."""
    return lambda minutes: OFF if minutes < minutes_off else {"hashrate_ghs": 9_000.0, "temperature_max": 40.0, "uptime_seconds": 120}


def fading(minutes: int) -> dict[str, Any]:
    """One per cent less each hour."""
    return {"hashrate_ghs": 95_000.0 * (1 - minutes / 6_000)}


def flapping(minutes: int) -> dict[str, Any]:
    """An hour down, forty minutes up."""
    return OFF if minutes % 100 < 60 else {}


def restarting(_minutes: int) -> dict[str, Any]:
    return {"uptime_seconds": 30}


def rejecting(minutes: int) -> dict[str, Any]:
    """One share of five, on counters that go on from what they were."""
    shares = minutes * 60
    return {"accepted_shares": 10**7 + shares * 4 // 5, "rejected_shares": 10**5 + shares // 5}


INCIDENTS = (
    Incident(name="rack breaker", miners=rack("A", "R1"), begins=at(1, 10), ends=at(1, 14, 20), says=booting_after(240)),
    Incident(
        name="dead fan",
        miners=("B-R1-03",),
        begins=at(2, 3),
        ends=at(2, 20),
        says=lambda minutes: {"fan_speeds": [5_400, 0, 5_900, 5_900], "temperature_max": 79.0},
    ),
    Incident(name="planned work", miners=rack("B", "R2"), begins=at(2, 8), ends=at(2, 11, 40), says=is_off),
    Incident(name="slow degradation", miners=("A-R2-05",), begins=at(3, 0), ends=at(4, 12), says=fading),
    Incident(name="reboot loop", miners=("B-R1-09",), begins=at(3, 15), ends=at(3, 16, 30), says=restarting),
    Incident(name="flapping link", miners=("s-07",), begins=at(4, 18), ends=at(5, 0), says=flapping),
    Incident(
        name="pool outage",
        miners=NORTH,
        begins=at(5, 6),
        ends=at(5, 9),
        says=lambda minutes: {"hashrate_ghs": 60_000.0, "hashrate_5s_ghs": 0.0},
    ),
    Incident(name="stolen hash rate", miners=("A-R1-02",), begins=at(6, 20), ends=at(6, 23), says=lambda minutes: {"pool_url": THIEF}),
    Incident(name="bad link to the pool", miners=("A-R2-01",), begins=at(7, 2), ends=at(7, 6), says=rejecting),
)
COLLECTOR_REBOOT = (at(6, 12), at(6, 13, 20))
PLANNED = (at(2, 7, 50), at(2, 12))


def soon(moment: datetime, minutes: int = 75) -> tuple[datetime, datetime]:
    return moment, moment + timedelta(minutes=minutes)


TABLE = (
    Expected(
        incident="rack breaker",
        rule="miner-offline",
        site="north",
        scope="rack",
        key="A/R1",
        miners=10,
        opens=soon(at(1, 10), 40),
        ends=soon(at(1, 14), 40),
    ),
    Expected(
        incident="dead fan", rule="fan-failed", site="north", scope="miner", key="B-R1-03", opens=soon(at(2, 3)), ends=soon(at(2, 20))
    ),
    Expected(
        incident="slow degradation",
        rule="hashrate-low",
        site="north",
        scope="miner",
        key="A-R2-05",
        opens=(at(3, 18), at(3, 24)),
        ends=soon(at(4, 12)),
    ),
    Expected(
        incident="reboot loop",
        rule="reboot-loop",
        site="north",
        scope="miner",
        key="B-R1-09",
        opens=soon(at(3, 15)),
        ends=soon(at(3, 16, 30), 90),
    ),
    Expected(
        incident="flapping link",
        rule="miner-offline",
        site="south",
        scope="miner",
        key="s-07",
        opens=soon(at(4, 18)),
        ends=soon(at(5, 0)),
        is_flapping=True,
    ),
    Expected(
        incident="pool outage",
        rule="hashrate-low",
        site="north",
        scope="pool",
        key="eu.pool.example",
        miners=40,
        opens=soon(at(5, 6)),
        ends=soon(at(5, 9)),
    ),
    Expected(
        incident="collector reboot",
        rule="collector-silent",
        site="north",
        scope="site",
        miners=0,
        opens=soon(at(6, 12), 60),
        ends=soon(at(6, 13, 20), 40),
    ),
    Expected(
        incident="stolen hash rate",
        rule="wrong-pool",
        site="north",
        scope="miner",
        key="A-R1-02",
        opens=soon(at(6, 20)),
        ends=soon(at(6, 23)),
    ),
    Expected(
        incident="bad link to the pool",
        rule="rejects-high",
        site="north",
        scope="miner",
        key="A-R2-01",
        opens=soon(at(7, 2)),
        ends=soon(at(7, 6)),
    ),
)


class Week:
    """Two farms under the default rules: the north behind a collector, the south polled by this server."""

    def __init__(self) -> None:
        self.chance = random.Random(7)
        model = make_miner_model("Antminer S19", boards=3, fans=4)
        interval = int(STEP.total_seconds())
        self.north = Farm(make_site("north", collection=Site.Collection.COLLECTOR, interval_seconds=interval), collector=True)
        self.south = Farm(make_site("south", collection=Site.Collection.SERVER, interval_seconds=interval))
        for zone in "AB":
            for name in ("R1", "R2"):
                self.north.add_rack(zone, name, 10, model=model)
        self.south.add(*[f"s-{number:02}" for number in range(1, 11)], model=model, ip_address="10.9.0.1")
        self.names = {farm: [miner.miner_id for miner in Miner.objects.filter(site=farm.site)] for farm in (self.north, self.south)}
        machine = (RuleKind.DISK_LOW, RuleKind.PARTITIONS_LOW)  # of the machine that runs this and of today, not of the farm's week
        AlertRule.objects.filter(kind__in=machine).delete()
        Silence.objects.create(
            site=self.north.site, zone="B", rack="R2", is_maintenance=True, starts_at=PLANNED[0], ends_at=PLANNED[1], reason="cleaning"
        )

    def rounds(self) -> Iterator[datetime]:
        """Each round of the week, when it is over; whoever tells people of alerts goes on from there."""
        now = at(1, 0)
        while now < at(8, 0):
            now += STEP
            self._round(now)
            yield now

    def _round(self, now: datetime) -> None:
        for farm in (self.north, self.south):
            farm.now, farm.says = now, {}
            for name in self.names[farm]:
                farm.says[name] = self._healthy()
            for incident in INCIDENTS:
                if incident.begins <= now < incident.ends:
                    minutes = (now - incident.begins) // timedelta(minutes=1)
                    for name in set(incident.miners) & farm.says.keys():
                        farm.says[name] = {**farm.says[name], **incident.says(minutes)}
        self.north.is_silent = COLLECTOR_REBOOT[0] <= now < COLLECTOR_REBOOT[1]
        for farm in (self.north, self.south):
            farm.report()
        JobLease.objects.update_or_create(name="poll:south", defaults={"succeeded_at": now})
        if now.minute == 0:  # coverage and steps look at hours
            roll_up(now)
        assert evaluate(now).failed == {}

    def _healthy(self) -> dict[str, Any]:
        """Real miners are never still: a few per cent of hash rate, a few degrees."""
        chance = self.chance
        return {
            "hashrate_ghs": 94_000.0 + chance.uniform(-2_500, 2_500),
            "hashrate_5s_ghs": 94_000.0 + chance.uniform(-12_000, 12_000),
            "temperature_max": 70.0 + chance.uniform(-5, 5),
            "fan_speeds": [5_400 + chance.randrange(300) for _ in range(4)],
            "power_consumption": 3_250.0 + chance.uniform(-80, 80),
            "pool_url": POOL,
            "boards_total": 3,
            "boards_healthy": 3,
        }


def fits(alert: Alert, expected: Expected) -> bool:
    key = alert.miner.miner_id if alert.miner else alert.scope_key
    same = (alert.rule.slug, alert.site.code, alert.scope, key) == (expected.rule, expected.site, expected.scope, expected.key)
    opened = expected.opens[0] <= alert.opened_at <= expected.opens[1]
    over = alert.resolved_at is not None and expected.ends[0] <= alert.resolved_at <= expected.ends[1]
    most = alert.details.get("miners_at_most", 0)
    return same and opened and over and most == expected.miners and alert.is_flapping == expected.is_flapping


def in_words(alert: Alert) -> str:
    key = alert.miner.miner_id if alert.miner else alert.scope_key
    times = f"{alert.opened_at:%d %H:%M} – {alert.resolved_at:%d %H:%M}" if alert.resolved_at else f"{alert.opened_at:%d %H:%M} –"
    return f"{alert.rule.slug} {alert.site.code} {alert.scope} {key} ×{alert.details.get('miners_at_most', 0)} {times}"


MAIL_AWAY, HOOK_AWAY = (at(1, 10), at(1, 12)), (at(5, 6), at(5, 8))


def told_of(alert: Alert) -> list[str]:
    """What a channel hears of it: that it began and that it is over, and of one that comes and goes each time until it is known to."""
    times = alert.details.get("times", 1)
    return ["opened", "resolved"] * times


def test_a_week_of_incidents_raises_the_alerts_of_the_table_and_no_more_and_tells_of_each_once(settings):
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    week = Week()
    with MailServer() as mail, WebhookServer() as hooks:
        make_channel(hooks.url(), name="everything")
        duty = make_channel(mail.url, name="the north, by mail", sites=[week.north.site], minimum_severity="warning")
        make_receiver(duty, make_staff("duty"))
        for now in week.rounds():
            mail.running(not MAIL_AWAY[0] <= now < MAIL_AWAY[1])
            hooks.status = 503 if HOOK_AWAY[0] <= now < HOOK_AWAY[1] else 200
            notify(now=now)

    alerts = list(Alert.objects.select_related("rule", "site", "miner").order_by("opened_at"))
    left = [in_words(alert) for alert in alerts if not any(fits(alert, expected) for expected in TABLE)]
    missed = [expected.incident for expected in TABLE if sum(fits(alert, expected) for alert in alerts) != 1]
    assert (left, missed) == ([], [])
    assert len(alerts) == len(TABLE)

    by_hook = {
        alert.pk: [told["event"] for hook in hooks.hooks for told in hook.payload["alerts"] if told["id"] == alert.pk] for alert in alerts
    }
    assert by_hook == {alert.pk: told_of(alert) for alert in alerts}
    by_mail = {
        alert.pk: sum(f"/alerts/alert/{alert.pk}/overview/" in sent.text for sent in mail.to("duty@example.com")) for alert in alerts
    }
    assert by_mail == {alert.pk: len(told_of(alert)) if alert.site == week.north.site else 0 for alert in alerts}
    assert hooks.refused > 0
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}
