"""The OpenAPI schema: complete, without warnings, for staff, and its pages served from this machine."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from tests.makers import make_key, make_site, make_staff

pytestmark = [pytest.mark.once, pytest.mark.django_db]


@pytest.fixture
def staff():
    client = Client()
    client.force_login(make_staff(sites=(make_site(),)))
    return client


@pytest.fixture
def schema(staff):
    return json.loads(staff.get("/api/schema/?format=json").content)


def test_schema_is_made_without_a_warning_and_is_valid():
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=out)

    assert out.getvalue().startswith("openapi: 3.1.")


def test_each_operation_has_a_summary_and_describes_its_errors(schema):
    operations = {f"{method} {path}": operation for path, item in schema["paths"].items() for method, operation in item.items()}

    assert {"post /api/collector/upload", "get /api/collector/commands/pending", "post /api/collector/keys"} <= set(operations)
    assert [name for name, operation in operations.items() if not {"401", "429", "503"} <= set(operation["responses"])] == []
    assert [name for name, operation in operations.items() if not operation.get("security")] == []


def test_addresses_are_listed_once_without_their_twin(schema):
    assert [path for path in schema["paths"] if path.endswith("/")] == []


def test_upload_is_described_by_the_model_that_reads_it(schema):
    content = schema["paths"]["/api/collector/upload"]["post"]["requestBody"]["content"]["application/json"]
    array, envelope = content["schema"]["oneOf"]
    record = array["items"]

    assert array["maxItems"] == 5_000
    assert record["required"] == ["miner_id"]
    assert record["properties"]["temperature_max"]["anyOf"][0] == {"type": "number", "minimum": -50, "maximum": 150}
    assert envelope["properties"]["records"]["items"] == record
    assert {"Array", "Envelope"} <= set(content["examples"])


def test_examples_of_the_schema_are_accepted_as_they_stand(schema):
    examples = schema["paths"]["/api/collector/upload"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    client = Client(headers={"X-Collector-Key": make_key(make_site("north"))[1]})
    for example in examples.values():
        text = json.dumps(example["value"]).replace("2026-11-24T06:26:32.746427", "")
        answer = client.post("/api/collector/upload", text, content_type="application/json").json()
        assert answer["errors"] == []


def test_pages_load_nothing_from_elsewhere(staff):
    page = staff.get("/api/docs/").content.decode()

    assert re.findall(r"(?:https?:)?//[^\s\"']+", page.replace("http://testserver", "")) == []
    assert "/static/drf_spectacular_sidecar/" in page


@pytest.mark.parametrize("address", ["/api/docs/", "/api/schema/"])
def test_schema_is_not_for_everybody(address):
    assert Client().get(address).status_code == 302
    assert Client(headers={"X-Collector-Key": make_key()[1]}).get(address).status_code == 302
