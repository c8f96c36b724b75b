"""An alert in words, in the active language: one line for a subject or a list, and the paragraph of a message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from alerts.advice import advice_for
from alerts.models import Alert, AlertMember, RuleKind
from alerts.units import BELOW, with_unit

NAMED_MINERS = 10

OF_ONE = {
    RuleKind.MINER_OFFLINE: gettext_lazy("miner offline"),
    RuleKind.HASHRATE_LOW: gettext_lazy("hash rate low"),
    RuleKind.TEMPERATURE_HIGH: gettext_lazy("too hot"),
    RuleKind.FAN_FAILED: gettext_lazy("fan stands still"),
    RuleKind.BOARD_LOST: gettext_lazy("hashboard lost"),
    RuleKind.CHIPS_LOST: gettext_lazy("chips lost"),
    RuleKind.REJECTS_HIGH: gettext_lazy("pool rejects many shares"),
    RuleKind.WRONG_POOL: gettext_lazy("mines at another pool"),
    RuleKind.WRONG_WORKER: gettext_lazy("mines for another worker"),
    RuleKind.REBOOT_LOOP: gettext_lazy("restarts again and again"),
    RuleKind.POWER_HIGH: gettext_lazy("draws too much power"),
    RuleKind.CLOCK_SKEW: gettext_lazy("collector's clock is wrong"),
    RuleKind.COLLECTOR_SILENT: gettext_lazy("collector silent"),
    RuleKind.POLLER_STOPPED: gettext_lazy("poller stopped"),
    RuleKind.SCHEDULER_STOPPED: gettext_lazy("background job stopped"),
    RuleKind.COVERAGE_LOW: gettext_lazy("readings are missing"),
    RuleKind.SITE_HASHRATE_STEP: gettext_lazy("hash rate fell at once"),
    RuleKind.SITE_POWER_STEP: gettext_lazy("power jumped"),
    RuleKind.DISK_LOW: gettext_lazy("disk nearly full"),
    RuleKind.PARTITIONS_LOW: gettext_lazy("partitions run out"),
    RuleKind.BREAKER_OPEN: gettext_lazy("outside service does not answer"),
    RuleKind.COMMAND_NOT_VERIFIED: gettext_lazy("command had no effect"),
}
"""What is wrong with one miner, one site or the server."""

OF_MANY = {
    RuleKind.MINER_OFFLINE: gettext_lazy("{miners} offline"),
    RuleKind.HASHRATE_LOW: gettext_lazy("low hash rate of {miners}"),
    RuleKind.TEMPERATURE_HIGH: gettext_lazy("{miners} too hot"),
    RuleKind.FAN_FAILED: gettext_lazy("fans stand still in {miners}"),
    RuleKind.BOARD_LOST: gettext_lazy("hashboards lost in {miners}"),
    RuleKind.CHIPS_LOST: gettext_lazy("chips lost in {miners}"),
    RuleKind.REJECTS_HIGH: gettext_lazy("many rejected shares of {miners}"),
    RuleKind.WRONG_POOL: gettext_lazy("{miners} at another pool"),
    RuleKind.WRONG_WORKER: gettext_lazy("{miners} for another worker"),
    RuleKind.REBOOT_LOOP: gettext_lazy("{miners} restarting again and again"),
    RuleKind.POWER_HIGH: gettext_lazy("too much power drawn by {miners}"),
    RuleKind.COMMAND_NOT_VERIFIED: gettext_lazy("commands without effect on {miners}"),
}


def headline(alert: Alert) -> str:
    """Where, what and how bad, in one line: "North farm, rack A/R07: 18 miners offline"."""
    text = f"{_where(alert)}: {_what(alert)}"
    value = with_unit(alert.rule.kind, alert.value)
    return f"{text} ({value})" if value else text


def describe(alert: Alert) -> list[str]:
    """What, where with place, how many miners, value against threshold, since when, what to do; a line each, in this order."""
    lines = [
        f"{alert.rule}: {_what(alert)}.",
        _place(alert),
        _members(alert),
        _measure(alert),
        _since(alert),
        _not_heard(alert),
        *_facts(alert),
        str(advice_for(alert.rule.kind)),
    ]
    return [line for line in lines if line]


def local_time(alert: Alert, moment: datetime) -> str:
    """A time as people at the alert's site read it, with the name of their time zone."""
    zone = alert.site.timezone if alert.site else settings.TIME_ZONE
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _what(alert: Alert) -> str:
    kind = RuleKind(alert.rule.kind)
    if alert.scope != Alert.Scope.MINER and kind in OF_MANY:
        count = alert.member_count or int(alert.details.get("miners_at_most", 0))
        return str(OF_MANY[kind]).format(miners=ngettext("%(count)d miner", "%(count)d miners", count) % {"count": count})
    return str(OF_ONE[kind])


def _where(alert: Alert) -> str:
    site = alert.site.name if alert.site else _("This server")
    if alert.scope == Alert.Scope.MINER and alert.miner:
        return f"{site}, {alert.miner.miner_id}" + (f" ({alert.miner.place})" if alert.miner.place else "")
    if alert.scope in (Alert.Scope.SITE, Alert.Scope.SYSTEM):
        return f"{site}, {alert.scope_key}" if alert.scope_key else site
    return f"{site}, {alert.get_scope_display()} {alert.scope_key}"


def _place(alert: Alert) -> str:
    """Where to go: for one miner with its address and model."""
    miner = alert.miner
    if miner is None:
        return _("Where: %(where)s") % {"where": _where(alert)}
    parts = [_where(alert), miner.ip_address, miner.model.name if miner.model else ""]
    return _("Where: %(where)s") % {"where": " · ".join(part for part in parts if part)}


def _members(alert: Alert) -> str:
    if alert.scope in (Alert.Scope.MINER, Alert.Scope.SYSTEM) or not alert.member_count:
        return ""
    present = AlertMember.objects.filter(alert=alert, left_at=None).order_by("miner__miner_id")
    names = ", ".join(present.values_list("miner__miner_id", flat=True)[:NAMED_MINERS])
    more = alert.member_count - NAMED_MINERS
    listed = _("%(names)s and %(count)d more") % {"names": names, "count": more} if more > 0 else names
    if total := alert.details.get("total"):
        return _("Miners: %(count)d of %(total)d: %(names)s") % {"count": alert.member_count, "total": total, "names": listed}
    return _("Miners: %(count)d: %(names)s") % {"count": alert.member_count, "names": listed}


def _measure(alert: Alert) -> str:
    value = with_unit(alert.rule.kind, alert.value)
    limit = with_unit(alert.rule.kind, alert.details.get("threshold", alert.rule.threshold))
    if not value or not limit:
        return ""
    if alert.rule.kind in BELOW:
        return _("Value: %(value)s; alert below %(limit)s.") % {"value": value, "limit": limit}
    return _("Value: %(value)s; alert from %(limit)s.") % {"value": value, "limit": limit}


FACTS = {
    "fans": gettext_lazy("Fans that stand: {fact}"),
    "boards": gettext_lazy("Boards that do not hash: {fact}"),
    "pool": gettext_lazy("Pool in use: {fact}"),
    "commands": gettext_lazy("Commands: {fact}"),
    "note": gettext_lazy("Reason: {fact}"),
}
"""What the evaluation found out beside the value, by its name in an alert's details."""


def _facts(alert: Alert) -> Iterator[str]:
    for name, text in FACTS.items():
        fact = alert.details.get(name)
        if fact:
            yield str(text).format(fact=", ".join(map(str, fact)) if isinstance(fact, list) else fact)
    if free := alert.details.get("free_bytes"):
        yield _("Free: %(size)s") % {"size": filesizeformat(free)}
    if database := alert.details.get("database_bytes"):
        yield _("The database takes %(size)s.") % {"size": filesizeformat(database)}


def _since(alert: Alert) -> str:
    text = _("Since %(time)s.") % {"time": local_time(alert, alert.opened_at)}
    if alert.resolved_at:
        return f"{text} " + _("Over since %(time)s.") % {"time": local_time(alert, alert.resolved_at)}
    return text


def _not_heard(alert: Alert) -> str:
    """Silence is no recovery: the alert stays, and says that nobody knows."""
    since = alert.details.get("not_heard_since")
    if not since or alert.resolved_at:
        return ""
    return _("Not heard of since %(time)s: it stays open until a reading says otherwise.") % {
        "time": local_time(alert, datetime.fromisoformat(since))
    }
