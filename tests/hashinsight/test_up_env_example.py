""".env.example and the code name the same variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.environment import settings_variables

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]


def test_every_variable_that_is_read_has_a_line_and_no_other_has() -> None:
    gunicorn = re.findall(r'os\.environ\.get\("([A-Z_]+)"', (ROOT / "deploy" / "gunicorn.conf.py").read_text())
    described = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert sorted(described) == sorted({*settings_variables(), *gunicorn})


def test_example_as_it_is_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
