#!/usr/bin/env bash
# What each part of a transfer is worth, on Mboshi (1 h) and Yoruba. Usage: run.sh MBOSHI_DIR YORUBA_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh MBOSHI_DIR YORUBA_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]"
mboshi=$(realpath "${1:?$usage}") yoruba=$(realpath "${2:?$usage}") kathleen=$(realpath "${3:?$usage}")
cd "$(dirname "$0")"
names="prepare check train evaluate forgetting"
source ../stages.sh
stages "${@:4}"

# One change each from the settings of recipe.toml; a way's name is its row.
declare -A ways=(
  [full]=""
  [head_random]="--set transfer.head=random"
  [head_position]="--set transfer.symbol_map=data/CORPUS/by_position.tsv"
  [frozen]="--set finetune.freeze=encoder"
  [gradual]="--set finetune.unfreeze_every_steps=40"
  [layer_decay_0.8]="--set finetune.layer_decay=0.8"
  [batch_norm_frozen]="--set finetune.batch_norm=frozen"
  [l2_sp_0.5]="--set finetune.l2_sp=0.5" # far less has no effect within so many steps
  [l2_sp_1]="--set finetune.l2_sp=1.0"
  [l2_sp_3]="--set finetune.l2_sp=3.0"
  [l2_sp_10]="--set finetune.l2_sp=10.0"
  [distillation_0.3]="--set finetune.distillation=0.3"
  [replay_0.2]="--set finetune.replay=0.2"
  [lora_8]="--set transfer.lora_rank=8 --set finetune.encoder_lr=2e-3"
  [lora_32]="--set transfer.lora_rank=32 --set finetune.encoder_lr=2e-3"
  [lr_ratio_0.1]="--set finetune.encoder_lr=2e-4"
  [lr_ratio_1]="--set finetune.encoder_lr=2e-3"
)
chosen=${WAYS:-$(printf "%s\n" "${!ways[@]}" | sort)}
declare -A dev=([mboshi]=data/mboshi/valid.jsonl [yoruba]=data/yoruba/dev.jsonl)
declare -A about=(
  [mboshi]="--train data/mboshi/train_1h.jsonl --dev ${dev[mboshi]} --language mdw"
  [yoruba]="--train data/yoruba/train.jsonl --dev ${dev[yoruba]} --language yo"
)
corpora=${CORPORA:-mboshi yoruba}

if stage prepare; then
  python -m data_scripts.prepare_mboshi "$mboshi" data/mboshi
  python -m data_scripts.prepare_yoruba "$yoruba" data/yoruba
  source_speech "$kathleen"
  python map_by_position.py "${sources[0]}" data/mboshi/train_1h.jsonl > data/mboshi/by_position.tsv
  python map_by_position.py "${sources[0]}" data/yoruba/train.jsonl > data/yoruba/by_position.tsv
fi
if stage check; then
  speechxfer check data/mboshi/{train_1h,valid}.jsonl --config recipe.toml
  speechxfer check data/yoruba/{train,dev}.jsonl --config recipe.toml
fi
if stage train; then
  for way in $chosen; do
    for corpus in $corpora; do
      for seed in "${seeds[@]}"; do
        speechxfer adapt --config recipe.toml --no-lm --out "exp/$corpus/$way-$seed" --source "${sources[0]}" --set "finetune.seed=$seed" \
          ${about[$corpus]} ${ways[$way]//CORPUS/$corpus} $SETTINGS
      done
    done
  done
fi
if stage evaluate; then
  for way in $chosen; do
    for corpus in $corpora; do
      speechxfer evaluate "${seeds[@]/#/exp/$corpus/$way-}" --on "${dev[$corpus]}" --out "exp/$corpus/$way/dev" \
        --results results.json --row "$way" --split "$corpus"
    done
  done
  for corpus in $corpora; do
    read -r first _ <<< "$chosen"
    speechxfer report "exp/$corpus/$first-${seeds[0]}" --on "${dev[$corpus]}" --out "exp/$corpus/report.html"
  done
fi
if stage forgetting; then
  for way in $chosen; do
    for corpus in $corpora; do
      forgetting "$way" "${sources[0]}" "exp/$corpus/$way/source" "${seeds[@]/#/exp/$corpus/$way-}"
    done
  done
fi
