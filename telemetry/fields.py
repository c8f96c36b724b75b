"""A four-byte float: seven significant digits are more than any sensor has, and history holds billions of them."""

from __future__ import annotations

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class RealField(models.FloatField):  # type: ignore[type-arg]  # django-stubs makes it generic, Django does not
    """FloatField stored as PostgreSQL `real`; eight bytes on SQLite."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "real"
