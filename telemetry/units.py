"""Stored units turned into what people read: GH/s to TH/s or PH/s, W to kW or MW, an age to words. None becomes a dash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib import admin
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

DASH = "–"
_HASHRATE_STEPS = ((1e9, "EH/s"), (1e6, "PH/s"), (1e3, "TH/s"))
_POWER_STEPS = ((1e6, "MW"), (1e3, "kW"))


def number(value: float | None, decimals: int = 0) -> str:
    if value is None:
        return DASH
    # Django's own formatting cuts decimals off instead of rounding.
    return str(number_format(round(value, decimals), decimal_pos=decimals, force_grouping=True))


def hashrate(ghs: float | None) -> str:
    """GH/s as TH/s, PH/s or EH/s."""
    return _scaled(ghs, _HASHRATE_STEPS, "GH/s")


def power(watts: float | None) -> str:
    """W as kW or MW."""
    return _scaled(watts, _POWER_STEPS, "W")


def _scaled(value: float | None, steps: tuple[tuple[float, str], ...], unit: str) -> str:
    if value is None:
        return DASH
    if value == 0:
        return f"0\N{NO-BREAK SPACE}{steps[-1][1]}"
    for factor, name in steps:
        if abs(value) >= factor:
            return f"{significant(value / factor)}\N{NO-BREAK SPACE}{name}"
    return f"{significant(value)}\N{NO-BREAK SPACE}{unit}"


def significant(value: float) -> str:
    """Four figures at most: 3.512, 35.12, 351.2, 3512 – what a glance can hold."""
    decimals = 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return number(value, decimals)


def percent(value: float | None, decimals: int = 0) -> str:
    return DASH if value is None else f"{number(value, decimals)}\N{NO-BREAK SPACE}%"


def temperature(celsius: float | None) -> str:
    return DASH if celsius is None else f"{number(celsius)}\N{NO-BREAK SPACE}°C"


def duration(seconds: float | None) -> str:
    """The largest two parts that matter: 45 s, 12 min, 3 h 20 min, 4 d 6 h."""
    if seconds is None:
        return DASH
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if seconds < 60:
        return _("%(n)d s") % {"n": seconds}
    if minutes < 60:
        return _("%(n)d min") % {"n": minutes}
    if hours < 24:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours % 24}


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in words; "never" for None."""
    if moment is None:
        return _("never")
    seconds = ((now or timezone.now()) - moment).total_seconds()
    if seconds < 5:
        return _("just now")
    return _("%(duration)s ago") % {"duration": duration(seconds)}


def with_utc(at: datetime, text: str) -> SafeString:
    """`text` that says when it was in UTC, to the machine and to whoever rests the mouse on it."""
    in_utc = at.astimezone(UTC)
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', f"{in_utc:%Y-%m-%dT%H:%M:%SZ}", f"{in_utc:%Y-%m-%d %H:%M:%S}", text)


def moment(at: datetime | None) -> SafeString | str:
    """A moment to the second, in the time zone of whoever looks or of the site; in UTC when the mouse rests on it."""
    return with_utc(at, f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}") if at else DASH


def ago(at: datetime | None, now: datetime | None = None) -> SafeString | str:
    """How long ago, in words; in UTC when the mouse rests on it."""
    return with_utc(at, age(at, now)) if at else age(None)


def moment_column(field: str, label: Any) -> Any:
    """A column of an admin list that shows a row's `field` as `moment` does."""
    return _time_column(field, label, moment)


def ago_column(field: str, label: Any) -> Any:
    """The same as `ago` shows it."""
    return _time_column(field, label, ago)


def _time_column(field: str, label: Any, show: Callable[[datetime | None], SafeString | str]) -> Any:
    """`field` may lead across relations, as `live__last_online_at` does. A file gets the moment itself, by `moment_field`."""

    def column(_admin: Any, row: Any) -> SafeString | str:
        return show(moment_of(row, field))

    column.moment_field = field  # type: ignore[attr-defined]  # a mark of ours on a function
    return admin.display(description=label, ordering=field)(column)


def moment_of(row: Any, field: str) -> datetime | None:
    """None, too, where a relation on the way leads nowhere."""
    for name in field.split("__"):
        row = getattr(row, name, None)
    return cast("datetime | None", row)


def miners(count: int) -> str:
    return ngettext("%(count)s miner", "%(count)s miners", count) % {"count": number(count)}
