"""One broken reply a repair, as firmware sends them, and that a good reply is never touched."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgminer import repairs
from cgminer.errors import MinerReplyError
from cgminer.wire import decode

BROKEN = {
    repairs.missing_head: (b',"id":1}', {"id": 1}),
    repairs.invalid_escapes: (rb'{"User":"farm\'s","URL":"a\/b"}', {"User": "farm's", "URL": "a/b"}),
    repairs.missing_commas: (
        b'{"STATS":[{"Type":"S9"}{"x":"{}{}"}],"T":"83""temp0":"80"}',
        {"STATS": [{"Type": "S9"}, {"x": "{}{}"}], "T": "83", "temp0": "80"},
    ),
    repairs.stray_commas: (b'{"STATS":[,{"a":1,}],"b":[1,2,],}', {"STATS": [{"a": 1}], "b": [1, 2]}),
    repairs.not_a_number_tokens: (
        b'{"a":nan,"b":-nan,"c":inf,"d":-Infinity,"e":"nan","f":1.#QNAN,"g":"info inf"}',
        {"a": None, "b": None, "c": None, "d": None, "e": "nan", "f": None, "g": "info inf"},
    ),
    repairs.list_written_like_a_dict: (
        b'{"error_code":["329":"2022-01-17 11:28:11","401":"2022-01-18 10:00:00"]}',
        {"error_code": [{"329": "2022-01-17 11:28:11", "401": "2022-01-18 10:00:00"}]},
    ),
    repairs.truncated_tail: (
        b'{"STATUS":[{"STATUS":"S"}],"STATS":[{"a":1,"b":[2,3],"c":"cut he',
        {"STATUS": [{"STATUS": "S"}], "STATS": [{"a": 1, "b": [2, 3]}]},
    ),
}


def test_every_repair_has_a_reply_that_needs_it() -> None:
    assert set(BROKEN) == set(repairs.REPAIRS)


@pytest.mark.parametrize("repair", repairs.REPAIRS, ids=lambda repair: repair.__name__)
def test_repair_reads_what_the_firmware_meant(repair: Callable[[str], str]) -> None:
    broken, meant = BROKEN[repair]
    with pytest.raises(ValueError, match="line 1"):
        json.loads(broken, parse_constant=_refuse)
    assert decode(broken) == meant


def _refuse(name: str) -> None:
    raise ValueError(f"line 1: {name}")


def test_garbage_after_the_document_is_dropped() -> None:
    assert decode(b'{"a":1}"}\n\x01garbage') == {"a": 1}
    assert decode(b'{"a":1}\x00{"a":2}') == {"a": 1}


def test_newline_inside_a_value_is_kept() -> None:
    assert decode(b'{"Msg":"two\nlines"}') == {"Msg": "two\nlines"}


def test_bytes_that_are_not_text_become_replacement_characters() -> None:
    assert decode(b'{"User":"caf\xe9","Accepted":5}') == {"User": "caf\ufffd", "Accepted": 5}


def test_several_quirks_at_once_are_mended_together() -> None:
    broken = b'{"STATS":[,{"Type":"S9"}{"GHS av":nan,"User":"o\\\'neil","x":[1,2'
    assert decode(broken) == {"STATS": [{"Type": "S9"}, {"GHS av": None, "User": "o'neil", "x": [1]}]}


@pytest.mark.parametrize("cut", [b"{", b'{"STATUS"', b'{"STATUS":', b'{"STATUS":[{"STATUS":"S"', b'{"a":1'])
def test_reply_cut_before_anything_whole_is_refused(cut: bytes) -> None:
    with pytest.raises(MinerReplyError, match="beyond repair"):
        decode(cut)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_good_reply_is_never_altered(document: dict[str, object]) -> None:
    assert decode(json.dumps(document).encode()) == document
    assert decode(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")) == document


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5), st.sampled_from(repairs.REPAIRS))
def test_no_repair_changes_what_a_good_reply_says(document: dict[str, object], repair: Callable[[str], str]) -> None:
    assert json.loads(repair(json.dumps(document))) == document


@settings(max_examples=300)
@given(st.dictionaries(st.text(min_size=1), JSON_VALUES, min_size=1, max_size=5), st.data())
def test_truncated_reply_never_gains_a_value(document: dict[str, object], data: st.DataObject) -> None:
    body = json.dumps(document).encode()
    cut = body[: data.draw(st.integers(1, len(body) - 1))]
    try:
        kept = decode(cut)
    except MinerReplyError:
        return
    assert _is_part(kept, document)


def _is_part(kept: object, whole: object) -> bool:
    if isinstance(kept, dict):
        return isinstance(whole, dict) and all(key in whole and _is_part(value, whole[key]) for key, value in kept.items())
    if isinstance(kept, list):
        return isinstance(whole, list) and len(kept) <= len(whole) and all(map(_is_part, kept, whole))
    return kept == whole
