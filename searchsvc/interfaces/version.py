"""The version: which searchsvc this is."""

FROM_SOURCE = "0.2.0+source"  # a test holds it to pyproject.toml


def version() -> str:
    """Return the version that is installed, or that of a checkout which is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("searchsvc")
    except PackageNotFoundError:
        return FROM_SOURCE
