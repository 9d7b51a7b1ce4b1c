# Recipes for working on searchsvc; `just` lists them.

default:
    @just --list

# lint and types
check:
    ruff check .
    ruff format --check .
    mypy

# tests: all, or those named
test *paths:
    pytest {{paths}}

# figures of one benchmark of tests/benchmarks, such as: just bench serving --help
bench name *options:
    python tests/benchmarks/{{name}}.py {{options}}

# what the linter can repair
fix:
    ruff check --fix .
    ruff format .
