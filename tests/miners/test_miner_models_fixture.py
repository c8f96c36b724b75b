"""The catalogue of miner models, read as the data it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

FIXTURE = Path(__file__).parents[2] / "fixtures" / "miner_models.json"
ENTRIES = json.loads(FIXTURE.read_text(encoding="utf-8"))
MODELS = [entry["fields"] for entry in ENTRIES]

COLUMNS = [
    "maker",
    "name",
    "slug",
    "aliases",
    "hashrate_ghs",
    "power_consumption",
    "efficiency",
    "boards",
    "fans",
    "chips_per_board",
    "cooling",
    "temperature_max",
    "frequency_min",
    "frequency_max",
    "capabilities",
    "released",
    "source",
]
COMMANDS = ["enable", "disable", "restart", "reboot", "set_pool", "set_fan", "set_frequency"]
FAMILIES = {
    "Bitmain": (
        "S9, S9i, S9j, S9k, T9+, S11, S15, S17, S17 Pro, S17+, T17, T17+, S19, S19 Pro, S19j, S19j Pro, S19j Pro+, S19 XP, S19k Pro, "
        "S19 Pro Hyd, S19 XP Hyd, S19a Pro, T19, S21, S21 Pro, S21 XP, S21+, S21 Hyd, S21 XP Hyd, S21+ Hyd, T21"
    ),
    "MicroBT": (
        "M20S, M21S, M30S, M30S+, M30S++, M31S, M31S+, M32, M33S++, M50, M50S, M50S+, M50S++, M53, M53S, M53S++, M56, M56S, M56S++, "
        "M60, M60S, M60S+, M60S++, M63, M63S, M63S+, M63S++, M66, M66S, M66S+, M66S++"
    ),
    "Canaan": (
        "A1047, A1066, A1126 Pro, A1146 Pro, A1166 Pro, A1246, A1346, A1366, A1466, A1566, A15 Pro, A15XP, Q, Nano 3, Nano 3S, Mini 3"
    ),
    "Bitdeer": "A2, A2 Pro",
    "Auradine": "AT2880, AH3880",
}


def violators(rule):
    return [model["name"] for model in MODELS if not rule(model)]


def squeezed(name):
    """A name as two firmwares may spell it: case, blanks and full stops aside."""
    return re.sub(r"[\s.]", "", name).lower()


def repeated(values):
    return [value for value, times in Counter(values).items() if times > 1]


def test_catalogue_has_at_least_sixty_models():
    assert len(MODELS) >= 60


@pytest.mark.parametrize("maker", FAMILIES)
def test_every_widespread_model_of_the_maker_is_there(maker):
    held = {model["name"].split(" ", 1)[1] for model in MODELS if model["maker"] == maker}
    assert set(FAMILIES[maker].split(", ")) - held == set()


def test_entries_are_miner_models_with_keys_that_count_from_one():
    assert [(entry["model"], entry["pk"]) for entry in ENTRIES] == [("miners.minermodel", key) for key in range(1, len(ENTRIES) + 1)]


def test_every_entry_has_exactly_the_columns_of_the_model():
    assert violators(lambda model: sorted(model) == sorted(COLUMNS)) == []


@pytest.mark.parametrize("column", ["name", "slug"])
def test_no_two_models_share_a_name_or_a_slug(column):
    assert repeated(squeezed(model[column]) for model in MODELS) == []


def test_no_reported_name_points_at_two_models():
    assert repeated(alias for model in MODELS for alias in {squeezed(alias) for alias in model["aliases"]}) == []


def test_every_model_is_found_under_a_reported_name():
    assert violators(lambda model: model["aliases"] and all(alias == alias.strip() != "" for alias in model["aliases"])) == []


def test_slug_is_the_name_with_plus_spelt_out():
    assert violators(lambda model: model["slug"] == "-".join(re.findall(r"[a-z0-9]+", model["name"].lower().replace("+", " plus ")))) == []


def test_efficiency_is_power_over_hash_rate():
    def watts_for_a_terahash(model):
        return model["power_consumption"] / (model["hashrate_ghs"] / 1000)

    assert violators(lambda model: model["efficiency"] == pytest.approx(watts_for_a_terahash(model), rel=0.025)) == []


def test_hash_rate_is_in_ghs_and_power_in_watts():
    """A rate left in TH/s or a power left in kW falls outside what any SHA-256 miner since 2016 has done."""
    assert violators(lambda model: 1_000 <= model["hashrate_ghs"] <= 2_000_000 and 50 <= model["power_consumption"] <= 15_000) == []


def test_hardware_counts_are_whole_and_plausible():
    assert violators(lambda model: model["boards"] in range(1, 13) and model["chips_per_board"] in {None, *range(1, 513)}) == []


def test_fans_are_counted_only_where_air_cools():
    fans = {"air": range(1, 5), "hydro": [0], "immersion": [0]}
    assert violators(lambda model: model["fans"] in fans[model["cooling"]]) == []


def test_capabilities_are_command_types_in_their_order():
    assert violators(lambda model: model["capabilities"] == [name for name in COMMANDS if name in model["capabilities"]]) == []


def test_fans_are_set_only_where_there_are_fans():
    assert violators(lambda model: model["fans"] > 0 or "set_fan" not in model["capabilities"]) == []


def test_frequency_is_set_only_within_a_known_range():
    def has_range(model):
        return None not in (model["frequency_min"], model["frequency_max"]) and 0 < model["frequency_min"] < model["frequency_max"]

    assert violators(lambda model: has_range(model) or "set_frequency" not in model["capabilities"]) == []


def test_temperature_limit_is_one_silicon_survives_or_unknown():
    assert violators(lambda model: model["temperature_max"] is None or 50 <= model["temperature_max"] <= 130) == []


def test_source_names_the_maker_the_bin_and_where_to_look():
    def is_a_source(model):
        bin_named = f"{model['hashrate_ghs'] / 1000:g} TH/s" in model["source"]
        return model["source"].startswith(model["maker"]) and bin_named and re.search(r"\.(com|io)\b", model["source"])

    assert violators(is_a_source) == []


def test_source_fits_its_column():
    assert violators(lambda model: len(model["source"]) <= 255) == []


def test_release_year_is_a_year_or_unknown():
    assert violators(lambda model: model["released"] in {None, *range(2016, 2027)}) == []
