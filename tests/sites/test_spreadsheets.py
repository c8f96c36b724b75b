"""Spreadsheets that a person gives to this server."""

from __future__ import annotations

import io
import zipfile

import pytest

from sites.spreadsheets import TEXTS_AT_MOST, UnreadableSpreadsheet, sheet_lines


@pytest.mark.once
def test_small_file_with_texts_that_would_fill_the_memory_is_refused_before_they_are_read():
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"a" * (TEXTS_AT_MOST + 1))
    assert len(raw.getvalue()) < 100_000
    with pytest.raises(UnreadableSpreadsheet, match="too large"):
        sheet_lines(raw.getvalue())
