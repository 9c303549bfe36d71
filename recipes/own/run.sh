#!/usr/bin/env bash
# From a table of recordings and transcripts, or an imported manifest, to an adapted model and its WER; on request, compared with
# training from scratch.
# Usage: run.sh TABLE.tsv|MANIFEST.jsonl OUT_DIR [--from STAGE] [--to STAGE]; by default up to evaluate.
set -euo pipefail
usage="usage: run.sh TABLE OUT_DIR [--from STAGE] [--to STAGE]"
table=$(realpath "${1:?$usage}") out=${2:?$usage}
mkdir -p "$out"
out=$(realpath "$out")
cd "$(dirname "$0")"
names="prepare check adapt evaluate scratch compare"
source ../stages.sh
stages "${@:3}"
case "$from" in scratch | compare) ;; *) to=${to:-evaluate} ;; esac

run() { # run VERB OUT [OPTION...]
  speechxfer "$1" --config recipe.toml --out "$2" --train "$out/clean/train.jsonl" --dev "$out/clean/dev.jsonl" "${@:3}" $SETTINGS
}

if stage prepare; then
  rm -rf "$out/data.new"
  # the stages below are the next commands, and data.new is renamed
  python -m data_scripts.prepare_table "$table" "$out/data.new" $PREPARE | sed "s|/data\.new|/data|g; s|; next: .*||"
  replace_data "$out/data.new" "$out/data" "$out/run"
fi
if stage check; then speechxfer check "$out"/data/{train,dev,test}.jsonl --config "$PWD/recipe.toml" --fix "$out/clean"; fi
if stage adapt; then run adapt "$out/run"; fi
if stage evaluate; then
  speechxfer evaluate "$out/run" --on "$out/clean/test.jsonl" --out "$out/test" --resample --mono
  speechxfer report "$out/run" --on "$out/clean/test.jsonl" --out "$out/report.html" --resample --mono
  echo "Errors with audio, to open in a browser: $out/report.html" >&2
  echo "Next: speechxfer transcribe $(printf %q "$out/run") NEW_RECORDING.wav" >&2
fi
if stage scratch; then run train "$out/scratch" "${from_scratch[@]}"; fi
if stage compare; then
  for name in run scratch; do # greedily, since only one of them may have language models
    speechxfer evaluate "$out/$name" --on "$out/clean/test.jsonl" --out "$out/$name/greedy" --resample --mono --no-lm
  done
  speechxfer compare "$out"/{run,scratch}/greedy/report.json
fi
