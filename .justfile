# `just RECIPE`; without just, the lines below each recipe are the commands. `just` lists them.

default:
    @just --list

# install everything into .venv
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -e '.[dev]'

# run the tests; `just test tests/stats -k bootstrap` runs some
test *arguments='-n auto':
    .venv/bin/pytest {{arguments}}

# style, types, and the arrows between rooms
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/lint-imports

# measure: opening, evaluation, query_batch, serve, training, ... of tests/benchmarks
bench name='opening' *arguments:
    .venv/bin/python tests/benchmarks/{{name}}.py {{arguments}}

# open broken and hostile files for some minutes
fuzz minutes='1' *arguments:
    .venv/bin/python tests/fuzz/run.py --minutes {{minutes}} {{arguments}}

# what CI runs, in fresh environments
ci:
    bash .ci/run
