#!/usr/bin/env bash
# Is rank-sources right? Its order of five sources against the order after fine-tuning, on three targets.
# Usage: run.sh MBOSHI_DIR YORUBA_DIR FSDD_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh MBOSHI_DIR YORUBA_DIR FSDD_DIR [--from STAGE] [--to STAGE]"
mboshi=$(realpath "${1:?$usage}") yoruba=$(realpath "${2:?$usage}") fsdd=$(realpath "${3:?$usage}")
cd "$(dirname "$0")"
names="prepare candidates finetuned evaluate rank"
source ../stages.sh
stages "${@:4}"

targets=${TARGETS:-mboshi yoruba welsh}
declare -A language=([mboshi]=mdw [yoruba]=yo [welsh]=cy)
declare -A neighbour=([mboshi]=yoruba [yoruba]=mboshi [welsh]=mboshi)
candidates() { echo "exp/random english multilingual-small exp/${neighbour[$1]} exp/digits"; } # candidates TARGET
data() { echo "--train data/$1/train.jsonl --dev data/$1/dev.jsonl"; }

if stage prepare; then
  python -m data_scripts.prepare_mboshi "$mboshi" data/mboshi_all
  mkdir -p data/mboshi && ln -sfn ../mboshi_all/train_10min.jsonl data/mboshi/train.jsonl
  ln -sfn ../mboshi_all/valid.jsonl data/mboshi/dev.jsonl
  python -m data_scripts.prepare_yoruba "$yoruba" data/yoruba
  python -m data_scripts.synthesize_demo cy data/welsh
  python -m data_scripts.prepare_fsdd "$fsdd" data/digits
fi
if stage candidates; then
  speechxfer train --config recipe.toml --no-lm --out exp/random $(data mboshi) --set finetune.steps=1 --set finetune.encoder_lr=1e-9 $SETTINGS
  speechxfer adapt --config recipe.toml --no-lm --out exp/mboshi --train data/mboshi_all/train_1h.jsonl --dev data/mboshi/dev.jsonl --language mdw \
    --set finetune.steps=1500 $SETTINGS
  speechxfer adapt --config recipe.toml --no-lm --out exp/yoruba $(data yoruba) --language yo --set finetune.steps=1500 $SETTINGS
  speechxfer adapt --config recipe.toml --no-lm --out exp/digits $(data digits) --language en --set text.task=classify --set text.vocabulary=words \
    --set finetune.steps=600 $SETTINGS
fi
if stage finetuned; then
  for target in $targets; do
    for candidate in $(candidates "$target"); do
      speechxfer adapt --config recipe.toml --no-lm --out "exp/$target/${candidate##*/}" --source "$candidate" $(data "$target") \
        --language "${language[$target]}" $SETTINGS
    done
  done
fi
if stage evaluate; then
  for target in $targets; do
    for candidate in $(candidates "$target"); do
      out=exp/$target/${candidate##*/}
      speechxfer evaluate "$out" --on "data/$target/dev.jsonl" --out "$out/dev" --results results.json --row finetuned --split "$target"
    done
    read -ra models <<< "$(candidates "$target")"
    models=("${models[@]##*/}")
    speechxfer report "${models[@]/#/exp/$target/}" --on "data/$target/dev.jsonl" --out "exp/$target/report.html"
  done
fi
if stage rank; then
  for target in $targets; do
    reports=()
    for candidate in $(candidates "$target"); do reports+=(--finetuned "exp/$target/${candidate##*/}/dev/report.json"); done
    for method in logme finetune; do
      speechxfer rank-sources "data/$target/train.jsonl" $(candidates "$target") "${reports[@]}" --method $method |
        tee "ranking-$target-$method.tsv"
    done
  done
  python -m recipes.ranking.agreement results.json ranking-*-{logme,finetune}.tsv | tee ranking-agreement.tsv
fi
