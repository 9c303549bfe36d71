#!/usr/bin/env bash
# Where are the boundaries? `speechxfer align` on synthetic speech with known times, and on Mboshi against its authors' alignments.
# Usage: run.sh UDHR_DIR MBOSHI_DIR MBOSHI_MODEL [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh UDHR_DIR MBOSHI_DIR MBOSHI_MODEL [--from STAGE] [--to STAGE]"
udhr=$(realpath "${1:?$usage}") mboshi=$(realpath "${2:?$usage}") model=$(realpath "${3:?$usage}")
cd "$(dirname "$0")"
names="prepare synthetic mboshi"
source ../stages.sh
stages "${@:4}"

voices=${VOICES:-sw es tr eu}
align() { # align MODEL MANIFEST OUT: by both methods, every word placed
  for method in ctc frames; do
    speechxfer align "$1" "$2" --out "$3/$method" --format json --forced --boundaries $method
  done
}
measure() { python -m recipes.alignment.boundaries "$@"; }

if stage prepare; then
  python -m data_scripts.prepare_udhr "$udhr" data/udhr $PREPARE
  for voice in $voices; do
    python -m data_scripts.synthesize_times data/udhr/sentences.tsv data/timed --voice "$voice" --sentences "${SENTENCES:-130}"
  done
  python -m data_scripts.prepare_mboshi "$mboshi" data/mboshi $PREPARE
  python -m data_scripts.mboshi_times "$mboshi" data/mboshi $PREPARE
fi
if stage synthetic; then
  for voice in $voices; do
    align multilingual-small "data/timed/$voice.jsonl" "exp/$voice"
    for method in ctc frames; do
      measure "data/timed/$voice.times.jsonl" "exp/$voice/$method" --set "synthetic, $voice" --unit phones --method $method \
        --model multilingual-small
    done
  done
fi
if stage mboshi; then
  align "$model" data/mboshi/dev.jsonl exp/mboshi
  for method in ctc frames; do
    for reference in words older_words older_letters; do
      measure data/mboshi/$reference.times.jsonl exp/mboshi/$method --set "Mboshi dev" --unit "${reference/older_/older }" \
        --method $method --model "${model##*/}"
    done
  done
  measure data/mboshi/words.times.jsonl data/mboshi/older_words.times.jsonl --set "Mboshi dev" --unit words --method "older reference"
fi
