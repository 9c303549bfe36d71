#!/usr/bin/env bash
# Mboshi, with 10 minutes, 1 hour and all of the training speech. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare evaluate_lm average search forgetting"
source ../stages.sh
stages "${@:2}"

sizes="${SIZES:-train_10min train_1h train}"
run() { # run NAME VERB [OPTION...]: the same number of steps for every NAME, once with each size and seed
  for size in $sizes; do
    for seed in "${seeds[@]}"; do
      speechxfer "$2" --config recipe.toml --out "exp/$size/$1-$seed" --train "data/$size.jsonl" --dev data/valid.jsonl \
        --language mdw --set "finetune.seed=$seed" "${@:3}" $SETTINGS
    done
  done
}

if stage prepare; then python -m data_scripts.prepare_mboshi "$corpus" data; fi
if stage check; then speechxfer check data/{train,valid,dev}.jsonl --config recipe.toml; fi
if stage scratch; then run scratch train "${from_scratch[@]}"; fi
if stage frozen; then adapt_from_each frozen --set finetune.freeze=encoder; fi
if stage finetuned; then adapt_from_each finetuned; fi
if stage evaluate; then
  for size in $sizes; do
    for name in $(names_of $kinds); do
      speechxfer evaluate "${seeds[@]/#/exp/$size/$name-}" --on data/dev.jsonl --out "exp/$size/$name/dev" --no-lm \
        --results results.json --row "${name%%-*}"
    done
    report_kinds "exp/$size" data/dev.jsonl --curve results.json
  done
fi
if stage compare; then
  for size in $sizes; do compare_finetuned "exp/$size" dev; done
fi
if stage evaluate_lm; then
  for size in $sizes; do
    for name in $(names_of $kinds); do evaluate_with_lm "exp/$size" "$name" data/dev.jsonl; done
  done
fi
if stage average && scored finetuned; then
  for size in $sizes; do
    for name in $(names_of finetuned); do average_seeds "exp/$size" "$name" data/valid.jsonl data/dev.jsonl; done
  done
fi
if stage search; then # of all the training speech
  python -m recipes.keyword_search "${seeds[@]/#/exp/train/finetuned-${sources[0]##*/}-}" --on data/dev.jsonl --out keyword_search.json
fi
if stage forgetting && knows_source_speech; then
  source_speech "$KATHLEEN_DIR"
  for size in $sizes; do forgetting_of_finetuned "exp/$size"; done
fi
