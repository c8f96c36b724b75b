"""What a miner says, word for word: asked now by this server, and as the newest reading is stored."""

from __future__ import annotations

import json
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from cgminer.address import Address
from cgminer.errors import MinerError
from commands.permissions import allowed_commands
from hashinsight.pages.access import miner_or_404
from miners.models import Miner
from resilience.bulkheads import BulkheadFull
from sites.models import Site
from telemetry.models import MinerRawReply
from telemetry.probe import probe_within
from telemetry.raw_replies import heard, unpacked

log = structlog.get_logger(__name__)


@require_POST
def probe(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the miner now, at most for five seconds, and show its replies as they came."""
    miner = miner_or_404(request, pk)
    if not may_probe(request):
        raise PermissionDenied
    shown = {"trouble": why_not(miner)} if why_not(miner) else _asked(miner)
    log.info(
        "miner_probed", site_id=miner.site.code, miner_id=miner.miner_id, by=request.user.get_username(), trouble=shown.get("trouble", "")
    )
    return render(request, "console/probe.html", {"now": timezone.now(), **shown})


def may_probe(request: HttpRequest) -> bool:
    """Who may command a miner may ask it, too: the question goes from this server into the farm's network."""
    return bool(allowed_commands(request.user))


def why_not(miner: Miner) -> str:
    """Why this server cannot ask the miner; empty when it can."""
    if miner.site.collection == Site.Collection.COLLECTOR:
        return _("The site’s collector reads this miner. This server has no way into the farm’s network, so it cannot ask by itself.")
    if not miner.ip_address:
        return _("No address of this miner is known.")
    return ""


def _asked(miner: Miner) -> dict[str, Any]:
    try:
        answer = probe_within(Address(miner.ip_address, miner.port))
    except MinerError as error:
        return {"trouble": str(error)}
    except BulkheadFull:
        return {"trouble": _("Too many others are being asked just now. Try again in a moment.")}
    understood = json.dumps(answer.snapshot.as_record(), indent=2, ensure_ascii=False)
    return {"replies": heard(answer.raw), "latency_ms": answer.latency_ms, "understood": understood}


def kept_reply(miner: Miner) -> dict[str, Any]:
    """The last reply that the poller kept, with why it could not be read; empty when there is none."""
    row = MinerRawReply.objects.filter(miner=miner).first()
    return {"kept_reply": row, "kept_replies": unpacked(row)} if row else {}


def stored_reading(miner: Any) -> str:
    """The newest reading as it is kept, by the wire's names; empty when there is none."""
    live = getattr(miner, "live", None)
    if live is None:
        return ""
    fields = {name: value for name, value in model_to_dict(live).items() if value is not None and name not in {"miner", "site"}}
    detail = getattr(miner, "detail", None)
    lists = model_to_dict(detail, exclude=["miner", "timestamp"]) if detail else {}
    fields |= {name: json.loads(text) for name, text in lists.items() if text != "[]"}
    return json.dumps(fields, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
