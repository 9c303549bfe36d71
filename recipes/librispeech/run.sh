#!/usr/bin/env bash
# An English source model from LibriSpeech, sized for one GPU. Usage: run.sh LIBRISPEECH_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh LIBRISPEECH_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare check train evaluate"
source ../stages.sh
stages "${@:2}"

if stage prepare; then python -m data_scripts.prepare_librispeech "$corpus" data $PREPARE; fi
if stage check; then speechxfer check data/{train,dev-clean,test-clean}.jsonl --config recipe.toml; fi
# PROCESSES processes train and decode, each on a GPU of its own.
launch=(torchrun --nproc-per-node "${PROCESSES:-1}" -m speechxfer)
if stage train; then
  "${launch[@]}" train --config recipe.toml --no-lm --out exp/librispeech --language en --licence "trained on LibriSpeech (CC BY 4.0)" \
    --train data/train.jsonl --dev data/dev-clean.jsonl $SETTINGS
fi
if stage evaluate; then
  for part in test-clean test-other; do
    [[ -f data/$part.jsonl ]] || continue
    "${launch[@]}" evaluate exp/librispeech --on data/$part.jsonl --out exp/librispeech/$part \
      --results results.json --row source --split $part
    "${launch[@]}" report exp/librispeech --on data/$part.jsonl --out exp/librispeech/$part/report.html
  done
fi
