"""What happened to a batch, in the reader's language. It is noted in English, once for all readers; logs and the API have it so."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noted

PHRASES = tuple(
    (re.compile(re.sub(r"%%|%\((\w+)\)s", lambda found: f"(?P<{found[1]}>.+)" if found[1] else "%", phrase)), phrase)
    for phrase in (
        noted("stopped: %(reason)s"),
        noted("finished: every command came to an end"),
        noted("asked for %(miners)s miners"),
        noted("%(miners)s released, %(power)s MW"),
        noted("%(bad)s of %(sent)s sent went wrong, more than %(limit)s %%"),
        noted("nobody approved it in time"),
        noted("stopped by hand"),
        noted("approved"),
        noted("paused"),
        noted("resumed"),
    )
)


def in_readers_words(message: str) -> str:
    """As it was noted where it is none of the known phrases."""
    for pattern, phrase in PHRASES:
        if found := pattern.fullmatch(message):
            return _(phrase) % {name: in_readers_words(value) for name, value in found.groupdict().items()}
    return message
