#!/usr/bin/env bash
# Spoken commands with three networks, each from scratch and from an encoder trained on English.
# Usage: run.sh COMMANDS_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]; COMMANDS_DIR: Google Speech Commands v2, or FSDD.
set -euo pipefail
usage="usage: run.sh COMMANDS_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]"
corpus=$(realpath "${1:?$usage}") kathleen=$(realpath "${2:?$usage}")
cd "$(dirname "$0")"
names="prepare check sources scratch frozen finetuned evaluate compare"
source ../stages.sh
stages "${@:3}"

networks=${NETWORKS:-dnn cnn conformer}
set=fsdd
[[ ! -d $corpus/_background_noise_ ]] || set=speech_commands/${TASK:-12} # TASK=35: all 35 words
declare -A network=(
  [dnn]="--set model.encoder=dnn --set model.subsampling=1 --set model.dropout=0.0"
  [cnn]="--set model.encoder=cnn --set model.subsampling=4 --set model.dropout=0.0"
  [conformer]="--set model.encoder=conformer --set model.subsampling=4 --set model.dropout=0.0"
)
run() { # run NETWORK KIND VERB [OPTION...]: the same budget of steps for every KIND, once with each seed
  for seed in "${seeds[@]}"; do
    speechxfer "$3" --config recipe.toml --out "exp/$set/$1/$2-$seed" --train "data/$set/train.jsonl" --dev "data/$set/dev.jsonl" --language en \
      --set "finetune.seed=$seed" "${@:4}" $SETTINGS
  done
}

if stage prepare; then
  if [[ $set == fsdd ]]; then python -m data_scripts.prepare_fsdd "$corpus" data/fsdd $PREPARE; fi
  if [[ $set != fsdd ]]; then python -m data_scripts.prepare_speech_commands "$corpus" data/speech_commands $PREPARE; fi
  python -m data_scripts.prepare_kathleen "$kathleen" data/kathleen $PREPARE
fi
if stage check; then speechxfer check "data/$set"/{train,dev,test}.jsonl --config recipe.toml; fi
if stage sources; then # letters of read English, one voice
  for name in $networks; do
    speechxfer train --config recipe.toml --no-lm --out "exp/sources/$name" --train data/kathleen/train.jsonl --dev data/kathleen/dev.jsonl \
      --language en --set text.task=ctc --set text.vocabulary=characters --set finetune.optimizer=adamw \
      --set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 ${network[$name]} $SETTINGS
  done
fi
for kind in scratch frozen finetuned; do
  if stage $kind; then
    for name in $networks; do
      case $kind in
        scratch) run "$name" scratch train ${network[$name]} ;;
        frozen) run "$name" frozen adapt --source "exp/sources/$name" --set finetune.freeze=encoder --set model.dropout=0.0 ;;
        finetuned) run "$name" finetuned adapt --source "exp/sources/$name" --set model.dropout=0.0 ;;
      esac
    done
  fi
done
if stage evaluate; then
  for name in $networks; do
    for kind in scratch frozen finetuned; do
      speechxfer evaluate "${seeds[@]/#/exp/$set/$name/$kind-}" --on "data/$set/test.jsonl" --out "exp/$set/$name/$kind/test" \
        --resample --results results.json --row "$name $kind" --split "$set"
    done
    speechxfer report "exp/$set/$name"/{scratch,frozen,finetuned}-"${seeds[0]}" --on "data/$set/test.jsonl" --resample \
      --out "exp/$set/$name/report.html"
  done
fi
if stage compare; then
  for name in $networks; do
    for number in "${!seeds[@]}"; do
      part=$((number + 1))/report.json
      ((${#seeds[@]} > 1)) || part=report.json
      speechxfer compare "exp/$set/$name"/{finetuned,scratch}/"test/$part"
    done
  done
fi
