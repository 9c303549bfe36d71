#!/usr/bin/env bash
# English source model from speechocean762 and kathleen. Usage: run.sh SPEECHOCEAN762_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh SPEECHOCEAN762_DIR KATHLEEN_DIR [--from STAGE] [--to STAGE]"
speechocean762=$(realpath "${1:?$usage}") kathleen=$(realpath "${2:?$usage}")
cd "$(dirname "$0")"
names="prepare check train evaluate ship"
source ../stages.sh
stages "${@:3}"

if stage prepare; then
  python -m data_scripts.prepare_speechocean762 "$speechocean762" data/speechocean762
  python -m data_scripts.prepare_kathleen "$kathleen" data/kathleen
fi
if stage check; then
  speechxfer check data/speechocean762/{train,dev,test}.jsonl --config recipe.toml
  speechxfer check data/kathleen/{train,dev,test}.jsonl --config recipe.toml
fi
if stage train; then
  speechxfer train --config recipe.toml --no-lm --out exp/english --language en \
    --licence "trained on speechocean762 (free for commercial and non-commercial use) and kathleen (CC0)" \
    --train data/speechocean762/train.jsonl --train data/kathleen/train.jsonl \
    --dev data/speechocean762/dev.jsonl --dev data/kathleen/dev.jsonl $SETTINGS
fi
if stage evaluate; then
  for corpus in speechocean762 kathleen; do
    speechxfer evaluate exp/english --on data/$corpus/test.jsonl --out exp/english/$corpus --resample --mono \
      --results results.json --row source --split "$corpus test"
    speechxfer report exp/english --on data/$corpus/test.jsonl --out exp/english/$corpus/report.html --resample --mono
  done
fi
if stage ship; then
  python - <<'END'
from recipes.shipping import copy_model
copy_model("exp/english", "../../speechxfer/shipped/english-2", new_name="english-2", half=True)  # english-1 is immutable
END
fi
