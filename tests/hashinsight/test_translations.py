"""Every string people see is there in Chinese: ours, and Unfold's, which ships no translations."""

from __future__ import annotations

import ast
import gettext
import json
import re
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
import unfold
from django.test import RequestFactory
from django.utils import translation
from django.utils.translation.template import templatize
from django.views.i18n import JSONCatalog

from tests.web import ROOT

pytestmark = pytest.mark.once

APPS = ("alerts", "commands", "hashinsight", "market", "miners", "people", "preferences", "resilience", "sites", "telemetry")
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
IN_TEMPLATE = re.compile(r"""(?<![A-Za-z])(?:n?gettext|_)\(\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
DJANGO = Path(django.__file__).parent
OWN, UNFOLD = ROOT / "locale", ROOT / "locale" / "unfold"
CONTEXT_ENDS = "\x04"


def strings_of(folder: Path) -> set[str]:
    """The translatable strings of a folder's code and templates."""
    found: set[str] = set()
    for source in folder.rglob("*.py"):
        found |= set(in_code(source.read_text()))
    for template in folder.rglob("*.html"):
        found |= {ast.literal_eval(text) for text in IN_TEMPLATE.findall(templatize(template.read_text()))}
    return found - {""}


def in_code(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def translated(catalog: Path) -> set[str]:
    """The strings a compiled catalog has in Chinese; those that were left empty are not among them."""
    with (catalog / "zh_Hans" / "LC_MESSAGES" / "django.mo").open("rb") as compiled:
        entries = gettext.GNUTranslations(compiled)._catalog
    keys = {key[0] if isinstance(key, tuple) else key for key, text in entries.items() if text}
    return {key.rpartition(CONTEXT_ENDS)[2] for key in keys}


def translated_by_django() -> set[str]:
    return set().union(*(translated(DJANGO / app / "locale") for app in ("conf", "contrib/admin", "contrib/auth")))


def test_every_string_of_the_product_is_translated() -> None:
    wanted = set().union(*(strings_of(ROOT / app) for app in APPS))
    assert len(wanted) > 300
    missing = wanted - translated(OWN) - translated_by_django()
    assert missing == set(), "run scripts/messages and translate what is empty"


def test_every_string_of_unfold_is_translated() -> None:
    missing = strings_of(Path(unfold.__file__).parent) - translated(UNFOLD) - translated_by_django()
    assert missing == set(), "Unfold has new strings: translate them in locale/unfold"


@pytest.mark.parametrize("catalog", [OWN, UNFOLD], ids=["own", "unfold"])
def test_no_translation_is_left_fuzzy(catalog: Path) -> None:
    assert "#, fuzzy" not in (catalog / "zh_Hans" / "LC_MESSAGES" / "django.po").read_text()


@pytest.mark.parametrize("catalog", [OWN, UNFOLD], ids=["own", "unfold"])
def test_compiled_catalog_is_in_step_with_its_source(catalog: Path) -> None:
    source = (catalog / "zh_Hans" / "LC_MESSAGES" / "django.po").read_text()
    keys = re.findall(r'^msgid ((?:"(?:[^"\\]|\\.)*"\s*)+)', source, re.MULTILINE)
    written = {"".join(ast.literal_eval(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', key)) for key in keys} - {""}
    assert translated(catalog) - {""} == written


def test_every_string_of_the_admins_scripts_is_translated() -> None:
    scripts = (DJANGO / "contrib" / "admin" / "static" / "admin" / "js").glob("*.js")
    wanted = {text for script in scripts for text in re.findall(r"(?<![a-z])gettext\(\s*'([^']+)'", script.read_text())}
    with translation.override("zh-hans"):
        catalog = json.loads(JSONCatalog.as_view(packages=["django.contrib.admin"])(RequestFactory().get("/")).content)["catalog"]
    assert len(wanted) > 20
    assert wanted - set(catalog) == set(), "translate them in locale/zh_Hans/LC_MESSAGES/djangojs.po"
