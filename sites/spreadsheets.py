"""XLSX files, read and written row by row, and cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the full-width forms, which a spreadsheet set to Chinese or Japanese takes for the same."""
UNPACKED_AT_MOST = 300_000_000
TEXTS_AT_MOST = 30_000_000
"""Of the part that openpyxl holds in memory whole, at several times its size."""
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_BROKEN = (zipfile.BadZipFile, zlib.error, InvalidFileException, KeyError, IndexError, ValueError, TypeError, AttributeError, ParseError)
"""What openpyxl raises of files that only begin like one of its own."""
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class UnreadableSpreadsheet(Exception):
    """It is no XLSX file, or unpacks to more than UNPACKED_AT_MOST bytes, or TEXTS_AT_MOST of texts."""


def sheet_lines(raw: bytes) -> Iterator[list[str]]:
    """The cells of the first sheet as text, line by line. Raises UnreadableSpreadsheet, at once or where it is found to be broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            parts = archive.infolist()
            texts = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
            if texts > TEXTS_AT_MOST or sum(part.file_size for part in parts) > UNPACKED_AT_MOST:
                raise UnreadableSpreadsheet("too large")
        sheet = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True).worksheets[0]
    except _BROKEN:
        raise UnreadableSpreadsheet("not an XLSX file") from None
    return _lines_of(sheet)


def _lines_of(sheet: Any) -> Iterator[list[str]]:
    try:
        for line in sheet.iter_rows(values_only=True):
            yield [_text(cell) for cell in line]
    except _BROKEN:  # the cells are unpacked as they are read
        raise UnreadableSpreadsheet("broken in the middle") from None


def _text(cell: Any) -> str:
    """As a person sees it: 4028 is no 4028.0."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def safe_cell(value: Any) -> Any:
    """`value` with an apostrophe before it where a spreadsheet would carry it out: what a miner reports is nobody's word."""
    if not isinstance(value, str):
        return value
    if value.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def write_sheet(lines: Iterable[Sequence[Any]]) -> IO[bytes]:
    """A temporary XLSX file of `lines`, which are not all in memory at once; the reader closes it."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for line in lines:
        sheet.append([_NOT_IN_XML.sub("", cell) if isinstance(cell, str) else cell for cell in line])
    file = tempfile.TemporaryFile()  # noqa: SIM115  # whoever answers with it closes it
    book.save(file)
    file.seek(0)
    return file
