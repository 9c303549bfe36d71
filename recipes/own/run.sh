#!/usr/bin/env bash
# From a table of recordings and transcripts to an adapted model and its WER.
# Usage: run.sh TABLE.tsv OUT_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh TABLE OUT_DIR [--from STAGE] [--to STAGE]"
table=$(realpath "${1:?$usage}") out=$(realpath -m "${2:?$usage}")
cd "$(dirname "$0")"
names="prepare check adapt evaluate"
source ../stages.sh
stages "${@:3}"

if stage prepare; then python ../../data_scripts/prepare_table.py "$table" "$out/data"; fi
if stage check; then speechxfer check "$out"/data/{train,dev,test}.jsonl --config recipe.toml --fix "$out/clean"; fi
if stage adapt; then
  speechxfer adapt recipe.toml --source english --out "$out/run" --train "$out/clean/train.jsonl" --dev "$out/clean/dev.jsonl" $SETTINGS
fi
if stage evaluate; then
  speechxfer evaluate "$out/run" --on "$out/clean/test.jsonl" --out "$out/test" --resample --mono
  echo "Errors, aligned: $out/test/report.txt. Next: speechxfer transcribe $out/run NEW_RECORDING.wav" >&2
fi
