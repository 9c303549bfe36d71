#!/usr/bin/env bash
# One language of Common Voice from any source model. Usage: run.sh LANG CORPUS_DIR SOURCE [--from STAGE] [--to STAGE]
# SOURCE: multilingual-small, a model's folder, hf:ORGANISATION/NAME, or a .nemo archive.
set -euo pipefail
usage="usage: run.sh LANG CORPUS_DIR SOURCE [--from STAGE] [--to STAGE]"
lang=${1:?$usage} corpus=$(realpath "${2:?$usage}") source=${3:?$usage}
[[ ! -e $source ]] || source=$(realpath "$source")
cd "$(dirname "$0")"
names="prepare check adapt evaluate scratch compare"
source ../stages.sh
stages "${@:4}"
case "$from" in scratch | compare) ;; *) to=${to:-evaluate} ;; esac

name=$(basename "$source" .nemo)
run() { # run VERB OUT [OPTION...]: once with each seed
  for seed in "${seeds[@]}"; do
    speechxfer "$1" --config recipe.toml --out "$2-$seed" --train "data/$lang/train.jsonl" --dev "data/$lang/dev.jsonl" --language "$lang" \
      --set "finetune.seed=$seed" "${@:3}" $SETTINGS
  done
}
score() { # score OUT ROW
  local on=("${seeds[@]/#/$1-}" --on "data/$lang/test.jsonl" --resample --mono --results results.json --row "$2" --split "$lang")
  speechxfer evaluate "${on[@]}" --out "$1/test" --no-lm
  if has_lm "${seeds[@]/#/$1-}"; then speechxfer evaluate "${on[@]}" --out "$1/test-lm"; fi
  speechxfer report "$1-${seeds[0]}" --on "data/$lang/test.jsonl" --out "$1/report.html" --resample --mono
}

if stage prepare; then python -m data_scripts.prepare_common_voice "$corpus" "data/$lang" --lang "$lang" $PREPARE; fi
if stage check; then speechxfer check "data/$lang"/{train,dev,test}.jsonl --config recipe.toml --model "$source"; fi
if stage adapt; then run adapt "exp/$lang/$name" --source "$source"; fi
if stage evaluate; then score "exp/$lang/$name" finetuned; fi
if stage scratch; then run train "exp/$lang/scratch" "${from_scratch[@]}"; fi
if stage compare; then
  score "exp/$lang/scratch" scratch
  for number in "${!seeds[@]}"; do
    part=$((number + 1))/report.json
    ((${#seeds[@]} > 1)) || part=report.json
    speechxfer compare "exp/$lang"/{"$name",scratch}/"test/$part"
  done
fi
