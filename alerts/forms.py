"""What people type to set up rules and channels, and what is checked before it is stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from alerts.models import AlertRule, ChannelKind, NotificationChannel, Silence
from alerts.scoping import OwnSitesForm
from alerts.transport import AddressUnusable, read_address
from commands.permissions import allowed_commands


class Names(forms.CharField):
    """A list of names, typed with commas between them."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in (value or "").split(",") if part.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class RuleForm(OwnSitesForm):
    racks = Names(label=_("Racks"), required=False, help_text=_("With commas between them: R07, or A/R07 for one of zone A. Empty: all."))
    expected_pools = Names(
        label=_("Expected pools"),
        required=False,
        help_text=_(
            "For “wrong pool”: hosts that are right, with commas between them. Empty: those that a fifth of the site's miners use."
        ),
    )

    class Meta:
        model = AlertRule
        exclude = ["slug"]

    def limit_to(self, request: HttpRequest) -> None:
        super().limit_to(request)
        self.may_order = set(allowed_commands(request.user))

    def clean(self) -> dict[str, Any]:
        """A rule gives its command in nobody's name: whoever arms it must be somebody who could give it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        action, is_armed = cleaned.get("action"), cleaned.get("action_mode") == AlertRule.ActionMode.LIVE
        if action and is_armed and action not in self.may_order:
            raise forms.ValidationError({"action": _("You may not give this command, so you cannot let a rule give it.")})
        return cleaned


class ChannelForm(OwnSitesForm):
    """The address goes in and never comes out: on a later visit the field is empty, and left empty the address stays."""

    url = forms.CharField(
        label=_("Address"),
        required=False,
        strip=True,
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "mailtos://…"}),
    )
    on_call_days = forms.TypedMultipleChoiceField(
        label=_("On call on"),
        required=False,
        coerce=int,
        choices=list(WEEKDAYS.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Days on which the hours begin. None: every day."),
    )

    class Meta:
        model = NotificationChannel
        fields = [
            *("name", "is_enabled", "language", "minimum_severity", "sites", "tells_resolved", "escalation_only"),
            *("on_call_from", "on_call_until", "on_call_days", "timezone", "digest_minutes", "hourly_limit"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.pk is not None
        self.fields["url"].required = not stored
        self.fields["url"].help_text = (
            _("Stored encrypted and not shown again. Leave it empty to keep what is stored.")
            if stored
            else _("mailtos://, tgram://, slack://, discord://, workflows://, jsons://, ntfys:// … Stored encrypted and not shown again.")
        )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if not url:
            return ""
        try:
            address = read_address(url)
        except AddressUnusable as unusable:
            raise forms.ValidationError(str(unusable)) from unusable
        self.instance.kind, self.instance.target = address.kind, address.target
        self.instance.seal_url(url)
        return url

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (cleaned.get("on_call_from") is None) != (cleaned.get("on_call_until") is None):
            raise forms.ValidationError({"on_call_until": _("Give both hours, or none.")})
        return cleaned


class ReceiverFormSet(forms.BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if rows and self.instance.kind and self.instance.kind != ChannelKind.EMAIL:
            raise forms.ValidationError(_("Only an e-mail channel writes to people; leave the receivers out."))
        if nobody := [str(row["user"]) for row in rows if not row["user"].email]:
            raise forms.ValidationError(_("%(names)s: no e-mail address is known.") % {"names": ", ".join(nobody)})


class SilenceForm(forms.ModelForm):
    class Meta:
        model = Silence
        fields = ["site", "zone", "rack", "miner", "rule", "is_maintenance", "starts_at", "ends_at", "reason"]
        labels = {"starts_at": _("Begins")}  # "from" is an address elsewhere, and another word in Chinese

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        site, miner = cleaned.get("site"), cleaned.get("miner")
        if miner and site and miner.site_id != site.pk:
            raise forms.ValidationError({"miner": _("This miner stands at another site.")})
        starts, ends = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts and ends and ends <= starts:
            raise forms.ValidationError({"ends_at": _("It has to end after it starts.")})
        return cleaned
