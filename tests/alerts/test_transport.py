"""One message to one address: what arrives, what is refused, and what is said when it does not arrive."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Iterator

import pytest

from alerts import transport
from alerts.egress import AddressRefused, Guard, guarded
from alerts.models import ChannelKind
from alerts.transport import AddressUnusable, Message, SendFailed
from tests.alerts.inboxes import MailServer, WebhookServer
from tests.ports import free_port

MESSAGE = Message(title="North: 24 miners offline", body="Rack A/R07\nhttps://farm.example/admin/", level="critical", alerts=[{"id": 7}])


@pytest.fixture
def loopback_allowed(settings) -> None:
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]


@pytest.fixture
def hooks() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        ("mailtos://user:pass-word@smtp.example.com?from=a@example.com", ChannelKind.EMAIL, "mailtos://smtp.example.com"),
        ("tgram://123456789:AAbbccddeeff-1234567890123456789abcd/-100123", ChannelKind.TELEGRAM, "tgram://…"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/", ChannelKind.SLACK, "slack://…"),
        (f"https://discord.com/api/webhooks/1234567890/{'aB3' * 22}", ChannelKind.DISCORD, "discord://…"),
        ("jsons://hooks.example.com/in/some-token", ChannelKind.WEBHOOK, "jsons://hooks.example.com"),
        ("ntfys://ntfy.example.com/farm-topic", ChannelKind.NTFY, "ntfys://…"),
        ("dingtalk://abcdef0123456789/", ChannelKind.DINGTALK, "dingtalk://…"),
    ],
)
def test_address_tells_its_kind_and_shows_no_secret(url, kind, target):
    address = transport.read_address(url)

    assert (address.kind, address.target) == (kind, target)


@pytest.mark.parametrize(
    "url",
    ["syslog://", "exec://ls", "file:///etc/passwd", "dbus://", "windows://", "https://example.com/hook", "not an address", "",
     "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd",
     "mailto://user:pass@example.com?pgpprv=/etc/ssl/key"],
)  # fmt: skip
def test_address_of_another_kind_is_refused(url):
    with pytest.raises(AddressUnusable):
        transport.read_address(url)


@pytest.mark.parametrize(("url", "said"), [("https://farm.example/hook", "jsons://"), ("farm.example/hook", "begins with")])
def test_address_of_a_webhook_as_people_have_it_is_refused_with_how_to_write_it(url, said):
    with pytest.raises(AddressUnusable, match=said):
        transport.read_address(url)


def test_refusal_does_not_repeat_the_password():
    with pytest.raises(AddressUnusable) as refused:
        transport.read_address("mailto://someone:hunter2-secret@300.1.2.3.4.5:99999?to=nobody")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("query", ["?x=1;template={}", "?x=1#&template={}", "?%20template={}", "?x=1&;TEMPLATE={}", "?%74emplate={}"])
def test_file_of_this_machine_is_not_named_in_an_address_however_it_is_spelt(tmp_path, query):
    address = f"workflows://prod-00.westus.logic.azure.com:443/643e69f83c8944/KQ8mrPqT6fE{query.format(tmp_path / 'secret.json')}"

    with pytest.raises(AddressUnusable, match="template"):
        transport.read_address(address)
    with pytest.raises(AddressUnusable, match="template"):
        transport.send(address, MESSAGE)


def test_webhook_gets_the_text_and_the_alerts_for_machines(hooks, loopback_allowed):
    transport.send(hooks.url("in"), MESSAGE)

    (hook,) = hooks.at("in")
    assert (hook.title, hook.text, hook.payload["type"], hook.payload["alerts"]) == (MESSAGE.title, MESSAGE.body, "failure", [{"id": 7}])


@pytest.mark.parametrize(
    "address",
    [
        "ntfy://{}/farm-topic",
        "gotify://{}/AbCdEfGhIjKlMnO",
        "mmost://{}/aBcDeFgHiJkLmNoPqRsTuVwXyZ",
        "rocket://tTfVgTnJJcSTWqYsB/4nRkYy8aXnsRjKK3Lq9m9KkzRkfJQqLAWbCJ6nTTnJJcSTW@{}/#farm",
        "matrix://aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789aBcDeFgHiJkLmNoPqRsTuVwXyZ01@{}/?mode=slack",
    ],
)
def test_services_that_a_farm_runs_itself_get_title_and_text(hooks, loopback_allowed, address):
    transport.send(address.format(f"127.0.0.1:{hooks.port}"), MESSAGE)

    (received,) = hooks.hooks
    assert "24 miners offline" in str(received.payload)
    assert "Rack A/R07" in str(received.payload)


def test_mail_goes_to_the_receiver_and_not_to_those_of_the_address(loopback_allowed):
    with MailServer() as server:
        transport.send(f"{server.url}&to=everybody@farm.example", MESSAGE, to="on-call@farm.example")

    (mail,) = server.mails
    assert (mail.to, mail.subject) == ("on-call@farm.example", MESSAGE.title)
    assert "https://farm.example/admin/" in mail.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
def test_loopback_is_refused_by_whatever_name(hooks, host):
    with pytest.raises((SendFailed, AddressUnusable)):
        transport.send(hooks.url(host=host), MESSAGE)

    assert hooks.hooks == []


def test_refusal_says_which_setting_allows_it(hooks):
    with pytest.raises(SendFailed, match=r"127\.0\.0\.1 is not a public address.*HASHINSIGHT_ALERT_ALLOWED_NETWORKS"):
        transport.send(hooks.url(), MESSAGE)


def test_mail_server_on_loopback_is_refused():
    with MailServer() as server, pytest.raises(SendFailed, match="not a public address"):
        transport.send(server.url, MESSAGE, to="on-call@farm.example")

    assert server.mails == []


def test_redirect_leads_nowhere(hooks, loopback_allowed):
    with WebhookServer(status=hooks.url("stolen").replace("json:", "http:")) as redirecting, pytest.raises(SendFailed):
        transport.send(redirecting.url(), MESSAGE)

    assert hooks.hooks == []


def test_redirect_that_an_address_asks_to_follow_is_checked_like_the_first_request(hooks, loopback_allowed):
    elsewhere = f"http://127.0.0.2:{hooks.port}/stolen"
    with WebhookServer(status=elsewhere) as redirecting, pytest.raises(SendFailed, match=r"127\.0\.0\.2 is not a public address"):
        transport.send(f"{redirecting.url()}?redirect=yes", MESSAGE)


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("172.16.9.9", False),
        ("192.168.1.10", False),
        ("169.254.169.254", False),
        ("100.64.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.1.2.3", False),
        ("64:ff9b::a01:203", False),
        ("2002:a01:203::1", False),
        ("10.20.0.5", True),
        ("10.20.0.6", False),
        ("/run/mail.sock", False),
        ("a-name.example", False),
    ],
)
def test_connection_is_checked_by_the_address_it_goes_to(settings, address, permitted):
    settings.ALERT_ALLOWED_NETWORKS = ["10.20.0.5/32"]
    with guarded() as guard:
        try:
            guard.check(address)
        except AddressRefused:
            assert not permitted
        else:
            assert permitted


def test_only_the_thread_that_sends_is_guarded(hooks):
    with guarded(), pytest.raises(AddressRefused), socket.socket() as inside:
        inside.connect(("127.0.0.1", hooks.port))
    with socket.create_connection(("127.0.0.1", hooks.port)) as outside:
        assert outside.getpeername()[1] == hooks.port


def test_name_is_not_looked_up_behind_the_guard(hooks):
    """A socket that is given a name would look it up by itself, after the check."""
    with guarded(), pytest.raises(AddressRefused), socket.socket() as inside:
        inside.connect(("localhost", hooks.port))


def test_name_that_turns_to_another_address_between_two_lookups_leads_nowhere(hooks, monkeypatch):
    """DNS rebinding: whoever asks first hears of a public address, whoever connects of one inside."""
    answers = iter(["93.184.216.34"])
    look_up = socket.getaddrinfo

    def rebinding(host, port, *rest, **more):
        found = next(answers, "127.0.0.1") if host == "rebind.example" else host
        return look_up(found, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert socket.getaddrinfo("rebind.example", 80)[0][4][0] == "93.184.216.34"

    with pytest.raises(SendFailed, match=r"127\.0\.0\.1 is not a public address"):
        transport.send(hooks.url(host="rebind.example"), MESSAGE)
    assert hooks.hooks == []


@pytest.mark.parametrize(("status", "said"), [(500, "500"), (403, "403"), (404, "404")])
def test_error_of_the_other_side_is_told_without_the_secret(hooks, loopback_allowed, status, said):
    hooks.status = status
    with pytest.raises(SendFailed, match=said) as failed:
        transport.send(hooks.url("a-secret-token"), MESSAGE)

    assert "a-secret-token" not in str(failed.value)


def test_nobody_there_is_told_as_such(loopback_allowed):
    with pytest.raises(SendFailed, match="refused"):
        transport.send(f"json://127.0.0.1:{free_port()}/a-secret-token", MESSAGE)


def test_one_who_never_answers_is_given_up_in_time(hooks, loopback_allowed, monkeypatch):
    monkeypatch.setattr(transport, "READ_S", 0.3)
    hooks.status = "hang"
    with pytest.raises(SendFailed, match="no answer in time"):
        transport.send(hooks.url(), MESSAGE)


def test_nothing_of_an_address_reaches_the_log(hooks, loopback_allowed):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    hooks.status = 500
    try:
        with pytest.raises(SendFailed):
            transport.send(hooks.url("a-secret-token"), MESSAGE)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert "a-secret-token" not in written.getvalue()


def test_guard_keeps_what_was_refused():
    guard = Guard(networks=[])
    with pytest.raises(AddressRefused):
        guard.check("10.0.0.1")

    assert guard.refused == ["10.0.0.1"]
