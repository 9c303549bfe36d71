#!/usr/bin/env bash
# Yoruba (or a sister corpus in its layout). Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare evaluate_lm average forgetting"
source ../stages.sh
stages "${@:2}"

run() { # run NAME VERB [OPTION...]: the same budget of steps for every NAME, once with each seed
  for seed in "${seeds[@]}"; do
    speechxfer "$2" --config recipe.toml --out "exp/$1-$seed" --train data/train.jsonl --dev data/dev.jsonl \
      --language "${LANGUAGE_CODE:-yo}" --set "finetune.seed=$seed" "${@:3}" $SETTINGS
  done
}

if stage prepare; then python -m data_scripts.prepare_yoruba "$corpus" data --lang "${LANGUAGE_CODE:-yo}"; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run scratch train "${from_scratch[@]}"; fi
if stage frozen; then adapt_from_each frozen --set finetune.freeze=encoder; fi
if stage finetuned; then adapt_from_each finetuned; fi
if stage evaluate; then
  for name in $(names_of $kinds); do
    speechxfer evaluate "${seeds[@]/#/exp/$name-}" --on data/test.jsonl --out "exp/$name/test" --no-lm \
      --results results.json --row "${name%%-*}"
  done
  report_kinds exp data/test.jsonl
fi
if stage compare; then compare_finetuned exp test; fi
if stage evaluate_lm; then
  for name in $(names_of $kinds); do evaluate_with_lm exp "$name" data/test.jsonl; done
fi
if stage average && scored finetuned; then
  for name in $(names_of finetuned); do average_seeds exp "$name" data/dev.jsonl data/test.jsonl; done
fi
if stage forgetting && knows_source_speech; then
  source_speech "$KATHLEEN_DIR"
  forgetting_of_finetuned exp
fi
