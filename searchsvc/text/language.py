"""A language: the code that a source gives, or, where it gives none, the one that a text is most likely in."""

import re

SAMPLE = 1_000  # characters
LEAST = 40


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a text is most likely in; None when it is too short to tell."""
    from py3langid import classify

    sample = text[:SAMPLE]
    return str(classify(sample)[0]) if len(sample) >= LEAST else None


def language_code(said: object) -> str | None:
    """Return the ISO 639-1 code at the start of a language tag: `en` of `en-GB`; None where there is none."""
    found = re.match(r"\s*([A-Za-z]{2})(?:[-_.]|\s*$)", said) if isinstance(said, str) else None
    return found[1].lower() if found else None
