#!/usr/bin/env bash
# Spoken digits: official split and leave-one-speaker-out. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare"
source ../stages.sh
stages "${@:2}"

run() { # run FOLD NAME VERB [OPTION...]: the same budget of steps for every NAME
  speechxfer "$3" recipe.toml --out "exp/$1/$2" --train "data/$1/train.jsonl" --dev "data/$1/dev.jsonl" --language en "${@:4}" $SETTINGS
}
folds() { echo "${FOLDS:-. $(cd data && echo loso_*)}"; } # the official split is the fold `.`; FOLDS=. limits a call to it

if stage prepare; then python ../../data_scripts/prepare_fsdd.py "$corpus" data; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run . scratch train --set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 --set model.dropout=0.0; fi
if stage frozen; then run . frozen adapt --source english --set transfer.freeze=encoder; fi
if stage finetuned; then
  for fold in $(folds); do run "$fold" finetuned adapt --source english; done
fi
if stage evaluate; then
  for name in scratch frozen finetuned; do
    speechxfer evaluate "exp/$name" --on data/test.jsonl --out "exp/$name/test" --resample --results results.json --row "$name"
  done
  for fold in $(folds); do
    [[ $fold == . ]] || speechxfer evaluate "exp/$fold/finetuned" --on "data/$fold/test.jsonl" --out "exp/$fold/finetuned/test" \
      --resample --results results.json --row finetuned --split "$fold"
  done
fi
if stage compare; then speechxfer compare exp/finetuned/test/report.json exp/scratch/test/report.json; fi
