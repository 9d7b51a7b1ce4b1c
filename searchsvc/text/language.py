"""Language: the code that a source gives, or, where it gives none, the one that a text is most likely in."""

import re

SAMPLE, MIN_LENGTH = 1_000, 40  # characters


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a text is most likely in; None when it is too short to tell."""
    from py3langid import classify

    sample = text[:SAMPLE]
    return str(classify(sample)[0]) if len(sample) >= MIN_LENGTH else None


def language_code(tag: object) -> str | None:
    """Return the ISO 639-1 code at the start of a language tag: `en` of `en-GB`; None where there is none."""
    match = re.match(r"\s*([A-Za-z]{2})(?:[-_.]|\s*$)", tag) if isinstance(tag, str) else None
    return match[1].lower() if match else None
