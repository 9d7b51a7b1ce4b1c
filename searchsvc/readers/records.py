"""Records: many articles in one file, as JSON Lines or JSON. Tables are in `tables.py`."""

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import blocks, is_packed, lines, too_large, whole
from searchsvc.readers.encoding import decode
from searchsvc.readers.feed import from_entry, json_entry
from searchsvc.readers.fields import TEXT, from_record
from searchsvc.readers.json_stream import JsonStream, one_value
from searchsvc.text.article import Problem, RawArticle

__all__ = ["from_record", "read_json", "read_json_lines", "text_lines"]

_LISTS = frozenset({"articles", "items", "data", "results", "records"})
# An item of a JSON Feed has these, wherever in the file its feed says that it is one.
_FEED_TEXT = frozenset({"content_html", "content_text"})
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_json_lines(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the article of each line; a broken line is a `Problem`. `limit`: bytes of one line.

    Raises `OSError`, and `Unreadable` where the whole file is damaged or empty.
    """
    count = 0
    for number, line in enumerate(text_lines(path, limit), 1):
        where = f"{path}, line {number}"
        try:
            if isinstance(line, Unreadable):
                raise line
            if not line.strip():
                continue
            count += 1
            record = one_value(line)
        except Unreadable as fault:
            yield Problem(where, fault.message)
            continue
        yield from _article(record, where, key, count)


def read_json(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the articles of a list, of a list inside one object (such as a JSON Feed), or of one object.

    Everything before a damaged place is kept. `limit`: bytes of one record. Raises `OSError`, and
    `Unreadable` with line and column at the first place that is not JSON.
    """
    stream = JsonStream(_json_pieces(path, limit), limit)
    if not stream.peek():
        raise Unreadable("is empty")
    records = _wrapped(stream) if stream.peek() == "{" else _elements(stream)
    for count, (line, record) in enumerate(records, 1):
        where = f"{path}, line {line}"
        if stream.size > limit:
            yield Problem(where, too_large(limit).message)
        else:
            yield from _article(record, where, key, count)
    if stream.peek():
        raise Unreadable(f"more than one JSON value (line {stream.line}); JSON Lines are named .jsonl")


def text_lines(path: Path, limit: int) -> Iterator[str | Unreadable]:
    """Yield the lines of a file without their newlines; an error for one that cannot be read.

    A file of at most `limit` bytes may have any encoding, all else must be UTF-8 and is never held whole.
    Raises `OSError`, and `Unreadable` where the file is damaged or has nothing in it.
    """
    if _fits(path, limit):
        text = _decoded(whole(path, limit))
        # Not splitlines(): JSON strings may hold U+2028 and others that it takes for the end of a line.
        yield from (text if "\n" in text else text.replace("\r", "\n")).split("\n")
        return
    blank = True
    for number, line in enumerate(lines(path, limit), 1):
        if line is None:
            blank = False
            yield too_large(limit)
            continue
        if number == 1 and line.startswith(_WIDE_MARKS):
            raise Unreadable("is UTF-16; only small files may be: store it as UTF-8")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            blank = False
            yield Unreadable("is not UTF-8")
            continue
        blank = blank and not text.strip()
        yield text
    if blank:
        raise Unreadable("is empty")


def _article(record: object, where: str, key: str, count: int) -> Iterator[RawArticle | Problem]:
    if not isinstance(record, Mapping):
        yield Problem(where, "not a record with named fields")
    elif not _FEED_TEXT.isdisjoint(record) and not any(name in record for name in TEXT):
        yield from from_entry(json_entry(record), where, key)
    else:
        yield from from_record(record, where=where, fallback_key=f"{key}#{count}")


def _elements(stream: JsonStream) -> Iterator[tuple[int, object]]:
    if stream.peek() != "[":
        raise Unreadable("neither a list of articles nor an object")
    yield from stream.elements()


def _wrapped(stream: JsonStream) -> Iterator[tuple[int, object]]:
    """Yield the records of the list inside an object; the object itself where it has none."""
    line, fields, is_list = stream.line, dict[str, object](), False
    stream.expect("{")
    while stream.peek() != "}":
        name = str(stream.value()) if stream.peek() == '"' else stream.expect('"')
        stream.expect(":")
        if name in _LISTS and stream.peek() == "[" and not any(field in fields for field in TEXT):
            is_list = True
            yield from stream.elements()
        else:
            value = stream.value()
            if not is_list:
                fields[name] = value
        if stream.total > stream.limit and not is_list:
            raise too_large(stream.limit)
        if stream.expect(",}") == "}":
            break
    else:
        stream.expect("}")
    if not is_list:
        yield line, fields


def _fits(path: Path, limit: int) -> bool:
    return not is_packed(path) and path.stat().st_size <= limit


def _decoded(data: bytes) -> str:
    try:
        return decode(data)
    except Unreadable:
        if b"\0" not in data:
            raise
    # Zero bytes are what a crash leaves at the end of a log: they cost their lines only.
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Unreadable("looks binary, not text") from fault


def _json_pieces(path: Path, limit: int) -> Iterator[str]:
    if _fits(path, limit):
        yield _decoded(whole(path, limit))
        return
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for block in blocks(path):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as fault:
        raise Unreadable("is not UTF-8") from fault
