#!/usr/bin/env bash
# Training from scratch and adapting, compared on synthetic speech of a language of your choice. Usage: run.sh [LANGUAGE]; default cy (Welsh).
set -euo pipefail
language=${1:-cy}
cd "$(dirname "$0")"
source ../stages.sh
export OMP_NUM_THREADS=1 # two one-thread trainings in parallel are faster than two two-thread trainings in sequence

python -m data_scripts.synthesize_demo "$language" "data/$language"
run() { # run NAME VERB [OPTION...]
  speechxfer "$2" --config recipe.toml --no-lm --out "exp/$language/$1" --train "data/$language/train.jsonl" --dev "data/$language/dev.jsonl" \
    --language "$language" "${@:3}" $SETTINGS
}
mkdir -p "exp/$language"
echo "Training from scratch in the background (exp/$language/scratch.log) and from multilingual-small here; one to three minutes." >&2
run scratch train "${from_scratch[@]}" 2> "exp/$language/scratch.log" &
scratch=$!
trap 'kill $scratch 2>/dev/null || true' EXIT
run transfer adapt
wait $scratch || { cat "exp/$language/scratch.log" >&2; exit 1; }
trap - EXIT
for name in scratch transfer; do
  echo "$name:"
  speechxfer evaluate "exp/$language/$name" --on "data/$language/test.jsonl" --out "exp/$language/$name/test"
done
speechxfer compare "exp/$language/transfer/test/report.json" "exp/$language/scratch/test/report.json"
speechxfer report "exp/$language"/{transfer,scratch} --on "data/$language/test.jsonl" --out "exp/$language/report.html"
echo "Errors with audio: recipes/demo/exp/$language/report.html. Next: your own recordings, see README.md." >&2
