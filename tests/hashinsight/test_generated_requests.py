"""Requests generated from the OpenAPI schema, good ones and broken ones: no server error, no status and no body that is not described."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from alerts.models import RuleKind
from commands.models import CommandType
from hashinsight.wsgi import application
from sites.models import CollectorKey, Site
from telemetry.models import MinerTelemetryHistory, MinerTelemetryLive
from tests.alerts.farm import make_alert, make_rule
from tests.makers import make_command, make_key, make_live, make_miner, make_site

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOKEN = "a" * 32
SHORT, LONG = 300, 20_000


@pytest.fixture
def callers(settings):
    """What lets a request in: of the collector and of a superuser. No request is stopped by its rate."""
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)
    site = make_site("north")
    miner = make_miner(site, "m1")
    make_live(miner)
    make_command(miner, CommandType.RESTART)
    make_alert(make_rule(RuleKind.MINER_OFFLINE), miners=[miner])
    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.create(username="root", is_staff=True, is_superuser=True))
    cookies = {"sessionid": client.cookies["sessionid"].value, "csrftoken": TOKEN}
    plain = {"Accept-Encoding": "identity", "Authorization": ""}  # without a network nothing unpacks a compressed answer
    return {
        "collector": {"headers": {**plain, "X-Collector-Key": make_key(site)[1], "X-Site-ID": ""}},
        "staff": {"headers": {**plain, "X-CSRFToken": TOKEN, "X-Collector-Key": ""}, "cookies": cookies},
    }


@pytest.fixture
def api(callers):
    schema = schemathesis.openapi.from_dict(json.loads(OpenApiJsonRenderer().render(SchemaGenerator().get_schema(public=True))))
    schema.app = application
    return schema


def caller_of(operation):
    schemes = {name for alternative in operation.definition.raw.get("security", []) for name in alternative}
    return "collector" if "collectorKey" in schemes else "staff"


def run(api, callers, *, requests):
    operations = [result.ok() for result in api.get_all_operations()]
    each = -(-requests // (2 * len(operations)))
    answers = Counter()
    for operation in operations:
        for mode in GenerationMode:
            ask(operation, mode, callers[caller_of(operation)], each=each, answers=answers)
    return answers


def ask(operation, mode, credentials, *, each, answers):
    @seed(20_260_301)
    @hypothesis_settings(
        max_examples=each, deadline=None, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def sent(case):
        response = case.call(**credentials)
        case.validate_response(response, checks=CHECKS)
        answers[operation.label, response.status_code] += 1

    try:
        sent()
    except schemathesis.errors.SchemathesisError as error:
        if "Cannot generate" not in str(error):  # nothing can be wrong with an address that takes nothing
            raise
    CollectorKey.objects.update(revoked_at=None, expires_at=None)
    Site.objects.update(is_active=True)


def assert_sound(answers):
    assert all(status < 500 for _, status in answers)
    assert sum(count for (label, status), count in answers.items() if "upload" in label and status == 200) > 5
    assert nothing_out_of_bounds()


def nothing_out_of_bounds():
    for model in (MinerTelemetryLive, MinerTelemetryHistory):
        for row in model.objects.values("hashrate_ghs", "temperature_max", "power_consumption", "uptime_seconds"):
            assert row["hashrate_ghs"] is None or 0 <= row["hashrate_ghs"] <= 1e12
            assert row["temperature_max"] is None or -50 <= row["temperature_max"] <= 150
            assert row["power_consumption"] is None or 0 <= row["power_consumption"] <= 100_000
            assert row["uptime_seconds"] is None or 0 <= row["uptime_seconds"] < 2**63
    return True


def test_generated_requests_get_described_answers(api, callers):
    assert_sound(run(api, callers, requests=SHORT))


@pytest.mark.slow
@pytest.mark.skipif("HASHINSIGHT_SLOW" not in os.environ, reason="20,000 requests: set HASHINSIGHT_SLOW=1")
def test_twenty_thousand_generated_requests_get_described_answers(api, callers):
    answers = run(api, callers, requests=LONG)

    assert answers.total() >= LONG
    assert_sound(answers)
