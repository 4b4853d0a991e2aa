#!/usr/bin/env bash
# Installs wheel and source archive in empty environments and runs them from another folder; with "tests", the whole suite on the wheel.
# Usage: tests/try_distribution.sh DIST [tests]
set -euo pipefail
source="$(cd "$(dirname "$0")/.." && pwd)"
distribution="$(cd "$1" && pwd)"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT

in_empty_environment() { # ENVIRONMENT ARCHIVE
    "${PYTHON:-python3}" -m venv "$1"
    "$1/bin/python" -m pip install --quiet torch==2.13.0
    "$1/bin/python" -m pip install --quiet "$2"
    (cd "$place" && "$1/bin/python" -m toy run decay --seeds 1 --runs "$1/runs" >/dev/null)
    echo "$(basename "$2"): installed, and \`python -m toy run decay\` works from another folder"
}

in_empty_environment "$place/wheel" "$distribution"/*.whl
if [ "${2:-}" = tests ]; then
    "$place/wheel/bin/python" -m pip install --quiet --require-hashes --no-deps --requirement "$source/requirements.txt"
    "$place/wheel/bin/python" -m pip install --quiet --no-deps torchvision==0.28.0
    mkdir "$place/suite"
    cp -r "$source"/{tests,benchmarks,docs,README.md,pyproject.toml} "$place/suite"
    ln -s "$source/../shared" "$place/shared" # data that some tests use where it is there
    (cd "$place/suite" && "$place/wheel/bin/python" -P -m pytest --numprocesses "${JOBS:-2}" --dist loadfile tests)
else
    in_empty_environment "$place/sdist" "$distribution"/*.tar.gz
fi
