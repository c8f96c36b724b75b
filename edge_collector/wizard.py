"""`edge-collector init`: asks what it must know and writes the configuration, readable by its owner alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from edge_collector.config import SECTIONS, Config, ConfigError, is_key, load
from edge_collector.discovery import addresses_in
from edge_collector.keys import write_secret


@dataclass(frozen=True, slots=True)
class Asker:
    """How a person is asked: `ask` shows the question and returns the line, `ask_secretly` does not show it, `say` answers."""

    ask: Callable[[str], str]
    ask_secretly: Callable[[str], str]
    say: Callable[[str], None]

    def until(self, question: str, problem: Callable[[str], str | None], *, default: str = "", secret: bool = False) -> str:
        """Ask again until there is no problem with the answer."""
        shown = f"{question} [{default}]: " if default else f"{question}: "
        while True:
            answer = (self.ask_secretly if secret else self.ask)(shown).strip() or default
            words = problem(answer)
            if words is None:
                return answer
            self.say(f"  {words}")


def init(path: Path, asker: Asker) -> Config:
    """Ask, write `path` and the key's file beside it. Raises ConfigError when there is a configuration already."""
    if path.exists():
        raise ConfigError([f"{path}: there is a configuration already; edit it, or move it away first."])
    server = {
        "url": asker.until("Address of your HashInsight (https://…)", _url_problem),
        "site_id": asker.until("Code of the site", _site_problem),
        "zone_id": asker.until("Zone, if the site has several collectors (empty: none)", lambda text: None),
    }
    key = asker.until("Collector key (hsc_…, not shown)", _key_problem, secret=True)
    where = asker.until("Miners: address ranges (10.1.0.0/22, …) or a CSV file", lambda text: _miners_problem(text, path.parent))
    miners = {"csv": where} if where.lower().endswith(".csv") else {"ranges": _split(where)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_secret(path.parent / "collector.key", key)
    write_secret(path, _document({"server": server, "miners": miners}))
    return load(path, {})


def _document(answers: Mapping[str, Mapping[str, object]]) -> str:
    """Every setting with its line: those that were answered in force, the others as comments that show their defaults."""
    lines = ["# The edge collector's configuration. Lines that begin with # show what holds without them."]
    for name, kind in SECTIONS.items():
        given = answers.get(name, {})
        lines += ["", f"[{name}]"]
        for item in fields(kind):
            value = given.get(item.name) or None
            shown = json.dumps(value if value is not None else _plain(item.default), ensure_ascii=False)
            lines += [f"# {item.metadata['says']}", f"{item.name} = {shown}" if value is not None else f"#{item.name} = {shown}"]
    lines += ["", "# A miner by hand:", "# [[miner]]", '# miner_id = "A-01-07"', '# ip_address = "10.1.0.7"']
    return "\n".join(lines)


def _plain(default: object) -> object:
    return list(default) if isinstance(default, tuple) else default


def _url_problem(text: str) -> str | None:
    parts = urlsplit(text)
    return None if parts.scheme in ("https", "http") and parts.hostname else "Write it with https:// in front, as in a browser."


def _site_problem(text: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,49}", text) else "Letters, digits, dots and dashes, as HashInsight shows it."


def _key_problem(text: str) -> str | None:
    return None if is_key(text) else "A key is hsc_ and 43 letters; copy it whole."


def _miners_problem(text: str, folder: Path) -> str | None:
    if text.lower().endswith(".csv"):
        return None if (folder / Path(text).expanduser()).exists() else f"There is no file {folder / text}."
    try:
        return None if addresses_in(_split(text), port=4028) else "Name one range at least."
    except ConfigError as error:
        return error.problems[0].partition(": ")[2]


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text.strip()) if part]
