"""The form on which an operator asks something of miners: what, why, how paced, and the count that confirms it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from commands.batches import Pacing
from commands.dispatch import Order
from commands.models import CommandType

TYPE_COUNT_ABOVE = 20
"""Above so many miners the number must be typed: a slip of the mouse does not stop a farm."""
TAKES = {
    CommandType.SET_POOL: ("pool_url", "pool_user", "pool_password"),
    CommandType.SET_FAN: ("speed",),
    CommandType.SET_FREQUENCY: ("frequency",),
}
PACING = ("canary_size", "group_size", "pause_seconds", "megawatts_a_minute", "stop_above_percent")


def _number(label: Any, **kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}), **kwargs)


class OrderForm(forms.Form):
    """One command for the miners that were picked. Parameters are checked by `commands.params` when it is stored."""

    miners = forms.CharField(widget=forms.HiddenInput)
    key = forms.CharField(max_length=36, widget=forms.HiddenInput)
    command = forms.ChoiceField(label=_("Command"), widget=UnfoldAdminSelectWidget)
    pool_url = forms.CharField(
        label=_("Pool"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "stratum+tcp://pool.example:3333"})
    )
    pool_user = forms.CharField(label=_("Worker"), required=False, widget=UnfoldAdminTextInputWidget)
    pool_password = forms.CharField(label=_("Pool password"), required=False, widget=UnfoldAdminPasswordWidget)
    speed = forms.CharField(label=_("Fan speed, %"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}))
    frequency = forms.CharField(
        label=_("Frequency, MHz"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"})
    )
    reason = forms.CharField(label=_("Reason"), max_length=255, widget=UnfoldAdminTextInputWidget)
    canary_size = _number(_("Miners to try it on first"), min_value=0, max_value=1_000, initial=1)
    group_size = _number(_("Then so many at a time"), min_value=1, max_value=10_000, initial=50)
    pause_seconds = _number(_("Pause between groups, s"), min_value=0, max_value=86_400, initial=30)
    megawatts_a_minute = forms.FloatField(
        label=_("At most so many MW a minute"), required=False, min_value=0.001, max_value=10_000, widget=UnfoldAdminTextInputWidget
    )
    stop_above_percent = _number(_("Stop when a larger share goes wrong, %"), min_value=0, max_value=100, initial=20)
    leave_out = forms.BooleanField(label=_("Leave out the miners that cannot do it"), required=False, widget=UnfoldBooleanSwitchWidget)
    count = forms.IntegerField(label=_("Number of miners, to confirm"), required=False, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, choices: list[CommandType], miner_count: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.miner_count = miner_count
        self.fields["command"].choices = [("", _("Choose…")), *((choice.value, choice.label) for choice in choices)]  # type: ignore[attr-defined]  # a ChoiceField
        for command, names in TAKES.items():
            for name in names:
                self.fields[name].widget.attrs["data-for"] = command.value
        if miner_count <= TYPE_COUNT_ABOVE:
            del self.fields["count"]
        if miner_count == 1:
            for name in (*PACING, "leave_out"):
                del self.fields[name]

    def clean_count(self) -> int | None:
        count: int | None = self.cleaned_data["count"]
        if count != self.miner_count:
            raise forms.ValidationError(_("Type %(count)d to confirm that so many miners are meant."), params={"count": self.miner_count})
        return count

    def order(self) -> Order:
        command = self.cleaned_data["command"]
        params = {name: self.cleaned_data[name] for name in TAKES.get(CommandType(command), ()) if self.cleaned_data[name]}
        return Order(command=command, params=params, reason=self.cleaned_data["reason"], idempotency_key=self.cleaned_data["key"])

    def pacing(self) -> Pacing:
        """As it was asked for, with our own values for what was left empty."""
        return Pacing(**{name: value for name in PACING if (value := self.cleaned_data.get(name)) is not None})
