#!/usr/bin/env bash
# Mboshi: 30 minutes of which `speechxfer select` chose 20, against 30 and 45 random minutes. Usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
corpus=$(realpath "${1:?usage: run.sh CORPUS_DIR [--from STAGE] [--to STAGE]}")
cd "$(dirname "$0")"
names="prepare first select train evaluate compare"
source ../stages.sh
stages "${@:2}"

[[ -n ${SEEDS:-} ]] || seeds=(1 2 3)
arms=${ARMS:-random30 select30 random45}
adapt() { # adapt NAME SEED [OPTION...]: a model exp/NAME-SEED of data/NAME-SEED.jsonl
  speechxfer adapt --config recipe.toml --no-lm --out "exp/$1-$2" --train "data/$1-$2.jsonl" --dev data/valid.jsonl --language mdw \
    --set "finetune.seed=$2" "${@:3}" $SETTINGS
}
choose() { # choose FILE MODEL [OPTION...]: once, as it would not be replaced
  [[ -e $1 ]] || speechxfer select "$2" --on data/train.jsonl --out "$1" "${@:3}"
}

if stage prepare; then
  python -m data_scripts.prepare_mboshi "$corpus" data $PREPARE
  for seed in "${seeds[@]}"; do
    for minutes in 10 30 45; do python -m recipes.active_learning.parts random data/train.jsonl $minutes "$seed" "data/random$minutes-$seed.jsonl"; done
  done
fi
if stage first; then
  for seed in "${seeds[@]}"; do adapt random10 "$seed" --set finetune.steps=300 --set finetune.evaluate_every_steps=150; done
fi
if stage select; then
  for seed in "${seeds[@]}"; do
    choose "data/chosen-$seed.jsonl" "exp/random10-$seed" --transcribed "data/random10-$seed.jsonl" --minutes 20
    python -m recipes.active_learning.parts transcribe data/train.jsonl "data/select30-$seed.jsonl" "data/random10-$seed.jsonl" "data/chosen-$seed.jsonl"
    if [[ " $arms " == *" cold30 "* ]]; then
      choose data/chosen-cold.jsonl multilingual-small --minutes 30
      python -m recipes.active_learning.parts transcribe data/train.jsonl "data/cold30-$seed.jsonl" data/chosen-cold.jsonl
    fi
  done
fi
if stage train; then
  for arm in $arms; do
    for seed in "${seeds[@]}"; do adapt "$arm" "$seed"; done
  done
fi
if stage evaluate; then # one by one: their training data differ, too
  for arm in $arms; do
    for seed in "${seeds[@]}"; do
      speechxfer evaluate "exp/$arm-$seed" --on data/dev.jsonl --out "exp/$arm-$seed/dev" --results results.json --row "$arm, draw $seed"
    done
  done
fi
if stage compare; then
  python -m recipes.active_learning.arms exp data "${seeds[*]}" $arms | tee ranking-arms.tsv
fi
