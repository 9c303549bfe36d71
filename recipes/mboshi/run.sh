#!/usr/bin/env bash
# Mboshi from English, with 10 minutes, 1 hour and all of the training speech. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check scratch frozen finetuned evaluate compare"
source ../stages.sh
stages "${@:2}"

sizes="${SIZES:-train_10min train_1h train}"
steps() { case "$1" in train_10min) echo 800 ;; train_1h) echo 1500 ;; *) echo 2000 ;; esac; }
run() { # run SIZE NAME VERB [OPTION...]: the same budget of steps for every NAME
  speechxfer "$3" recipe.toml --out "exp/$1/$2" --train "data/$1.jsonl" --dev data/valid.jsonl --language mdw \
    --set "finetune.steps=$(steps "$1")" "${@:4}" $SETTINGS
}

if stage prepare; then python ../../data_scripts/prepare_mboshi.py "$corpus" data; fi
if stage check; then speechxfer check data/{train,valid,dev}.jsonl --config recipe.toml; fi
if stage scratch; then
  for size in $sizes; do run "$size" scratch train --set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 --set model.dropout=0.0; done
fi
if stage frozen; then
  for size in $sizes; do run "$size" frozen adapt --source english --set transfer.freeze=encoder; done
fi
if stage finetuned; then
  for size in $sizes; do run "$size" finetuned adapt --source english; done
fi
if stage evaluate; then
  for size in $sizes; do
    for name in scratch frozen finetuned; do
      speechxfer evaluate "exp/$size/$name" --on data/dev.jsonl --out "exp/$size/$name/dev" --results results.json --row "$name"
    done
  done
fi
if stage compare; then
  for size in $sizes; do speechxfer compare "exp/$size/finetuned/dev/report.json" "exp/$size/scratch/dev/report.json"; done
fi
