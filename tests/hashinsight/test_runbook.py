"""docs/operations.md keeps its word: each row names a test that is there, each failure class and each event is one of the product's."""

from __future__ import annotations

import re

import pytest

from resilience.failures import ErrorClass
from tests.web import ROOT

pytestmark = pytest.mark.once
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
SOURCES = ("hashinsight", "telemetry", "resilience", "market", "commands", "sites")


def section(title: str) -> str:
    return RUNBOOK.partition(f"{title}\n")[2].partition("\n#")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table's rows, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize(("title", "count"), [("## When something is away", 10), ("### How long anybody is waited for", 8)])
def test_each_row_names_a_test_that_exists(title, count):
    found = rows(title)
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1]) for row in found]

    assert len(found) == count
    assert [row[0] for row, tests in zip(found, named, strict=True) if not tests] == []
    assert [name for tests in named for path, name in tests if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_each_test_of_the_chaos_suite_is_in_the_table():
    tests = re.findall(r"^def (test_\w+)", (ROOT / "tests" / "chaos" / "test_chaos.py").read_text(), re.MULTILINE)

    assert [name for name in tests if name not in section("## When something is away")] == []


def test_each_class_of_failure_has_its_row():
    assert {row[0].strip("`") for row in rows("### What goes wrong, by class")} == set(ErrorClass)


def test_each_event_that_it_names_is_logged_somewhere():
    code = "".join(path.read_text() for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    table = RUNBOOK.partition("| event | fields |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", " ".join(line.split(" | ")[0] for line in table.splitlines()))

    assert len(named) > 8
    assert [name for name in named if f'"{name}"' not in code and name != "request_failed"] == []
