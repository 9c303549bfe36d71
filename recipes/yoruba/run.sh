#!/usr/bin/env bash
# Yoruba (or a sister corpus in its layout) from English. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare"
source ../stages.sh
stages "${@:2}"

run() { # run NAME VERB [OPTION...]: the same budget of steps for every NAME
  speechxfer "$2" recipe.toml --out "exp/$1" --train data/train.jsonl --dev data/dev.jsonl --language "${LANGUAGE_CODE:-yo}" "${@:3}" $SETTINGS
}

if stage prepare; then python ../../data_scripts/prepare_yoruba.py "$corpus" data --lang "${LANGUAGE_CODE:-yo}"; fi
if stage check; then speechxfer check data/{train,dev,test}.jsonl --config recipe.toml; fi
if stage scratch; then run scratch train --set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 --set model.dropout=0.0; fi
if stage frozen; then run frozen adapt --source english --set transfer.freeze=encoder; fi
if stage finetuned; then run finetuned adapt --source english; fi
if stage evaluate; then
  for name in scratch frozen finetuned; do
    speechxfer evaluate "exp/$name" --on data/test.jsonl --out "exp/$name/test" --results results.json --row "$name"
  done
fi
if stage compare; then speechxfer compare exp/finetuned/test/report.json exp/scratch/test/report.json; fi
