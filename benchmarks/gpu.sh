#!/usr/bin/env bash
# Run all that needs an NVIDIA GPU, in less than ten minutes: its tests and its benchmarks.
#
#     bash benchmarks/gpu.sh [WHEELS [OUT]]
#
# The machine has Python, CuPy and its CUDA, and needs no network: what else is missing is installed
# from the folder WHEELS. Filled where there is a network, for Python 3.12 and a machine that has
# numba, pandas, scipy, seaborn, sympy, xarray, h5py, hypothesis and pytest, it takes 3 MB:
#
#     pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
#         --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 -d WHEELS \
#         zarr numcodecs msgspec donfig google-crc32c array-api-compat array-api-strict h5netcdf \
#         tyro typeguard docstring-parser platformdirs \
#         hatchling editables packaging pathspec pluggy tomlkit trove-classifiers
#
# What comes out goes to OUT (gpu-results, or $OUT): log.txt, tests.xml, NAME-cuda.json of each
# benchmark, summary.md. Every part has a time limit and leaves what it had by then; a part that
# fails does not keep the next from running. The JSON files belong into benchmarks/results, whence
# `python benchmarks/report.py` fills the READMEs.
set -uo pipefail

wheels=${1:-}
out=${2:-${OUT:-gpu-results}}
seconds=${SECONDS_IN_ALL:-560}
device=${DEVICE:-cuda} # cpu, with OPTIONS=--quick, tries this script where there is no GPU
options=${OPTIONS:-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -z "$wheels" ] || wheels=$(cd "$wheels" && pwd)
cd "$(dirname "$0")/.." || exit 1
python=$(command -v python3 || command -v python)
results=benchmarks/results
STATMECH_BN_CACHE=${STATMECH_BN_CACHE:-$(mktemp -d)}
export STATMECH_BN_CACHE MPLBACKEND=Agg PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
failed=0

say() { echo "$*" | tee -a "$out/log.txt" "$out/summary.md"; }

# part NAME LIMIT COMMAND...: run with a limit in seconds, and no longer than is left of all
part() {
    local name=$1 limit=$2 begin=$SECONDS status
    shift 2
    if ((limit > seconds - SECONDS)); then limit=$((seconds - SECONDS)); fi
    if ((limit < 5)); then
        say "- $name: no time left"
        failed=1
        return
    fi
    printf '\n== %s: %s\n' "$name" "$*" | tee -a "$out/log.txt"
    timeout --signal=INT --kill-after=10 "$limit" "$@" 2>&1 | tee -a "$out/log.txt"
    status=${PIPESTATUS[0]}
    case $status in
    0) say "- $name: done in $((SECONDS - begin)) s" ;;
    124 | 137) say "- $name: stopped at its limit of $limit s" ;;
    *) say "- $name: failed with status $status after $((SECONDS - begin)) s" ;;
    esac
    [ "$status" = 0 ] || failed=1
    cp "$results"/*-cuda.json "$out" 2>/dev/null
}

benchmark() { part "benchmark $1" "$2" "$python" benchmarks/run.py --device "$device" $options "$1"; }

: >"$out/log.txt"
echo "# On a GPU, $(date -u '+%Y-%m-%d %H:%M UTC')" >"$out/summary.md"
rm -f "$results"/*-cuda.json # those of an earlier run are not of this one
say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1)"
say "$("$python" --version), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
say ""

if [ -n "$wheels" ]; then
    part install 90 "$python" -m pip install --no-index --find-links "$wheels" --no-cache-dir \
        -e . array-api-strict hypothesis pytest
fi
mapfile -t tests < <(grep -rl 'mark\.gpu' tests --include='test_*.py')
# Warnings are errors in the tests of this project; of the machine's other packages they are shown.
part tests 180 "$python" -m pytest -m gpu -q -p no:cacheprovider -p no:xdist -W default \
    -o faulthandler_timeout=60 --durations=10 --junitxml="$out/tests.xml" "${tests[@]}"
say "  $(grep -E '(passed|failed|skipped|error)s?.* in [0-9.]+s' "$out/log.txt" | tail -n 1)"
benchmark gpu 270
benchmark offline 90
benchmark levels 90
benchmark learning_rates 90

say ""
say "$("$python" benchmarks/gpu.py 2>&1)"
echo
cat "$out/summary.md"
exit "$failed"
