"""A CSV or XLSX file of miners as rows of named cells: byte order mark, delimiter and header spelling are seen to here."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sites.spreadsheets import FORMULA_STARTS, UnreadableSpreadsheet, sheet_lines

COLUMNS = {
    "miner_id": "miner_id",
    "ip_address": "ip_address",
    "ip": "ip_address",
    "port": "port",
    "model": "model",
    "serial": "serial_number",
    "serial_number": "serial_number",
    "mac": "mac_address",
    "mac_address": "mac_address",
    "worker": "worker_name",
    "worker_name": "worker_name",
    "zone": "zone",
    "rack": "rack",
    "slot": "slot",
}
ZIP = b"PK\x03\x04"
"""How an XLSX file begins."""
NOTHING = "–"
REQUIRED = ("miner_id", "ip_address")
MAX_BYTES = 50_000_000


class UnreadableFile(Exception):
    """Nothing of the file can be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in one row. `row` counts as a spreadsheet does: the header is row 1."""

    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Row:
    """One miner's cells by column, blanks at the ends removed; empty cells are left out."""

    number: int
    cells: Mapping[str, str]

    @property
    def miner_id(self) -> str:
        return self.cells.get("miner_id", "")


@dataclass(slots=True)
class Table:
    """The file's rows. `columns` are those present, by the values of COLUMNS; the others are in `ignored_columns` as they were written."""

    columns: Sequence[str]
    ignored_columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Of the file's rows, also those that could not be read."""
        return len(self.rows) + len({error.row for error in self.errors})


def read_table(raw: bytes, *, required: Sequence[str] = REQUIRED) -> Table:
    """Raise UnreadableFile when it is no such file at all; errors of single rows are in the table."""
    lines = _spreadsheet_lines(raw) if raw.startswith(ZIP) else _csv_lines(raw)
    try:
        header = next(lines)
    except StopIteration:
        raise UnreadableFile(_("The file is empty.")) from None
    except csv.Error as error:
        raise UnreadableFile(_("The first line cannot be read as CSV: %(error)s.") % {"error": error}) from error
    names = [COLUMNS.get(cell.strip().lower().replace(" ", "_").replace("-", "_")) for cell in header]
    table = _table(header, names, required)
    _read_rows(lines, names, table)
    return table


def _csv_lines(raw: bytes) -> Iterator[list[str]]:
    text = decoded(raw)
    return csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise UnreadableFile(_("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES // 1_000_000})


def _spreadsheet_lines(raw: bytes) -> Iterator[list[str]]:
    _check_size(raw)
    try:
        yield from sheet_lines(raw)
    except UnreadableSpreadsheet:
        raise UnreadableFile(_("The file begins like an XLSX file but cannot be read as one. Save it again, or as CSV.")) from None


def decoded(raw: bytes) -> str:
    """The text of a file as spreadsheets save it. Raise UnreadableFile when it is too large or no text."""
    _check_size(raw)
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            _("The file is not UTF-8 text (byte %(at)d). Save it as “CSV UTF-8” or as XLSX.") % {"at": error.start}
        ) from error


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max((",", ";", "\t"), key=header.count)


def _table(header: Sequence[str], names: Sequence[str | None], required: Sequence[str]) -> Table:
    known = [name for name in names if name]
    missing = [name for name in required if name not in known]
    if missing:
        found = ", ".join(cell.strip() for cell in header if cell.strip())[:200] or NOTHING
        text = ngettext(
            "The first line must name the columns; %(missing)s is missing. Found: %(found)s.",
            "The first line must name the columns; %(missing)s are missing. Found: %(found)s.",
            len(missing),
        )
        raise UnreadableFile(text % {"missing": _(" and ").join(missing), "found": found})
    doubled = sorted({name for name in known if known.count(name) > 1})
    if doubled:
        raise UnreadableFile(_("The column %(name)s is there twice.") % {"name": doubled[0]})
    columns = list(dict.fromkeys((*known, "port")))  # an address may carry its port
    ignored = [cell.strip() for cell, name in zip(header, names, strict=True) if name is None and cell.strip()]
    return Table(columns, ignored)


def _read_rows(lines: Iterator[list[str]], names: Sequence[str | None], table: Table) -> None:
    number = 1
    try:
        for number, line in enumerate(lines, start=2):
            if not any(cell.strip() for cell in line):
                continue
            if any(cell.strip() for cell in line[len(names) :]):
                table.errors.append(RowError(number, "row", _("has more cells than the header; quote values that contain the delimiter")))
                continue
            cells = {name: text for name, cell in zip(names, line, strict=False) if name and (text := _plain(cell.strip()))}
            table.rows.append(Row(number, cells))
    except csv.Error as error:
        text = _("cannot be read as CSV (%(error)s); the rows from here on were not read")
        table.errors.append(RowError(number + 1, "row", text % {"error": error}))


def _plain(cell: str) -> str:
    """Without the apostrophe that an export of ours puts before what a spreadsheet would take for a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:2] in FORMULA_STARTS else cell
