#!/usr/bin/env bash
# Spoken digits: official split and leave-one-speaker-out. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare"
source ../stages.sh
stages "${@:2}"

run() { # run FOLD NAME VERB [OPTION...]: the same budget of steps for every NAME, once with each seed
  for seed in "${seeds[@]}"; do
    speechxfer "$3" recipe.toml --out "exp/$1/$2-$seed" --train "data/$1/train.jsonl" --dev "data/$1/dev.jsonl" --language en \
      --set "finetune.seed=$seed" "${@:4}" $SETTINGS
  done
}
folds() { echo "${FOLDS:-. $(cd data && echo loso_*)}"; } # the official split is the fold `.`; FOLDS=. limits a call to it

if stage prepare; then python ../../data_scripts/prepare_fsdd.py "$corpus" data; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run . scratch train "${from_scratch[@]}"; fi
if stage frozen; then
  for source in "${sources[@]}"; do run . "frozen-${source##*/}" adapt --source "$source" --set transfer.freeze=encoder; done
fi
if stage finetuned; then
  for fold in $(folds); do
    for source in "${sources[@]}"; do run "$fold" "finetuned-${source##*/}" adapt --source "$source"; done
  done
fi
if stage evaluate; then
  for fold in $(folds); do
    of_fold=finetuned split=$fold
    [[ $fold == . ]] && of_fold=$kinds split=test
    for name in $(names_of $of_fold); do
      speechxfer evaluate "${seeds[@]/#/exp/$fold/$name-}" --on "data/$fold/test.jsonl" --out "exp/$fold/$name/test" --resample \
        --results results.json --row "${name%%-*}" --split "$split"
    done
  done
fi
if stage compare; then compare_with_scratch exp test; fi
