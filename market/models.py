"""What a bitcoin was worth and how hard it was to find one, over time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Quantity(models.TextChoices):
    PRICE = "btc_price", _("BTC price, USD")
    DIFFICULTY = "btc_difficulty", _("network difficulty")


class MarketSample(models.Model):
    """One value as a provider gave it; at most one in five minutes is kept, for what a past day was worth."""

    quantity = models.CharField(_("quantity"), max_length=20, choices=Quantity.choices)
    value = models.FloatField(_("value"))
    source = models.CharField(_("source"), max_length=30)
    fetched_at = models.DateTimeField(_("fetched"))

    class Meta:
        db_table = "market_samples"
        ordering = ["-fetched_at"]
        verbose_name = _("market value")
        verbose_name_plural = _("market values")
        indexes = [models.Index(fields=["quantity", "-fetched_at"], name="market_quantity_time")]  # the value at a time

    def __str__(self) -> str:
        return f"{self.quantity} {self.value:,.0f} ({self.source})"
