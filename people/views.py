"""What people do for themselves in the console: their second factor, their sessions, their language."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

import segno
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import check_for_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST
from django.views.i18n import set_language
from django_otp import login as remember_device

from people import second_factor
from people.login import CodeForm
from people.models import Preferences, Session
from people.sealing import SealBroken, seal, unseal
from people.sessions import end_sessions

CANDIDATE = "second_factor_candidate"
"""Where in the session the sealed secret waits for the code that proves that an app has it."""


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


def _page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    sessions = Session.objects.open(timezone.now()).filter(user=person).order_by("-started_at")
    return _page(
        request,
        "people/account.html",
        title=_("My account"),
        authenticator=second_factor.authenticator_of(person),
        is_required=second_factor.is_required_of(person),
        codes_left=second_factor.recovery_codes_left(person),
        sessions=sessions,
        session_key=request.session.session_key,
    )


@sensitive_post_parameters("code")
@sensitive_variables("secret", "codes")
def enrol(request: HttpRequest) -> HttpResponse:
    """Show the QR code of a new secret; make it the second factor when the code is right."""
    person = _person(request)
    if second_factor.authenticator_of(person) is not None:
        return redirect("people:account")
    secret = _candidate(request)
    form = CodeForm(request.POST or None)
    form.fields["code"].help_text = _("The six digits the app shows now.")
    if request.method == "POST" and form.is_valid():
        try:
            codes = second_factor.enrol(person, secret, form.cleaned_data["code"], keep_session=request.session.session_key)
        except second_factor.WrongCode:
            form.add_error("code", _("The app shows another code. Is the clock of the phone right?"))
        else:
            request.session.pop(CANDIDATE)
            remember_device(request, second_factor.authenticator_of(person))
            return _codes_page(request, codes)
    qr = segno.make(second_factor.app_address(person, secret), error="m")
    return _page(
        request,
        "people/enrol.html",
        title=_("Set up the second factor"),
        form=form,
        qr=qr.svg_data_uri(scale=5, border=3, light="#fff", dark="#000"),
        secret=base64.b32encode(secret).decode(),
        is_required=second_factor.is_required_of(person),
    )


def _candidate(request: HttpRequest) -> bytes:
    """The secret that this session shows until it is enrolled, the same one when the page is loaded again."""
    sealed = request.session.get(CANDIDATE, "")
    try:
        return unseal(sealed)
    except (SealBroken, binascii.Error):
        secret = second_factor.new_secret()
        request.session[CANDIDATE] = seal(secret)
        return secret


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The answer to the form itself: the codes are neither in a session nor at an address."""
    return _page(request, "people/recovery_codes.html", title=_("Recovery codes"), codes=codes)


def _why_not_proved(request: HttpRequest) -> str:
    """Why the code of the form proves nothing; empty when it does. An open browser alone must not change the second factor."""
    form = CodeForm(request.POST)
    try:
        if form.is_valid() and second_factor.verify(_person(request), form.cleaned_data["code"]) is not None:
            return ""
    except second_factor.TooSoon as error:
        return ngettext("Wait %d second and try again.", "Wait %d seconds and try again.", error.wait_s) % error.wait_s
    return _("This code is not right. A code works once; wait for the next one.")


@require_POST
@sensitive_post_parameters("code")
def renew_codes(request: HttpRequest) -> HttpResponse:
    """Ten new recovery codes, against a code."""
    person = _person(request)
    if second_factor.authenticator_of(person) is None:
        return redirect("people:enrol")
    if trouble := _why_not_proved(request):
        messages.error(request, trouble)
        return redirect("people:account")
    return _codes_page(request, second_factor.renew_recovery_codes(person))


@require_POST
@sensitive_post_parameters("code")
def remove(request: HttpRequest) -> HttpResponse:
    """Give up the second factor, against a code of it; not where it is required."""
    person = _person(request)
    if second_factor.is_required_of(person):
        raise PermissionDenied
    if trouble := _why_not_proved(request):
        messages.error(request, trouble)
        return redirect("people:account")
    second_factor.reset(person, by=person.get_username())
    return redirect("admin:login")


@require_POST
def log_out_elsewhere(request: HttpRequest) -> HttpResponse:
    ended = end_sessions(_person(request), keep=request.session.session_key)
    messages.success(request, ngettext("%d other session ended.", "%d other sessions ended.", ended) % ended)
    return redirect("people:account")


@require_POST
def log_out_everywhere(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    request.session.flush()
    end_sessions(person)
    return redirect("admin:login")


def choose_language(request: HttpRequest) -> HttpResponse:
    """Django's language switch, which for somebody logged in holds in their other browsers too."""
    language = request.POST.get("language", "")
    if request.method == "POST" and request.user.is_authenticated and language in dict(settings.LANGUAGES) and check_for_language(language):
        Preferences.objects.update_or_create(user=request.user, defaults={"language": language})
    return set_language(request)
