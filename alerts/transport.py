"""One message to one address, by apprise: which addresses are taken, where they may lead, and why a message did not arrive."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from apprise import Apprise, AppriseAsset, NotifyType, PersistentStoreMode
from apprise.utils.parse import parse_qsd
from django.utils.translation import gettext as _

from alerts.egress import Guard, guarded
from alerts.models import ChannelKind

SCHEMES = {
    ChannelKind.EMAIL: ("mailto", "mailtos"),
    ChannelKind.TELEGRAM: ("tgram",),
    ChannelKind.SLACK: ("slack",),
    ChannelKind.DISCORD: ("discord",),
    ChannelKind.TEAMS: ("workflows", "workflow"),
    ChannelKind.WEBHOOK: ("json", "jsons"),
    ChannelKind.NTFY: ("ntfy", "ntfys"),
    ChannelKind.GOTIFY: ("gotify", "gotifys"),
    ChannelKind.MATTERMOST: ("mmost", "mmosts"),
    ChannelKind.ROCKETCHAT: ("rocket", "rockets"),
    ChannelKind.MATRIX: ("matrix", "matrixs"),
    ChannelKind.GOOGLE_CHAT: ("gchat",),
    ChannelKind.WEBEX: ("wxteams", "webex"),
    ChannelKind.DINGTALK: ("dingtalk",),
    ChannelKind.FEISHU: ("feishu",),
    ChannelKind.LARK: ("lark",),
    ChannelKind.WECOM: ("wecombot",),
    ChannelKind.PUSHOVER: ("pover",),
    ChannelKind.PAGERDUTY: ("pagerduty",),
}
"""The schemes that are taken. apprise knows many more, some of which run programs or write files of this machine."""
SHOWS_HOST = (ChannelKind.WEBHOOK, ChannelKind.GOTIFY, ChannelKind.MATTERMOST, ChannelKind.ROCKETCHAT)
"""Kinds whose host is no secret; of Telegram, ntfy and others a token stands in its place."""
REFUSED_PARAMETERS = frozenset({"template", "attach", "pgp", "pgppub", "pgpprv", "wkd", "retry", "wait", "cto", "rto"})
"""They open files of this machine, or let an address wait longer than a message may."""
CONNECT_S, READ_S, SMTP_S = 5.0, 10.0, 10.0
KIND_OF = {scheme: kind for kind, schemes in SCHEMES.items() for scheme in schemes}
_ASSET = AppriseAsset(
    app_id="HashInsight",
    app_desc="HashInsight",
    app_url="",
    async_mode=False,
    secure_logging=True,
    http_redirects=False,
    pgp_autogen=False,
    pem_autogen=False,
    image_url_mask="",
    image_url_logo="",
    storage_mode=PersistentStoreMode.MEMORY,
    allow_templates=False,
)


class AddressUnusable(ValueError):
    """The address of a channel is not one that can be sent to; the text says why, for whoever typed it."""


class SendFailed(Exception):
    """The message did not arrive, or nobody said that it did. The text holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    kind: ChannelKind
    target: str
    """What may be shown of it: the scheme, and the server where that is no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`level` is a severity, or "resolved". `alerts` is for machines: what a webhook gets beside the text."""

    title: str
    body: str
    level: str
    alerts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def notify_type(self) -> NotifyType:
        types = {"critical": NotifyType.FAILURE, "warning": NotifyType.WARNING, "resolved": NotifyType.SUCCESS}
        return types.get(self.level, NotifyType.INFO)


def read_address(url: str) -> Address:
    """What `url` is, as far as it can be told without sending. Raises AddressUnusable."""
    scheme = urlsplit(url).scheme.lower()
    if not scheme:
        raise AddressUnusable(_("An address begins with what it is, such as mailtos:// or jsons://."))
    if scheme not in KIND_OF and scheme not in ("http", "https"):
        known = ", ".join(sorted(KIND_OF))
        raise AddressUnusable(
            _("“%(scheme)s” is not a scheme that is allowed. Use one of: %(known)s.") % {"scheme": scheme, "known": known}
        )
    plugin = _plugin(url)
    kind = _kind_of(plugin)
    host = getattr(plugin, "smtp_host", "") if kind == ChannelKind.EMAIL else plugin.host if kind in SHOWS_HOST else ""
    return Address(kind=kind, target=f"{_scheme_of(plugin)}://{host or '…'}"[:255])


def send(url: str, message: Message, *, to: str = "") -> None:
    """Send and return when the other side took it; raise SendFailed or AddressUnusable. `to` is the e-mail address of one receiver."""
    plugin = _plugin(_addressed_to(url, to) if to else url)
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT_S, READ_S
    if _kind_of(plugin) == ChannelKind.WEBHOOK:
        plugin.payload_extras["alerts"] = message.alerts
    if _kind_of(plugin) == ChannelKind.EMAIL:
        plugin.socket_connect_timeout = SMTP_S
    with guarded() as guard, _heard() as said:
        arrived = plugin.notify(body=message.body, title=message.title, notify_type=message.notify_type)
    if not arrived:
        raise SendFailed(_reason(said, guard, secrets=_secrets_of(url)))


def _parameters(url: str) -> dict[str, str]:
    """As apprise reads them, which is not as a browser would: “;” parts them too, and “#” ends nothing."""
    found: dict[str, Any] = parse_qsd(url.partition("?")[2])  # type: ignore[no-untyped-call]  # apprise leaves its parser untyped
    return dict(found["qsd"])


def _plugin(url: str) -> Any:
    if refused := sorted(_parameters(url).keys() & REFUSED_PARAMETERS):
        raise AddressUnusable(_("“%(name)s” cannot be used in an address here.") % {"name": refused[0]})
    with _heard() as said:
        plugin: Any = Apprise.instantiate(url, asset=_ASSET)
    if plugin is None and url.lower().startswith(("http://", "https://")):
        text = _("No service known here has this address. A webhook of your own is written jsons://host/path, json:// without TLS.")
        raise AddressUnusable(text)
    if plugin is None or _scheme_of(plugin) not in KIND_OF:
        detail = _scrubbed(said[-1].getMessage(), _secrets_of(url)) if said else ""
        raise AddressUnusable(_("This address cannot be read: see the examples in the documentation. %(detail)s") % {"detail": detail})
    return plugin


def _scheme_of(plugin: Any) -> str:
    named = plugin.secure_protocol if plugin.secure or not plugin.protocol else plugin.protocol
    return str(named if isinstance(named, str) else next(iter(named)))


def _kind_of(plugin: Any) -> ChannelKind:
    return KIND_OF[_scheme_of(plugin)]


def _addressed_to(url: str, to: str) -> str:
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name.lower() not in ("to", "cc", "bcc")]
    # The path of a mailto address names receivers too.
    return urlunsplit((parts.scheme, parts.netloc, "", urlencode([*query, ("to", to)]), ""))


# --- What apprise says while it works: it answers yes or no, and writes the reason to its log.


class _Ear(logging.Handler):
    """Keeps what the thread that listens causes to be logged. Nothing of it goes further: at the level of debugging it holds tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        said: list[logging.LogRecord] | None = getattr(self.thread, "said", None)
        if said is not None:
            said.append(record)


_ear = _Ear()
_apprise_log = logging.getLogger("apprise")
_apprise_log.propagate = False
_apprise_log.setLevel(logging.DEBUG)
_apprise_log.addHandler(_ear)


class _heard:  # noqa: N801  # read as a verb: with _heard() as said
    def __enter__(self) -> list[logging.LogRecord]:
        _ear.thread.said = said = list[logging.LogRecord]()
        return said

    def __exit__(self, *error: object) -> None:
        _ear.thread.said = None


CAUSES = (
    ("connection refused", "the connection was refused"),
    ("timed out", "no answer in time"),
    ("name or service not known", "the name is not known"),
    ("name resolution", "the name cannot be looked up"),
    ("certificate verify failed", "its certificate is not trusted"),
    ("wrong_version_number", "it does not speak TLS there"),
    ("starttls", "it does not offer STARTTLS"),
    ("no route to host", "no route to it"),
    ("network is unreachable", "the network cannot be reached"),
    ("connection reset", "it closed the connection"),
    ("closed connection", "it closed the connection"),
    ("unexpectedly closed", "it closed the connection"),
)
"""Found in the text of the exception, which itself repeats the whole address."""
_SMTP_CODE = re.compile(r"\((\d{3}), b")


def _reason(said: list[logging.LogRecord], guard: Guard, *, secrets: set[str]) -> str:
    if guard.refused:
        where = guard.refused[-1]
        return _("%(address)s is not a public address. To allow its network, set HASHINSIGHT_ALERT_ALLOWED_NETWORKS.") % {"address": where}
    spoken = [record.getMessage() for record in said if record.levelno >= logging.WARNING]
    whispered = " ".join(record.getMessage() for record in said if record.levelno < logging.WARNING)
    cause = next((text for sign, text in CAUSES if sign in whispered.lower()), "")
    if code := _SMTP_CODE.search(whispered):
        cause = f"SMTP {code[1]}"
    text = _scrubbed(spoken[-1] if spoken else _("It was not accepted."), secrets)
    return f"{text} ({cause})" if cause else text


def _scrubbed(text: str, secrets: set[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return " ".join(text.split())[:200]


def _secrets_of(url: str) -> set[str]:
    """Whatever of an address could be a secret: all of its parts but the scheme and, where it is one, the server."""
    parts = urlsplit(url)
    found = {parts.username, parts.password, parts.fragment, *parts.path.split("/"), *_parameters(url).values()}
    kind = KIND_OF.get(parts.scheme.lower())
    if kind not in SHOWS_HOST and kind != ChannelKind.EMAIL:
        found |= set(re.split(r"[/:@?&]", parts.netloc))
    known = {part for part in found if part and len(part) > 3}
    return known | {unquote(part) for part in known}
