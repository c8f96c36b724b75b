"""The configuration: one TOML file, and environment variables that count more.

`[server] url` is EDGE_SERVER_URL in the environment, and so on for every setting. The key comes from its file or from EDGE_KEY, never
from the command line, where every user of the machine could read it.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from edge_collector import settings

KEY_VARIABLE: Final = "EDGE_KEY"
SECTIONS: Final[Mapping[str, type[Any]]] = {
    "server": settings.Server,
    "loop": settings.Loop,
    "miners": settings.Miners,
    "spool": settings.Spool,
    "uplink": settings.Uplink,
    "commands": settings.Commands,
    "safety": settings.Safety,
    "status": settings.Status,
    "log": settings.Log,
}
_KEY: Final = re.compile(r"hsc_[A-Za-z0-9_-]{43}\Z")
_MINER_KEYS: Final = frozenset({"miner_id", "ip_address", "port", "serial_number", "mac_address", "worker_name", "password"})


class ConfigError(Exception):
    """The configuration cannot be used. `problems` are lines for a person: where, what, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that was set, with relative paths taken from the file's folder."""

    folder: Path
    server: settings.Server
    loop: settings.Loop
    miners: settings.Miners
    spool: settings.Spool
    uplink: settings.Uplink
    commands: settings.Commands
    safety: settings.Safety
    status: settings.Status
    log: settings.Log
    miner_list: tuple[Mapping[str, Any], ...] = ()
    """The `[[miner]]` tables, as they were written."""
    key_from_environment: str = field(default="", repr=False)

    @property
    def data(self) -> Path:
        return self.path(self.spool.directory)

    @property
    def key_file(self) -> Path:
        return self.path(self.server.key_file)

    def path(self, name: str) -> Path:
        return self.folder / Path(name).expanduser()

    def read_key(self) -> str:
        """The collector key. Raises ConfigError for a file that is missing, open to others or holds no key."""
        if self.key_from_environment:
            return _checked_key(self.key_from_environment, KEY_VARIABLE)
        return _checked_key(read_secret(self.key_file), str(self.key_file))


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check `path`; without such a file, the environment alone. Raises ConfigError with all that is wrong at once."""
    variables = os.environ if environment is None else environment
    document = _document(path)
    problems: list[str] = []
    values = {name: _section(name, kind, document, variables, str(path), problems) for name, kind in SECTIONS.items()}
    problems += [
        f"{path}: [{name}] is no section; those are {', '.join(SECTIONS)}, and [[miner]]." for name in document if not _known(name)
    ]
    miner_list = _miner_tables(document.get("miner", []), str(path), problems)
    if not problems:
        problems += _across_sections(values, miner_list, str(path))
    if problems and not path.exists():
        problems.insert(0, f"{path}: there is no such file; make one with 'edge-collector init', or name yours with --config.")
    if problems:
        raise ConfigError(problems)
    key = variables.get(KEY_VARIABLE, "").strip()
    return Config(folder=path.absolute().parent, miner_list=miner_list, key_from_environment=key, **values)


def read_secret(path: Path) -> str:
    """The stripped text of a file that only its owner may read. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError([f"{path}: other users can read this secret (mode {mode & 0o777:o}); run: chmod 600 {path}"])
        return path.read_text().strip()
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file; write the secret into it, or run 'edge-collector init'."]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read ({error}); check its owner and contents."]) from error


def is_key(text: str) -> bool:
    return _KEY.match(text) is not None


def _checked_key(key: str, where: str) -> str:
    if not is_key(key):
        raise ConfigError(
            [f"{where}: this is no collector key (hsc_ and 43 letters); make one in HashInsight under Sites, Collector keys."]
        )
    return key


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: this is not TOML: {error}. Text stands in quotes, lists in brackets."]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}."]) from error


def _known(name: str) -> bool:
    return name in SECTIONS or name == "miner"


def _section(name: str, kind: type[Any], document: Mapping[str, Any], variables: Mapping[str, str], path: str, problems: list[str]) -> Any:
    written = document.get(name, {})
    if not isinstance(written, dict):
        problems.append(f"{path}: {name} must be a section: write [{name}] on a line of its own.")
        return kind()
    names = {item.name for item in fields(kind)}
    problems += [f"{path}: [{name}] {key}: there is no such setting.{_did_you_mean(key, names)}" for key in written if key not in names]
    values: dict[str, Any] = {}
    for item in fields(kind):
        variable = f"EDGE_{name}_{item.name}".upper()
        if variable in variables:
            where, value = variable, _from_text(variables[variable], item.default)
        elif item.name in written:
            where, value = f"{path}: [{name}] {item.name}", written[item.name]
        else:
            continue
        problem = _problem(value, item.default, item.metadata)
        if problem:
            problems.append(f"{where}: {problem} ({item.metadata['says']}).")
        else:
            values[item.name] = _in_its_type(value, item.default)
    return kind(**values)


def _did_you_mean(name: str, names: set[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]}?" if close else f" Those of this section are {', '.join(sorted(names))}."


def _from_text(text: str, default: Any) -> Any:
    """What an environment variable says, in the type of the setting where it can be read as such."""
    readers: Mapping[type[Any], Callable[[str], Any]] = {
        bool: lambda word: {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(word.lower(), word),
        int: int,
        float: float,
        tuple: lambda words: [word.strip() for word in words.split(",") if word.strip()],
    }
    try:
        return readers.get(type(default), str)(text.strip())
    except ValueError:
        return text


def _problem(value: Any, default: Any, limits: Mapping[str, Any]) -> str | None:
    if isinstance(default, bool):
        return None if isinstance(value, bool) else f"{value!r} must be true or false"
    if isinstance(default, (int, float)):
        return _number_problem(value, default, limits)
    if isinstance(default, tuple):
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return None if right else f"{value!r} must be a list of texts in brackets"
    if not isinstance(value, str):
        return f"{value!r} must be text in quotes"
    if limits["choices"] and value not in limits["choices"]:
        return f'"{value}" must be one of {", ".join(limits["choices"])}'
    return None


def _number_problem(value: Any, default: float, limits: Mapping[str, Any]) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{value!r} must be a number without quotes"
    if isinstance(default, int) and value != int(value):
        return f"{value!r} must be a whole number"
    low, high = limits["low"], limits["high"]
    return None if low <= value <= high else f"{value!r} must be from {low:g} to {high:g}"


def _in_its_type(value: Any, default: Any) -> Any:
    return tuple(value) if isinstance(default, tuple) else type(default)(value)


def _miner_tables(tables: Any, path: str, problems: list[str]) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(f"{path}: miner must be tables: write [[miner]] before each one.")
        return ()
    for number, table in enumerate(tables, start=1):
        unknown = [key for key in table if key not in _MINER_KEYS]
        problems += [f"{path}: [[miner]] number {number}: {key}: no such entry.{_did_you_mean(key, set(_MINER_KEYS))}" for key in unknown]
    return tuple(tables)


def _across_sections(values: Mapping[str, Any], miner_list: tuple[Mapping[str, Any], ...], path: str) -> list[str]:
    """What is only wrong together."""
    server, loop, miners, safety, status = (values[name] for name in ("server", "loop", "miners", "safety", "status"))
    problems = _server_problems(server, path)
    if loop.jitter_s > loop.interval_s / 2:
        problems.append(f"{path}: [loop] jitter_s: {loop.jitter_s:g} must be at most half of interval_s ({loop.interval_s:g}).")
    if not (miner_list or miners.csv or miners.ranges):
        problems.append(f"{path}: no miners are given: set [miners] ranges or csv, or add [[miner]] tables.")
    if safety.clear_at_c >= safety.act_at_c:
        problems.append(f"{path}: [safety] clear_at_c: {safety.clear_at_c:g} must be lower than act_at_c ({safety.act_at_c:g}).")
    if not _is_loopback(status.host):
        problems.append(f"{path}: [status] host: {status.host} is not of loopback; the page has no password, so it is served at 127.0.0.1.")
    return problems


def _server_problems(server: settings.Server, path: str) -> list[str]:
    parts = urlsplit(server.url)
    if not server.url or parts.scheme not in ("https", "http") or not parts.hostname:
        return [f"{path}: [server] url: {server.url or 'nothing'} must be an address such as https://farm.example."]
    problems = []
    if parts.scheme == "http" and not server.allow_http and not _is_loopback(parts.hostname):
        problems.append(f"{path}: [server] url: plain http shows the key to whoever listens; use https, or set allow_http = true.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", server.site_id):
        problems.append(f"{path}: [server] site_id: {server.site_id or 'nothing'} must be the site's code as HashInsight shows it.")
    return problems


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
