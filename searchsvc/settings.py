"""Settings: every choice that a person can make, declared once.

The environment variables (`SEARCHSVC_` and the name in capitals) and the command line's options are made from these
fields; a test holds the table in docs/operating.md to them. Below the front door (`library`) nobody sees this object:
parts are given plain values.
"""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from searchsvc.errors import BadInput

PREFIX = "SEARCHSVC_"
HOSTNAME = re.compile(r"[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:.]+\]")  # as a browser sends it; an IPv6 address in brackets


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; each field's metadata says what it is for."""

    index: str | Path = field(default=Path("index"), metadata={"help": "folder of the index"})
    model: str = field(
        default="",
        metadata={
            "help": "sentence-transformers model: a folder, a name on the hub, or all-MiniLM-L6-v2 (bundled); "
            "empty: the one that the index was made with, or else the bundled one. A search uses the one that the "
            "index was made with; `index` and `rebuild` make it anew with another"
        },
    )
    rerank: str = field(
        default="",
        metadata={
            "help": "cross-encoder that reads the 30 best passages of a search once more and orders them: a folder, or "
            "a name on the hub; empty: none"
        },
    )
    engine: str = field(
        default="local",
        metadata={
            "help": "local (files beside the catalogue) or memory (exact, read from the catalogue at each start; for "
            "some thousand articles)",
            "choices": ("local", "memory"),
        },
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda", "choices": ("auto", "cpu", "cuda")})
    passage_tokens: int = field(
        default=0,
        metadata={
            "help": "most tokens of a passage, title not counted; 0: those that the index was made with, or else 160",
            "range": (16, 8192),
        },
    )
    article_bytes: int = field(
        default=10_000_000, metadata={"help": "most bytes of one article; larger ones are reported and skipped"}
    )
    reading_seconds: int = field(
        default=60,
        metadata={
            "help": "seconds that reading may take to come to the next article of a file or page; one that takes "
            "longer is given up and reported",
            "range": (1, 3600),
        },
    )
    cache: str | Path | None = field(
        default=None, metadata={"help": "folder for compiled models; empty: the user's cache folder"}
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address that `serve` listens on"})
    port: int = field(default=8000, metadata={"help": "port that `serve` listens on", "range": (0, 65535)})
    hostnames: str = field(
        default="",
        metadata={
            "help": "names, separated by commas, by which `serve` is called besides this machine's own, such as "
            "news.example.org behind a proxy"
        },
    )
    workers: int = field(default=1, metadata={"help": "processes that `serve` answers with", "range": (1, 64)})
    watch: str = field(
        default="",
        metadata={"help": "files, folders and feeds that `serve` keeps the index in step with, quoted as for a shell"},
    )
    rescan_seconds: int = field(
        default=60,
        metadata={"help": "`watch`: all files are looked at again after so many seconds", "range": (1, 86400)},
    )
    feed_minutes: int = field(
        default=15, metadata={"help": "`watch`: feeds are asked again after so many minutes", "range": (1, 1440)}
    )
    private_networks: str = field(
        default="refuse",
        metadata={"help": "feeds and pages on private networks: refuse or allow", "choices": ("refuse", "allow")},
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            choices, bounds = one.metadata.get("choices"), one.metadata.get("range")
            if choices and value not in choices:
                raise BadInput(f"{one.name} is {value!r}; it must be one of {', '.join(choices)}")
            if bounds and value != one.default and not bounds[0] <= value <= bounds[1]:
                raise BadInput(f"{one.name} is {value}; it must be from {bounds[0]} to {bounds[1]}")
        try:
            shlex.split(self.watch)
        except ValueError as error:
            raise BadInput(f"watch is {self.watch!r}: {str(error).lower()}", "quote it as for a shell") from None
        for name in self.names:
            if not HOSTNAME.fullmatch(name):
                raise BadInput(f"{name!r} is no name of a host", "give it without http:// and without a port")
        if self.article_bytes < 1:
            raise BadInput("article_bytes must be at least 1")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables; raises BadInput for one that is misspelt or unusable."""
        known = {PREFIX + one.name.upper(): one for one in fields(cls)}
        given: dict[str, object] = {}
        for variable in sorted(name for name in environment if name.startswith(PREFIX)):
            if variable not in known:
                raise BadInput(f"there is no setting {variable}", f"known are {', '.join(sorted(known))}")
            one = known[variable]
            kind = kind_of(one)
            try:
                given[one.name] = kind(environment[variable]) if environment[variable] or kind is not Path else None
            except ValueError:
                raise BadInput(f"{variable} must be a whole number, not {environment[variable]!r}") from None
        return cls(**given)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that give another process these settings."""
        chosen = ((one.name, getattr(self, one.name), one.default) for one in fields(self))
        return {PREFIX + name.upper(): str(value) for name, value, default in chosen if value != default}

    @property
    def index_folder(self) -> Path:
        """Where the index lies."""
        return Path(self.index).expanduser().resolve()

    @property
    def names(self) -> frozenset[str]:
        """The names in `hostnames`, in lower case."""
        given = (name.strip().lower().removesuffix(".") for name in self.hostnames.split(","))
        return frozenset(name for name in given if name)

    @property
    def cache_folder(self) -> Path:
        """Where compiled models are kept."""
        if self.cache is not None:
            return Path(self.cache).expanduser().resolve()
        from platformdirs import user_cache_path

        return user_cache_path("searchsvc")


def kind_of(setting: "Field[Any]") -> Any:
    """Return what the text of a setting is made into."""
    return Path if setting.default is None or isinstance(setting.default, Path) else type(setting.default)
