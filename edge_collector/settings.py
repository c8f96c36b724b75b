"""What can be set, section by section: each field with its default, its bounds and a line for people."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TypeVar

Value = TypeVar("Value")


def setting(default: Value, *, says: str, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Value:
    """A field of a section. `says` is its line in the written configuration and in error messages."""
    limits = {"says": says, "low": low, "high": high, "choices": choices}
    made: Value = field(default=default, metadata=limits)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str = setting("", says="address of your HashInsight, such as https://farm.example")
    site_id: str = setting("", says="code of the site that the key belongs to")
    zone_id: str = setting("", says="zone of this collector when a site has several; empty when it has one")
    device_id: str = setting(socket.gethostname()[:100], says="name of this collector, unlike any other of the site")
    key_file: str = setting("collector.key", says="file that holds the collector key, readable by its owner alone")
    ca_file: str = setting("", says="certificates to trust beside the system's, for a server with its own authority")
    proxy: str = setting("", says="http://[user:password@]host:port; empty takes HTTPS_PROXY and NO_PROXY; 'none' uses no proxy")
    allow_http: bool = setting(False, says="send the key over plain HTTP to another machine: whoever listens can read it")
    timeout_s: float = setting(30.0, low=0.2, high=600, says="seconds that one request may take altogether")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    interval_s: float = setting(60.0, low=0.2, high=3600, says="seconds from one round to the next")
    jitter_s: float = setting(10.0, low=0, high=600, says="each round starts up to so many seconds earlier or later")
    deadline_s: float = setting(50.0, low=0.1, high=3600, says="seconds after which a round ends, whoever has not answered")
    patience_s: float = setting(5.0, low=0.1, high=60, says="seconds that a slow miner is waited for")
    most_in_flight: int = setting(500, low=1, high=20_000, says="connections to miners at once")
    hand_over_s: float = setting(10.0, low=0.1, high=600, says="readings of a long round are kept and sent after so many seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Miners:
    csv: str = setting("", says="CSV file with miner_id, ip_address and, as known, port, serial_number, mac_address, worker_name, password")
    ranges: tuple[str, ...] = setting((), says='address ranges to search for miners, such as ["10.1.0.0/22"]')
    port: int = setting(4028, low=1, high=65_535, says="API port of miners that are given without one")
    names: str = setting(
        "serial",
        choices=("serial", "mac", "worker"),
        says="what a miner found in a range is called by; the others are tried when it is unknown",
    )
    rediscover_after: int = setting(3, low=1, high=1000, says="rounds that a miner is silent before the ranges are searched for it")
    rediscover_minutes: float = setting(60.0, low=0.01, high=10_080, says="the ranges are searched that often, and not more often")
    send_addresses: bool = setting(False, says="tell the server the miners' addresses; otherwise they stay at the farm")
    password_file: str = setting("", says="file with the admin password of miners that want one (Whatsminer), unless the CSV has theirs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    directory: str = setting("data", says="folder for what is kept on disk")
    max_mb: float = setting(1000.0, low=0.05, high=1_000_000, says="megabytes kept at most; over it the oldest is dropped and reported")
    max_days: float = setting(7.0, low=0.0001, high=3650, says="days kept at most; what is older is dropped and reported")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    max_records: int = setting(5000, low=1, high=5000, says="records in one upload")
    backoff_s: float = setting(1.0, low=0.01, high=600, says="wait after a first failure; doubles with each, up to backoff_max_s")
    backoff_max_s: float = setting(60.0, low=0.05, high=3600, says="longest wait between two attempts")
    heartbeat_s: float = setting(60.0, low=0.2, high=3600, says="seconds between two heartbeats")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    enabled: bool = setting(True, says="carry out commands that the server hands out for miners of this inventory")
    poll_s: float = setting(5.0, low=0.1, high=3600, says="seconds between two questions for commands")
    most_at_once: int = setting(64, low=1, high=500, says="miners that are commanded at the same time")
    effect_s: float = setting(300.0, low=0.1, high=1800, says="seconds that the effect of a command is waited for")


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    enabled: bool = setting(False, says="act on overheated miners from here, also while the server is away")
    action: str = setting("disable", choices=("disable", "restart", "report"), says="what is done with a miner that is too hot")
    act_at_c: float = setting(95.0, low=30, high=150, says="hottest reading in °C from which on a miner is too hot")
    clear_at_c: float = setting(75.0, low=0, high=149, says="hottest reading in °C at which it has cooled down")
    readings: int = setting(2, low=1, high=100, says="readings in a row that must be too hot (or cool) before anything is done")
    enable_again: bool = setting(False, says="enable a miner that was disabled here once it has cooled down")
    most_per_round: int = setting(20, low=1, high=10_000, says="miners acted on in one round at most")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    enabled: bool = setting(True, says="status page and /metrics for this machine")
    host: str = setting("127.0.0.1", says="loopback address they are served at")
    port: int = setting(8428, low=0, high=65_535, says="their port; 0 takes a free one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    level: str = setting("INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), says="least important lines that are written")
    form: str = setting("text", choices=("text", "json"), says="form of the lines on standard error")
