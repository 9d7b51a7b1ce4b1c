"""Encoding: the text that the bytes of a file stand for.

In this order: what a byte order mark says; UTF-16 and UTF-32 without a mark, known by their zero bytes;
UTF-8, where a few broken bytes among many good letters are forgiven; then a legacy encoding, guessed.
"""

import codecs
import unicodedata
from collections import Counter

from searchsvc.errors import Unreadable

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
# Those that news was written in. charset-normalizer knows ninety, and guesses Mac Iceland for German.
_LEGACY = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859_2", "koi8_r", "koi8_u",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
]  # fmt: skip
# These four share most of their bytes; the letters of one language settle which it was.
_LATIN = {
    "cp1252": (
        "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü¿¡ºª", "ãáâàçéêíõóôúºª", "àèéìíîòóùú", "éëïöüèáóíê", "åäöé",
        "æøåéö", "áðéíóúýþæö", "àçéèíïóòúü·",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "iso8859_2": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "cp1254": ("çğıiöşüâîû",),
}  # fmt: skip
_NOT_LETTERS = frozenset("\u00a0\u00ad“”„‘’‚–—…«»‹›•€£¥°§©®™´")
_SAMPLE = 65_536


def decode(data: bytes) -> str:
    """Return the text that the bytes stand for, without a byte order mark.

    Raises `Unreadable` where there is no text in them ("is empty") or they are not text at all.
    """
    if not data.strip():
        raise Unreadable("is empty")
    text = _decoded(data)
    if not text.strip("\ufeff \t\r\n"):
        raise Unreadable("is empty")
    return text.removeprefix("\ufeff")


def declared(data: bytes, name: str) -> str | None:
    """Return the text by the encoding of this name; None where there is none such or the bytes deny it."""
    name = name.strip().lower()
    # Pages that say Latin-1, GB2312 or Shift JIS mean the larger sets that browsers read them with.
    wider = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"} | {
        "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-9": "cp1254"
    }  # fmt: skip
    try:
        codec = codecs.lookup(name).name
        return data.decode(wider.get(codec, codec))
    except (LookupError, UnicodeError):
        return None


def _decoded(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            # Whatever follows half a character at the end is not worth the whole file.
            text = data[len(mark) :].decode(name, "replace")
            if _broken(text) > 1 + len(text) // 100:
                raise _binary()
            return text
    if b"\0" in data:
        return _wide(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    # Legacy bytes fall into valid UTF-8 sequences by rare chance only.
    if sum(letter > "\x7f" for letter in text) > 10 * _broken(text):
        return text
    return _legacy(data)


def _broken(text: str) -> int:
    return text.count("\ufffd") + text.count("\0")


def _wide(data: bytes) -> str:
    """Read UTF-16 or UTF-32 without a mark: of the readings without impossible characters, the plainest."""
    best, best_count = "", -1
    for name in _WIDE:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        sample = text[:_SAMPLE]
        odd = sum(
            unicodedata.category(letter) in {"Cc", "Cn", "Co", "Cs"} for letter in sample if letter not in "\r\n\t\f"
        )
        plain = sum(letter < "\x7f" for letter in sample)
        sense = sum(letter.isalnum() or letter.isspace() for letter in sample)
        if odd * 100 <= len(sample) and sense * 10 >= len(sample) * 7 and plain > best_count:
            best, best_count = text, plain
    if best_count < 0:
        raise _binary()
    return best


def _legacy(data: bytes) -> str:
    from charset_normalizer import from_bytes

    controls = sum(data.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\v\x1b\x1a")
    if controls * 200 > len(data):
        raise _binary()
    sample = _non_ascii_lines(data)
    guess = from_bytes(sample, cp_isolation=_LEGACY, enable_fallback=False, threshold=0.4).best()
    if guess is None:
        raise _binary()
    name = guess.encoding
    if name in _LATIN:
        name = _latin(sample)
    elif name in {"cp949", "gb18030", "big5"} and _is_japanese(sample):
        name = "euc_jp"
    text = data.decode(name, "replace")
    if _broken(text) * 100 > len(text):
        raise _binary()
    return text


def _non_ascii_lines(data: bytes) -> bytes:
    """Return the lines that are not plain ASCII; the others say nothing about the encoding."""
    lines, size = [], 0
    for line in data.split(b"\n"):
        if not line.isascii() and size < _SAMPLE:
            lines.append(line[:_SAMPLE])
            size += len(line)
    return b"\n".join(lines)


def _latin(sample: bytes) -> str:
    """Return the encoding by which one language explains most of the letters; Western where several do."""
    best, best_share = "cp1252", -1.0
    for name, alphabets in _LATIN.items():
        text = sample.decode(name, "replace").lower()
        letters = Counter(letter for letter in text if letter > "\x7f" and letter not in _NOT_LETTERS)
        for alphabet in alphabets:
            explained = sum(letters[letter] for letter in set(alphabet)) / max(1, letters.total())
            if explained > best_share:
                best, best_share = name, explained
        if not letters:
            return name
    return best


def _is_japanese(sample: bytes) -> bool:
    """Say whether what passes for Korean or Chinese is EUC-JP: where it has kana, Korean has stray jamo."""
    text = sample.decode("euc_jp", "replace")
    return sum("\u3041" <= letter <= "\u3096" for letter in text) * 10 > len(text)


def _binary() -> Unreadable:
    return Unreadable("looks binary, not text")
