"""Since when each condition holds, and whether long enough: from answers of this minute to what is raised and what is over.

Hold and clear times, the clear margin and stale input meet here and nowhere else. Rows are written for what changes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.evaluation import statements
from alerts.evaluation.answers import Answer, Subject, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.kinds import WINDOWED
from alerts.models import AlertRule, Condition

CALM_MINUTES = 30
"""What flaps is over when it is good for so long, however short the rule's own time is."""
ROWS_AT_ONCE = 2_000


@dataclass(slots=True)
class Held:
    """How a rule's conditions stand after this minute. `raised` belong to alerts; `pending` hold, but not long enough yet."""

    raised: dict[Subject, Answer] = field(default_factory=dict)
    pending: set[Subject] = field(default_factory=set)
    unwatched: set[Subject] = field(default_factory=set)
    """Those that left the rule's scope: removed, switched off, moved, in maintenance."""


@dataclass(slots=True)
class _Changes:
    created: list[Answer] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    bad_again: list[int] = field(default_factory=list)
    raised: list[int] = field(default_factory=list)


def hold(rule: AlertRule, answers: Iterable[Answer], ground: Ground, *, flapping: Collection[Subject] = ()) -> Held:
    """Move the rule's conditions on by one look and store what changed. Inside a transaction."""
    now, rows = ground.now, Condition.objects.filter(rule=rule) if rule.pk in ground.holding else ()
    known = {_subject(row): row for row in rows}
    held, changes = Held(), _Changes()
    for answer in answers:
        row = known.pop(answer.subject, None)
        if row is not None:
            _move(row, answer, rule, held=held, changes=changes, now=now, calm=answer.subject in flapping)
        elif answer.verdict is Verdict.BAD:
            _begin(answer, rule, held=held, changes=changes, now=now)
    for subject, row in known.items():
        held.unwatched.add(subject)
        changes.deleted.append(row.pk)
    _create(changes.created, rule, now=now)
    _store(changes, now=now)
    return held


def _begin(answer: Answer, rule: AlertRule, *, held: Held, changes: _Changes, now: datetime) -> None:
    at_once = _hold_time(rule) == timedelta(0)
    changes.created.append(answer)
    if at_once:
        held.raised[answer.subject] = answer
    else:
        held.pending.add(answer.subject)


def _move(row: Condition, answer: Answer, rule: AlertRule, *, held: Held, changes: _Changes, now: datetime, calm: bool) -> None:
    verdict = answer.verdict
    if row.raised_at is None and verdict not in (Verdict.BAD, Verdict.UNSEEN):
        changes.deleted.append(row.pk)  # it never was an alert, so silence ends it too
        return
    if verdict is Verdict.GOOD and row.good_since is None:
        row.good_since = now
        changes.good.append(row.pk)
    elif verdict in (Verdict.BAD, Verdict.BETWEEN) and row.good_since is not None:
        changes.bad_again.append(row.pk)
    if verdict is Verdict.GOOD and row.good_since is not None and now - row.good_since >= _clear_time(rule, calm=calm):
        changes.deleted.append(row.pk)
        return
    if row.raised_at is None and verdict is Verdict.BAD and now - row.bad_since >= _hold_time(rule):
        changes.raised.append(row.pk)
        row.raised_at = now
    if row.is_dismissed:
        return
    if row.raised_at is None:
        held.pending.add(answer.subject)
    else:
        held.raised[answer.subject] = answer


def _hold_time(rule: AlertRule) -> timedelta:
    return timedelta(0) if rule.kind in WINDOWED else timedelta(minutes=rule.for_minutes)


def _clear_time(rule: AlertRule, *, calm: bool) -> timedelta:
    return timedelta(minutes=max(rule.clear_minutes, CALM_MINUTES) if calm else rule.clear_minutes)


def _subject(row: Condition) -> Subject:
    return row.miner_id if row.miner_id is not None else (row.site_id, row.key)


def _create(answers: list[Answer], rule: AlertRule, *, now: datetime) -> None:
    raised_at = now if _hold_time(rule) == timedelta(0) else None
    of_miners = [(answer.subject, answer.value) for answer in answers if isinstance(answer.subject, int)]
    if of_miners:
        constants = {"rule_id": rule.pk, "key": "", "bad_since": now, "raised_at": raised_at, "is_dismissed": False}
        miners, values = zip(*of_miners, strict=True)
        statements.insert_for_miners(Condition, constants, miners, values)
    for answer in answers:
        if not isinstance(answer.subject, int):
            site, key = answer.subject
            Condition.objects.create(rule=rule, site_id=site, key=key, bad_since=now, raised_at=raised_at, value=answer.value)


def _store(changes: _Changes, *, now: datetime) -> None:
    rows = Condition.objects
    for keys, columns in (
        (changes.good, {"good_since": now}),
        (changes.bad_again, {"good_since": None}),
        (changes.raised, {"raised_at": now}),
    ):
        for some in _parts(keys):
            rows.filter(pk__in=some).update(**columns)
    for some in _parts(changes.deleted):
        rows.filter(pk__in=some)._raw_delete(rows.db)


def _parts(keys: list[int]) -> Iterable[list[int]]:
    return (keys[start : start + ROWS_AT_ONCE] for start in range(0, len(keys), ROWS_AT_ONCE))
