"""GET /api/collector/alerts: whose alerts, filtered how, in which pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from alerts.models import Alert, RuleKind
from tests.alerts.farm import make_alert, make_rule
from tests.makers import NOON, make_key, make_miner, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db

ADDRESS = "/api/collector/alerts"


@pytest.fixture
def collector(site) -> Client:
    return Client(headers={"X-Collector-Key": make_key(site)[1]})


def raised(site, kind=RuleKind.MINER_OFFLINE, **fields) -> Alert:
    return make_alert(make_rule(kind, severity=fields.pop("severity", "warning")), miners=[make_miner(site)], **fields)


def ids(client: Client, **query) -> list[int]:
    answer = client.get(ADDRESS, query)
    assert answer.status_code == 200, answer.content
    return [alert["id"] for alert in answer.json()["alerts"]]


def test_key_is_answered_with_the_alerts_of_its_site(collector, site):
    mine = raised(site, value=7.0)
    raised(make_site())
    make_alert(make_rule(RuleKind.DISK_LOW))

    answer = collector.get(ADDRESS).json()

    assert {name: answer[name] for name in ("success", "count", "page", "page_size", "pages")} == {
        "success": True,
        "count": 1,
        "page": 1,
        "page_size": 100,
        "pages": 1,
    }
    (alert,) = answer["alerts"]
    assert alert["url"].endswith(f"/admin/alerts/alert/{mine.pk}/overview/")
    assert alert["headline"].startswith("North farm, ")
    assert {name: alert[name] for name in ("site_id", "kind", "severity", "state", "miner_id", "miners", "value", "resolved_at")} == {
        "site_id": "north",
        "kind": "miner_offline",
        "severity": "warning",
        "state": "open",
        "miner_id": mine.miner.miner_id,
        "miners": 1,
        "value": 7.0,
        "resolved_at": None,
    }


def test_staff_see_their_sites_and_superusers_this_server_too(client, site):
    mine = raised(site)
    other = raised(make_site())
    server = make_alert(make_rule(RuleKind.DISK_LOW))

    client.force_login(make_staff(sites=(site,), permissions=("alerts.view_alert",)))
    assert ids(client) == [mine.pk]
    client.force_login(make_staff(sites=(site,)))
    assert client.get(ADDRESS).status_code == 403
    client.force_login(make_superuser())
    assert set(ids(client)) == {mine.pk, other.pk, server.pk}


def test_filters_narrow_the_list(collector, site):
    late = NOON + timedelta(hours=1)
    opened = raised(site, severity="critical")
    taken = raised(site, state=Alert.State.ACKNOWLEDGED)
    over = raised(site, state=Alert.State.RESOLVED, resolved_at=late, changed_at=late)

    assert ids(collector, state="open") == [opened.pk]
    assert ids(collector, state="acknowledged") == [taken.pk]
    assert set(ids(collector, state="not_over")) == {opened.pk, taken.pk}
    assert ids(collector, state="resolved") == [over.pk]
    assert ids(collector, severity="critical") == [opened.pk]
    assert ids(collector, since=late.isoformat()) == [over.pk]
    assert ids(collector, site="south") == []


def test_pages_follow_each_other_newest_first(collector, site):
    alerts = [raised(site, opened_at=NOON + timedelta(minutes=number)) for number in range(5)]
    expected = [alert.pk for alert in reversed(alerts)]

    pages = [ids(collector, page=page, page_size=2) for page in (1, 2, 3, 4)]

    assert pages == [expected[:2], expected[2:4], expected[4:], []]


@pytest.mark.parametrize("query", [{"state": "shut"}, {"severity": "dreadful"}, {"since": "yesterday"}, {"page": 0}, {"page_size": 5000}])
def test_what_cannot_be_read_is_refused_with_its_field(collector, query):
    answer = collector.get(ADDRESS, query)

    assert answer.status_code == 400
    assert next(iter(query)) in answer.json()["error"]


def test_page_costs_the_same_queries_whatever_its_length(collector, site, django_assert_max_num_queries):
    for _ in range(20):
        raised(site)
    with django_assert_max_num_queries(6):
        assert len(ids(collector)) == 20
