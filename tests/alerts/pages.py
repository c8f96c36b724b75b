"""Looking at the pages of alerts as somebody, for the tests of what they show and do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert, AlertEvent, RuleKind
from sites.models import Site
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.told import happened
from tests.makers import make_miner, make_staff


def member_of(group: str, *sites: Site) -> Client:
    user = make_staff(sites=sites)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def raised(site: Site, *, miners: int = 1, severity: str = "critical", kind: RuleKind = RuleKind.MINER_OFFLINE, **fields: Any) -> Alert:
    now = timezone.now()
    times = {"opened_at": now, "changed_at": now, "seen_at": now}
    alert = make_alert(make_rule(kind, severity=severity), miners=[make_miner(site) for _ in range(miners)], **{**times, **fields})
    happened(alert, AlertEvent.Kind.OPENED, alert.opened_at)
    return alert


def page(client: Client, name: str, *args: Any, **query: Any) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


def act(client: Client, alert: Alert, action: str, **fields: Any) -> int:
    return client.post(reverse("console:alert_act", args=[alert.pk]), {"action": action, **fields}).status_code


def messages_of(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]
