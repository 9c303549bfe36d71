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
    speechxfer "$2" recipe.toml --out "exp/$1-$seed" --train data/train.jsonl --dev data/dev.jsonl --language en \
      --set "finetune.seed=$seed" "${@:3}" $SETTINGS
  done
}

if stage prepare; then python ../../data_scripts/prepare_fsdd.py "$corpus" data ${PREPARE:-}; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run scratch train "${from_scratch[@]}"; fi
if stage frozen; then
  for source in "${sources[@]}"; do run "frozen-${source##*/}" adapt --source "$source" --set transfer.freeze=encoder; done
fi
if stage finetuned; then
  for source in "${sources[@]}"; do run "finetuned-${source##*/}" adapt --source "$source"; done
fi
if stage evaluate; then
  for name in $(names_of $kinds); do
    speechxfer evaluate "${seeds[@]/#/exp/$name-}" --on data/test.jsonl --out "exp/$name/test" --resample --results results.json \
      --row "${name%%-*}"
  done
fi
if stage compare; then compare_with_scratch exp test; fi
if stage forgetting && knows_source_speech; then
  source_speech "$KATHLEEN_DIR"
  forgetting_of_finetuned exp
fi
if stage crossval; then # every recording by a model that has not heard its speaker
  # Beside five speakers' digits the model goes on hearing the 113 of its source, where they are at hand: replay.
  declare -A replay=()
  if [[ -n $SPEECHOCEAN762_DIR ]]; then
    python ../../data_scripts/prepare_speechocean762.py "$SPEECHOCEAN762_DIR" data/voices/letters ${PREPARE:-}
    python ../../data_scripts/phonemize.py data/voices/letters/train.jsonl data/voices/phones/train.jsonl --voice en-us
    replay[letters]="--set transfer.source_manifests=['data/voices/letters/train.jsonl'] --set transfer.replay=0.5 --set finetune.steps=600"
    replay[phones]="--set transfer.source_manifests=['data/voices/phones/train.jsonl'] --set transfer.replay=0.5 --set finetune.steps=600"
  fi
  for source in "${sources[@]}"; do
    speechxfer crossval data/{train,dev,test}.jsonl --config recipe.toml --source "$source" --out "exp/crossval-${source##*/}" \
      --language en --by speaker --jobs "${JOBS:-0}" --results results.json ${replay[$(symbols_of "$source")]:-} $SETTINGS
  done
fi
