"""Reads what comes in over HTTP: bounded on the wire and once unpacked, while it comes in, and tolerant of what agents call JSON."""

from __future__ import annotations

import codecs
import json
from typing import Any, Protocol

import msgspec
from gunicorn.http.errors import ParseException
from isal import isal_zlib

CHUNK_BYTES = 65_536
STEP_BYTES = 1_000_000
GZIP_MAGIC = b"\x1f\x8b"
MAX_GZIP_MEMBERS = 100
LONGEST_INTEGER = 40
ENCODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True}
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "gbk", "gb2312", "gb18030"})

GZIP_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub takes the class for an instance


class BodyRefused(Exception):
    """The whole body is refused; `status` is the HTTP status that says so."""

    status = 400


class BodyMissing(BodyRefused):
    """It did not come, and nothing is said against what it would have been."""

    status = 408


class BodyTooLarge(BodyRefused):
    status = 413


class UnsupportedBody(BodyRefused):
    status = 415


class EncryptedBody(BodyRefused):
    status = 422


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Plain:
    def __init__(self, limit: int) -> None:
        self.unpacked = bytearray()
        self._limit = limit

    def feed(self, chunk: bytes) -> None:
        self.unpacked += chunk
        if len(self.unpacked) > self._limit:
            raise BodyTooLarge(f"The body is larger than {self._limit:,} bytes.")

    def close(self) -> None:
        """Plain bytes have no end mark."""


class _Gunzip:
    """Inflates a step at a time and stops within one step of the limit, whatever the compressed bytes promise."""

    def __init__(self, limit: int) -> None:
        self.unpacked = bytearray()
        self._limit = limit
        self._members = 1
        self._inflate = isal_zlib.decompressobj(wbits=31)

    def feed(self, chunk: bytes) -> None:
        while chunk:
            if self._inflate.eof:
                chunk = self._next_member(chunk)
            else:
                self._step(chunk)
                chunk = self._inflate.unconsumed_tail or self._inflate.unused_data

    def _step(self, chunk: bytes) -> int:
        try:
            piece = self._inflate.decompress(chunk, STEP_BYTES)
        except GZIP_ERROR:
            raise BodyRefused("The body is not valid gzip.") from None
        self.unpacked += piece
        if len(self.unpacked) > self._limit:
            raise BodyTooLarge(f"The body unpacks to more than {self._limit:,} bytes.")
        return len(piece)

    def _next_member(self, chunk: bytes) -> bytes:
        chunk = chunk.lstrip(b"\0")  # gzip allows zero padding behind a member
        if chunk:
            self._members += 1
            self._inflate = isal_zlib.decompressobj(wbits=31)
        if self._members > MAX_GZIP_MEMBERS:
            raise BodyRefused(f"The body has more than {MAX_GZIP_MEMBERS} gzip members.")
        return chunk

    def close(self) -> None:
        while not self._inflate.eof and self._step(b""):  # what a full step left inside
            pass
        if not self._inflate.eof:
            raise BodyRefused("The gzip body ends too early.")


def is_gzip(content_encoding: str) -> bool:
    """Whether the header says gzip; raises UnsupportedBody for a coding this server does not unpack."""
    coding = content_encoding.strip().lower()
    if coding not in ENCODINGS:
        raise UnsupportedBody(f"Content-Encoding {coding[:40]!r} is not supported: send gzip or none.")
    return ENCODINGS[coding]


def read_body(stream: Readable, *, content_encoding: str, max_bytes: int, max_unpacked_bytes: int) -> tuple[bytearray, int]:
    """The unpacked body and its size on the wire. A gzip body without the header is recognised by its first bytes."""
    gzipped = is_gzip(content_encoding)
    chunk = _next_chunk(stream)
    sink = _Gunzip(max_unpacked_bytes) if gzipped or chunk.startswith(GZIP_MAGIC) else _Plain(max_unpacked_bytes)
    size = 0
    while chunk:
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge(f"The body is larger than {max_bytes:,} bytes.")
        sink.feed(chunk)
        chunk = _next_chunk(stream)
    if size == 0:
        raise BodyRefused("The body is empty.")
    sink.close()
    return sink.unpacked, size


def _next_chunk(stream: Readable) -> bytes:
    try:
        return stream.read(CHUNK_BYTES)
    except ParseException:  # gunicorn answers nothing more on this connection: nobody knows where the next request begins
        raise BodyRefused("The body is not well chunked.") from None
    except OSError:  # Django's UnreadablePostError; gunicorn's, when the client is gone or silent for too long
        raise BodyMissing("The rest of the body did not come.") from None


def as_utf8(body: bytearray, charset: str) -> bytearray | bytes:
    """The body in UTF-8 without a byte order mark. Bytes that the charset does not know become U+FFFD; UTF-8 itself is left as it is."""
    name = _codec_name(charset)
    if name in ("utf-8", "ascii"):
        return body.removeprefix(codecs.BOM_UTF8)
    return body.decode(name, "replace").removeprefix("\ufeff").encode("utf-8", "replace")


def _codec_name(charset: str) -> str:
    try:
        name = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        name = ""
    if name not in CHARSETS:
        raise UnsupportedBody(f"Charset {charset[:40]!r} is not supported: send UTF-8.")
    return name


_strict = msgspec.json.Decoder()


def load_json(body: bytes | bytearray) -> Any:
    """Plain JSON first; then what agents also send: NaN and Infinity (null), raw control characters, lone surrogates, bad UTF-8."""
    try:
        return _strict.decode(body)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        pass
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_constant=lambda name: None, parse_int=_integer, strict=False)
    except json.JSONDecodeError as error:
        raise BodyRefused(f"The body is not JSON: {error.msg} at character {error.pos:,}.") from None
    except RecursionError:
        raise BodyRefused("The body is nested too deeply.") from None


def _integer(digits: str) -> int | float:
    """Python refuses integers of thousands of digits with a ValueError; as a float they are merely out of every bound."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)
