from __future__ import annotations

import pytest

from miners.matching import ModelMatcher, assign_models
from miners.models import Miner, MinerModel
from tests.makers import make_miner, make_miner_model, make_site

pytestmark = pytest.mark.django_db


def matched(*models: MinerModel, reported: str) -> str | None:
    found = ModelMatcher(models).match(reported)
    return found.name if found else None


@pytest.fixture
def catalogue() -> list[MinerModel]:
    names = ["Antminer S19", "Antminer S19 Pro", "Antminer S19j Pro", "Antminer S19 XP Hyd", "Avalon A1246"]
    aliases = {"Avalon A1246": ["AvalonMiner 1246", "1246"], "Antminer S19 XP Hyd": ["Antminer S19 XP Hydro"]}
    models = [make_miner_model(name, aliases=aliases.get(name, [])) for name in names]
    return [
        *models,
        *(make_miner_model(f"Whatsminer {name}", slug=slug) for name, slug in [("M30S", "m30s"), ("M30S+", "m30sp"), ("M30S++", "m30spp")]),
    ]


@pytest.mark.parametrize(
    ("reported", "meant"),
    [
        ("Antminer S19 Pro", "Antminer S19 Pro"),
        ("antminer s19pro", "Antminer S19 Pro"),
        ("S19j Pro", "Antminer S19j Pro"),
        ("Antminer S19j Pro (Vnish 1.2.6)", "Antminer S19j Pro"),
        ("Antminer S19 95T", "Antminer S19"),
        ("Antminer S19 XP Hydro", "Antminer S19 XP Hyd"),
        ("Antminer S19 XP Hyd.", "Antminer S19 XP Hyd"),
        ("M30S+VE40", "Whatsminer M30S+"),
        ("M30S++_VH30", "Whatsminer M30S++"),
        ("WhatsMiner M30S V10", "Whatsminer M30S"),
        ("AvalonMiner 1246", "Avalon A1246"),
        ("1246-85T", "Avalon A1246"),
    ],
)
def test_name_a_firmware_reports_is_found_in_the_catalogue(catalogue: list[MinerModel], reported: str, meant: str):
    assert matched(*catalogue, reported=reported) == meant


@pytest.mark.parametrize("reported", ["Antminer S19 Pro+", "Antminer S190", "Antminer S19 Turbo", "M30S+++", "M30", "", "Bitaxe Gamma"])
def test_name_the_catalogue_does_not_have_is_nobody(catalogue: list[MinerModel], reported: str):
    assert matched(*catalogue, reported=reported) is None


def test_models_are_given_with_one_update_each_and_a_persons_choice_stays(django_assert_num_queries):
    s19, t21 = make_miner_model("Antminer S19"), make_miner_model("Antminer T21")
    site = make_site()
    first, second, third, chosen = (make_miner(site, model=model) for model in (None, None, None, t21))
    matcher = ModelMatcher.from_catalogue()
    reported = {first.pk: "Antminer S19", second.pk: "S19", third.pk: "who knows", chosen.pk: "Antminer S19"}
    with django_assert_num_queries(1):
        assert assign_models(reported, matcher=matcher) == 2
    assert dict(Miner.objects.values_list("pk", "model_id")) == {first.pk: s19.pk, second.pk: s19.pk, third.pk: None, chosen.pk: t21.pk}
