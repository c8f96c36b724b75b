"""Which model of the catalogue a miner means by the name it reports.

Firmware writes "Antminer S19j Pro (Vnish 1.2.6)", "M30S+VE40", "WhatsMiner M50S_VH30", "Antminer S19 104T" where the catalogue has one
name.
A wrong model is worse than none: a name that says more than the catalogue does ("S19 Pro" when only "S19" is there) is left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from miners.catalogue import known_models
from miners.models import Miner, MinerModel

_MAKERS = re.compile(r"^(bitmain|antminer|microbt|whatsminer|canaan|avalonminer|avalon|bitdeer)(?=[a-z0-9])")
_VARIANT = re.compile(r"(v[a-z]{0,2}\d+[a-z]?|\d{2,3}(\.\d+)?t(h|hs)?|air|\(.*\))*")
"""What may follow a model's name without making it another model: hardware variant, nameplate hash rate, a remark in brackets."""


def folded(name: str) -> str:
    """Lower case, without blanks, dashes, underscores, dots; "hydro" as "hyd". What is left tells one model from another."""
    return re.sub(r"[\s_\-.]+", "", name.lower()).replace("hydro", "hyd")


class ModelMatcher:
    """The catalogue as it was when the matcher was made."""

    def __init__(self, models: Iterable[MinerModel]) -> None:
        self._by_name: dict[str, MinerModel] = {}
        for model in models:
            for name in (model.name, model.slug, *model.aliases):
                self._by_name.setdefault(folded(name), model)
                self._by_name.setdefault(_MAKERS.sub("", folded(name)), model)
        self._longest_first = sorted(self._by_name, key=len, reverse=True)
        self._answers: dict[str, MinerModel | None] = {}

    @classmethod
    def from_catalogue(cls) -> ModelMatcher:
        return cls(known_models())

    def match(self, reported: str) -> MinerModel | None:
        """The model meant, or None when it is not clear. Each name is looked up once; a farm has few."""
        if reported not in self._answers:
            self._answers[reported] = self._find(folded(reported))
        return self._answers[reported]

    def _find(self, name: str) -> MinerModel | None:
        return self._find_exactly_or_longer(name) or self._find_exactly_or_longer(_MAKERS.sub("", name))

    def _find_exactly_or_longer(self, name: str) -> MinerModel | None:
        if name in self._by_name:
            return self._by_name[name]
        known = next((known for known in self._longest_first if name.startswith(known)), None)
        if known and _VARIANT.fullmatch(name[len(known) :]):
            return self._by_name[known]
        return None

    def models(self) -> set[MinerModel]:
        return set(self._by_name.values())

    def names(self) -> list[str]:
        """The catalogue's own names, for a message."""
        return sorted(model.name for model in self.models())


def assign_models(reported: dict[int, str], *, matcher: ModelMatcher) -> int:
    """Give miners without a model the one they report: miner primary key → reported name. One UPDATE a model; how many were given one."""
    by_model: dict[int, list[int]] = defaultdict(list)
    for miner_pk, name in reported.items():
        if model := matcher.match(name):
            by_model[model.pk].append(miner_pk)
    # A person may have chosen a model since the inventory was read: theirs stays.
    return sum(_assign(model_pk, miner_pks) for model_pk, miner_pks in by_model.items())


def _assign(model_pk: int, miner_pks: list[int]) -> int:
    assigned = 0
    for start in range(0, len(miner_pks), 10_000):
        chunk = miner_pks[start : start + 10_000]
        assigned += Miner.objects.filter(pk__in=chunk, model__isnull=True).update(model_id=model_pk)
    return assigned
