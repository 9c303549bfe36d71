#!/usr/bin/env bash
# Spoken digits: official split and leave-one-speaker-out. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare forgetting crossval"
source ../stages.sh
stages "${@:2}"

run() { # run NAME VERB [OPTION...]: the same budget of steps for every NAME, once with each seed
  for seed in "${seeds[@]}"; do
    speechxfer "$2" --config recipe.toml --out "exp/$1-$seed" --train data/train.jsonl --dev data/dev.jsonl --language en \
      --set "finetune.seed=$seed" "${@:3}" $SETTINGS
  done
}

if stage prepare; then python -m data_scripts.prepare_fsdd "$corpus" data $PREPARE; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run scratch train "${from_scratch[@]}"; fi
if stage frozen; then adapt_from_each frozen --set finetune.freeze=encoder; fi
if stage finetuned; then adapt_from_each finetuned; fi
if stage evaluate; then
  for name in $(names_of $kinds); do
    speechxfer evaluate "${seeds[@]/#/exp/$name-}" --on data/test.jsonl --out "exp/$name/test" --resample --results results.json \
      --row "${name%%-*}"
  done
  report_kinds exp data/test.jsonl --resample
fi
if stage compare; then compare_finetuned exp test; fi
if stage forgetting && knows_source_speech; then
  source_speech "$KATHLEEN_DIR"
  forgetting_of_finetuned exp
fi
if stage crossval; then # every recording by a model that was trained without its speaker
  # The encoder is frozen: fine-tuning would fit it to the few voices of the corpus (see notes.md). The head is trained on
  # synthetic voices too, and half of all utterances are distorted.
  python -m data_scripts.synthesize_words data/train.jsonl data/spoken.jsonl --takes "${TAKES:-300}" \
    --voice en-us --voice en-us-nyc --voice en-gb --voice en-gb-x-rp --voice en-gb-scotland --voice en-029
  for source in "${sources[@]}"; do
    speechxfer crossval data/{train,dev,test}.jsonl --config recipe.toml --source "$source" --out "exp/crossval-${source##*/}" \
      --train data/spoken.jsonl --language en --by speaker --jobs "${JOBS:-0}" --results results.json \
      --set finetune.freeze=encoder --set finetune.distortion=0.5 $SETTINGS
  done
fi
