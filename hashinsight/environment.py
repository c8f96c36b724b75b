"""Reads settings from environment variables, and says which one is wrong."""

from __future__ import annotations

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environ import Env

_KINDS = {int: "a whole number", float: "a number", bool: "True or False"}
_BOOLEANS = {*Env.BOOLEAN_TRUE_STRINGS, "false", "off", "n", "no", "0", ""}


class Environment(Env):  # type: ignore[misc]  # django-environ carries no types
    """Raises ImproperlyConfigured for text that is not what a setting needs; the parent raises a bare ValueError, or reads it as False."""

    def get_value(self, var: str, cast: Any = None, *args: Any, **kwargs: Any) -> Any:
        text = os.environ.get(var, "")
        try:
            if cast is bool and text.strip().lower() not in _BOOLEANS:
                raise ValueError(text)
            return super().get_value(var, cast, *args, **kwargs)
        except ValueError:
            raise ImproperlyConfigured(f'{var} is "{text}", which is not {_KINDS.get(cast, "understood")}: see .env.example.') from None
