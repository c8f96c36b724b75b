from __future__ import annotations

import pytest
from django.utils import translation

from alerts.advice import ADVICE
from alerts.models import Alert, RuleKind
from alerts.wording import OF_ONE, describe, headline
from tests.alerts.farm import make_alert, make_rule
from tests.makers import make_miner, make_miner_model, make_miners, make_site

pytestmark = pytest.mark.django_db


def test_one_miners_alert_says_where_it_stands_and_its_value_against_the_threshold():
    site = make_site(name="North farm", timezone="Asia/Shanghai")
    model = make_miner_model("Antminer S19")
    miner = make_miner(site, "m7", zone="A", rack="R07", slot="12", ip_address="10.1.2.7", model=model)
    alert = make_alert(make_rule(RuleKind.TEMPERATURE_HIGH, threshold=90), miners=[miner], value=91.34, details={"threshold": 85.0})
    assert headline(alert) == "North farm, m7 (A / R07 / 12): too hot (91.3 °C)"
    text = describe(alert)
    assert text[:4] == [
        "temperature high: too hot.",
        "Where: North farm, m7 (A / R07 / 12) · 10.1.2.7 · Antminer S19",
        "Value: 91.3 °C; alert from 85 °C.",
        "Since 2026-03-01 20:00 Asia/Shanghai.",
    ]
    assert text[4].startswith("Check fans")


def test_a_racks_alert_counts_its_miners_and_names_the_first_ten():
    site = make_site(name="North farm")
    alert = make_alert(
        make_rule(RuleKind.MINER_OFFLINE, threshold=3),
        miners=make_miners(site, 12, zone="A", rack="R07"),
        scope=Alert.Scope.RACK,
        scope_key="A/R07",
        details={"total": 20},
    )
    assert headline(alert) == "North farm, rack A/R07: 12 miners offline"
    assert describe(alert)[2] == (
        "Miners: 12 of 20: m00001, m00002, m00003, m00004, m00005, m00006, m00007, m00008, m00009, m00010 and 2 more"
    )


def test_an_alert_whose_miner_fell_silent_says_that_nobody_knows():
    alert = make_alert(
        make_rule(RuleKind.TEMPERATURE_HIGH, threshold=90),
        miners=[make_miner()],
        details={"not_heard_since": "2026-03-01T11:58:00+00:00"},
    )
    assert "Not heard of since 2026-03-01 11:58 UTC: it stays open until a reading says otherwise." in describe(alert)


def test_what_was_found_beside_the_value_is_said():
    fan = make_alert(make_rule(RuleKind.FAN_FAILED, threshold=500), miners=[make_miner()], value=0.0, details={"fans": [2, 3]})
    assert "Fans that stand: 2, 3" in describe(fan)
    disk = make_alert(make_rule(RuleKind.DISK_LOW, threshold=10), value=4.2, details={"free_bytes": 4_200_000_000})
    assert "Value: 4.2 % free; alert below 10 % free." in describe(disk)
    assert any(line.startswith("Free: 3.9") for line in describe(disk))


@pytest.mark.parametrize("kind", RuleKind)
def test_every_kind_has_its_words_and_its_advice_in_both_languages(kind):
    alert = make_alert(make_rule(kind, threshold=1), site=make_site(), value=2.5)
    for language in ("en", "zh-hans"):
        with translation.override(language):
            assert all(describe(alert))
            assert headline(alert)
    assert {kind} <= ADVICE.keys() & OF_ONE.keys()


@pytest.mark.parametrize(("value", "words"), [(1, "(1 board missing)"), (2, "(2 boards missing)")])
def test_what_is_counted_is_worded_by_its_number(value: float, words: str) -> None:
    alert = make_alert(make_rule(RuleKind.BOARD_LOST, threshold=1), miners=[make_miner()], value=value)
    assert headline(alert).endswith(words)
