"""The language of a text, where its source does not say."""

SAMPLE = 1_000  # characters
LEAST = 40


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a text is most likely in; None when it is too short to tell."""
    from py3langid import classify

    sample = text[:SAMPLE]
    return str(classify(sample)[0]) if len(sample) >= LEAST else None
