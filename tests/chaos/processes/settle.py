"""Gives a new installation two sites, a key, miners and an operator who is signed in; prints what a test needs as JSON.

Arguments: the inventory of the polled site as JSON, a list of [miner_id, host, port].
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

import django


def main(inventory: list[tuple[str, str, int]]) -> None:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model

    from miners.models import Miner
    from sites.models import CollectorKey, Site

    polled = Site.objects.create(code="polled", name="Polled")
    collected = Site.objects.create(code="collected", name="Collected", collection=Site.Collection.COLLECTOR)
    _, secret = CollectorKey.objects.generate(site=collected, name="collector")
    miners = Miner.objects.bulk_create(Miner(site=polled, miner_id=name, ip_address=host, port=port) for name, host, port in inventory)
    user = get_user_model().objects.create_superuser("operator", "operator@example.com", "not a secret in a test")
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session.update({SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend"})
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    found = {"key": secret, "session": session.session_key, "site": polled.pk, "miner": miners[0].pk}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    django.setup()
    main(json.loads(sys.argv[1]))
