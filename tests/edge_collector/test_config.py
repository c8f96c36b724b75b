"""The configuration: what is read from where, and what is said of mistakes."""

from __future__ import annotations

import pytest

from edge_collector.config import ConfigError, load
from edge_collector.inventory import given_machines
from tests.edge_collector.makers import KEY

GOOD = """
[server]
url = "https://farm.example"
site_id = "north"
[miners]
ranges = ["10.1.0.0/24"]
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="edge-collector.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def problems_of(path, environment=None):
    with pytest.raises(ConfigError) as caught:
        load(path, environment or {})
    return caught.value.problems


def test_little_is_enough(file):
    config = load(file(GOOD), {})
    assert (config.loop.interval_s, config.loop.jitter_s, config.miners.send_addresses, config.safety.enabled) == (60, 10, False, False)


def test_environment_counts_more_than_the_file_and_is_enough_alone(file, tmp_path):
    variables = {"EDGE_SERVER_URL": "https://other.example", "EDGE_LOOP_INTERVAL_S": "30", "EDGE_MINERS_SEND_ADDRESSES": "true"}
    config = load(file(GOOD), variables)
    assert (config.server.url, config.loop.interval_s, config.miners.send_addresses) == ("https://other.example", 30, True)
    alone = {"EDGE_SERVER_URL": "https://a.example", "EDGE_SERVER_SITE_ID": "s", "EDGE_MINERS_RANGES": "10.0.0.0/24, 10.0.1.0/24"}
    assert load(tmp_path / "none.toml", alone).miners.ranges == ("10.0.0.0/24", "10.0.1.0/24")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[loop]\ninterval = 30", "[loop] interval: there is no such setting. Did you mean interval_s?"),
        ('[loop]\ninterval_s = "60"', "must be a number without quotes"),
        ("[loop]\ninterval_s = 0", "must be from 0.2 to 3600"),
        ("[loop]\ninterval_s = 15", "jitter_s: 10 must be at most half of interval_s (15)"),
        ("[safety]\nenabled = 1", "must be true or false"),
        ('[safety]\naction = "explode"', 'action: "explode" must be one of disable, restart, report'),
        ("[safety]\nclear_at_c = 96", "clear_at_c: 96 must be lower than act_at_c (95)"),
        ('[status]\nhost = "0.0.0.0"', "0.0.0.0 is not of loopback"),
        ("[sever]\n", "[sever] is no section"),
        ('[[miner]]\nminer_id = "a"\nipaddress = "10.0.0.1"', "ipaddress: no such entry. Did you mean ip_address?"),
        ("[uplink]\nmax_records = 2.5", "must be a whole number"),
    ],
)
def test_mistake_is_named_with_its_place_and_its_remedy(file, line, words):
    path = file(GOOD + line)
    (problem,) = problems_of(path)
    assert words in problem
    assert problem.startswith(str(path))


def test_all_mistakes_are_told_at_once(file):
    assert len(problems_of(file(GOOD + '[loop]\ninterval_s = "x"\njitter = 1\n[spool]\nmax_mb = -1'))) == 3


def test_plain_http_to_another_machine_is_refused_unless_allowed(file):
    text = GOOD.replace("https", "http")
    assert "plain http shows the key" in problems_of(file(text))[0]
    assert load(file(text.replace("[miners]", "allow_http = true\n[miners]")), {}).server.allow_http


def test_what_is_no_toml_says_where(file):
    assert "line 2" in problems_of(file("[server]\nurl = https://x"))[0]


def test_key_is_read_from_its_file_or_the_environment(file, tmp_path):
    path = file(GOOD)
    (tmp_path / "collector.key").write_text(f"{KEY}\n")
    (tmp_path / "collector.key").chmod(0o600)
    assert load(path, {}).read_key() == KEY
    other = KEY.replace("k", "o")
    assert load(path, {"EDGE_KEY": other}).read_key() == other
    assert other not in repr(load(path, {"EDGE_KEY": other}))


@pytest.mark.parametrize(
    ("contents", "mode", "words"), [(KEY, 0o644, "chmod 600"), ("hello", 0o600, "no collector key"), (None, 0o600, "no such file")]
)
def test_key_file_that_cannot_be_used_says_why(file, tmp_path, contents, mode, words):
    path = file(GOOD)
    if contents is not None:
        (tmp_path / "collector.key").write_text(contents)
        (tmp_path / "collector.key").chmod(mode)
    with pytest.raises(ConfigError, match=words) as caught:
        load(path, {}).read_key()
    assert "hello" not in str(caught.value)


def test_miners_come_from_tables_and_from_a_spreadsheet(file):
    file("﻿Miner ID;IP;Port;MAC\nA-2;10.0.0.2;4029;aa-bb-cc-dd-ee-ff\n;;;\nA-3;10.0.0.3;;\n", "miners.csv")
    path = file(GOOD + 'csv = "miners.csv"\n[[miner]]\nminer_id = "A-1"\nip_address = "10.0.0.1"\n')
    machines = {machine.miner_id: machine for machine in given_machines(load(path, {}))}
    assert {name: str(machine.address) for name, machine in machines.items()} == {
        "A-1": "10.0.0.1:4028",
        "A-2": "10.0.0.2:4029",
        "A-3": "10.0.0.3:4028",
    }
    assert machines["A-2"].given.mac_address == "AA:BB:CC:DD:EE:FF"


def test_every_row_that_cannot_be_used_is_named(file):
    file("miner_id,ip_address,port\na,10.0.0,\nb,10.0.0.2,99999\na,10.0.0.3,\n,10.0.0.4,\na,10.0.0.5,\n", "miners.csv")
    with pytest.raises(ConfigError) as caught:
        given_machines(load(file(GOOD + 'csv = "miners.csv"\n'), {}))
    rows = [problem.partition(": ")[0].rpartition("row ")[2] for problem in caught.value.problems]
    assert rows == ["2", "3", "5", "6"]
