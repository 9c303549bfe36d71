#!/usr/bin/env bash
# A source model of phones in 83 languages.
# Usage: run.sh UDHR_DIR SPEECHOCEAN762_DIR KATHLEEN_DIR DEBIAN_DIR CLONES_DIR [--from STAGE] [--to STAGE]
set -euo pipefail
usage="usage: run.sh UDHR_DIR SPEECHOCEAN762_DIR KATHLEEN_DIR DEBIAN_DIR CLONES_DIR [--from STAGE] [--to STAGE]"
udhr=$(realpath "${1:?$usage}") speechocean762=$(realpath "${2:?$usage}") kathleen=$(realpath "${3:?$usage}")
debian=$(realpath "${4:?$usage}") clones=$(realpath "${5:?$usage}")
cd "$(dirname "$0")"
names="prepare prepare_real check train refine adapt_real_speech adapt_real_speech_again remove_mismatches adapt_all_real_speech"
names+=" remove_mismatches_again cut_words adapt_with_words phone_frequencies evaluate evaluate_lm evaluate_languages ship"
source ../stages.sh
stages "${@:6}"

if stage prepare; then
  python -m data_scripts.prepare_udhr "$udhr" data/udhr
  python -m data_scripts.synthesize_multilingual data/udhr/sentences.tsv data/spoken --takes 1
  python -m data_scripts.synthesize_multilingual data/udhr/sentences.tsv data/spoken_twice --takes 2
  python -m data_scripts.synthesize_multilingual data/udhr/words.tsv data/spoken_words --takes 2
  python -m data_scripts.prepare_speechocean762 "$speechocean762" data/letters/speechocean762
  python -m data_scripts.prepare_kathleen "$kathleen" data/letters/kathleen
  for split in {speechocean762,kathleen}/{train,dev,test}; do
    python -m data_scripts.phonemize data/letters/$split.jsonl data/phones/$split.jsonl --voice en-us
  done
  python -m data_scripts.prepare_debian "$debian" data/letters/debian $PREPARE
  for split in train dev unseen; do
    python -m data_scripts.phonemize data/letters/debian/$split.jsonl data/phones/debian/$split.jsonl
  done
fi
clone() { # clone SCRIPT FOLDER NAME [ARGUMENT...]: a corpus among the clones, in letters
  python -m "data_scripts.prepare_$1" "$clones/$2" "${@:4}" "data/letters/$3" $PREPARE
}
in_phones() { # in_phones NAME SPLIT... [-- OPTION...]: labels by the rules of espeak-ng or of data_scripts/spellings.py
  local name=$1 split; shift
  local splits=() options=()
  while (($#)); do [[ $1 != -- ]] || { options=("${@:2}"); break; }; splits+=("$1"); shift; done
  for split in "${splits[@]}"; do
    python -m data_scripts.phonemize "data/letters/$name/$split.jsonl" "data/phones/$name/$split.jsonl" "${options[@]}"
  done
}
if stage prepare_real; then
  clone malagasy Malagasy_Speech_Data malagasy
  clone amharic Amharic-ASR-Dataset amharic
  clone kinyarwanda Speech-Kinyarwanda-dataset kinyarwanda
  clone malayalam msc malayalam
  clone rhasspy dataset-voice-kerstin kerstin
  clone rhasspy dataset-voice-nathalie nathalie
  clone mandarin audio-cmn mandarin
  clone artikulate artikulate-data artikulate
  clone gcompris GCompris-voices gcompris "$debian"
  clone ktuberling ktuberling ktuberling "$debian"
  for name in malagasy amharic kinyarwanda malayalam kerstin nathalie mandarin/words; do in_phones $name train dev test; done
  in_phones mandarin/syllables train dev test -- --voice cmn-pinyin
  in_phones artikulate train dev unseen
  in_phones gcompris train dev development unseen
  in_phones ktuberling train development unseen
fi
words=( # features for single words, which are part of Debian's speech
  --set model.features=kaldi-mvn-78db-1.5s
)
if stage check; then
  speechxfer check data/spoken/{train,dev,unseen}.jsonl --config recipe.toml
  speechxfer check data/phones/speechocean762/{train,dev,test}.jsonl --config recipe.toml
  speechxfer check data/phones/kathleen/{train,dev,test}.jsonl --config recipe.toml
  speechxfer check data/phones/debian/{train,dev,unseen}.jsonl --config recipe.toml "${words[@]}"
fi
# PROCESSES processes train and decode, each on a GPU or a CPU core of its own. The settings are made for two.
launch=(torchrun --nproc-per-node "${PROCESSES:-2}" -m speechxfer)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
licence="synthetic speech of UN texts (espeak-ng), speechocean762 (free for commercial and non-commercial use), kathleen (CC0)"
run() { # run VERB OUT SPOKEN [OPTION...]
  "${launch[@]}" "$1" --config recipe.toml --out "$2" --language mul \
    --licence "$licence" \
    --train "data/$3/train.jsonl" --train data/phones/speechocean762/train.jsonl --train data/phones/kathleen/train.jsonl \
    --dev data/spoken/dev.jsonl --dev data/phones/speechocean762/dev.jsonl --dev data/phones/kathleen/dev.jsonl "${@:4}" $SETTINGS
}
if stage train; then run train exp/multilingual-first spoken; fi
again=(
  --set finetune.l2_sp=0 --set finetune.batch_s=24.0 --set finetune.augment_warmup_steps=0
  --set finetune.encoder_lr=8e-4 --set finetune.head_lr=8e-4
)
if stage refine; then # a second round from there: each text in two voices, smaller steps
  run adapt exp/multilingual-second spoken_twice --source exp/multilingual-first --set "data.repeats=[1, 3, 3]" \
    --set finetune.steps=20000 "${again[@]}"
fi
adapt_real_speech() { # adapt_real_speech SOURCE OUT: another round, with real speech in other languages than English
  local licence="$licence, Asterisk's prompts (CC BY-SA 3.0), Fish Fillets NG, Tux Paint and KLettres (GPL 2)"
  run adapt "$2" spoken_twice --source "$1" --train data/phones/debian/train.jsonl --dev data/phones/debian/dev.jsonl \
    --set "data.repeats=[1, 2, 2, 3]" --set finetune.steps=13000 "${again[@]}" "${words[@]}"
}
if stage adapt_real_speech; then adapt_real_speech exp/multilingual-second exp/multilingual-third; fi
if stage adapt_real_speech_again; then adapt_real_speech exp/multilingual-third exp/multilingual-small; fi
model=multilingual-small-3
base=${BASE:-exp/multilingual-small} # BASE=multilingual-small-1 continues from the shipped weights, without the stages before
# Real speech in many languages, and how often an epoch repeats it, so that languages with little speech have enough weight.
real="debian:2 malagasy:1 amharic:2 kinyarwanda:2 malayalam:4 kerstin:2 nathalie:2 mandarin/words:1 mandarin/syllables:1 gcompris:4
  artikulate:3 ktuberling:4"
long=(--config recipe.toml --set data.max_duration_s=45.0 "${words[@]}")
remove_mismatches() { # remove_mismatches MODEL: utterances whose text belongs to another recording, according to the model so far
  for entry in $real; do
    name=${entry%:*} checked=data/phones/${entry%:*}/train.jsonl
    if [[ $name != debian ]]; then # those that the first base was trained on
      speechxfer evaluate "$1" --on "$checked" --out exp/recognised/$name --resample --mono --no-lm
      python -m data_scripts.drop_mismatches "$checked" exp/recognised/$name/report.json data/clean/$name/train.jsonl
      checked=data/clean/$name/train.jsonl
    fi
    speechxfer check "$checked" "${long[@]}" --fix data/checked/$name
  done
}
if stage remove_mismatches; then remove_mismatches "$base"; fi
adapt_all_real_speech() { # adapt_all_real_speech SOURCE OUT [OPTION...]; `cut` lists corpora whose words are added
  local repeats="1, 1, 1, 1, 2" manifests=(--train data/spoken_words/train.jsonl --dev data/spoken_words/dev.jsonl)
  manifests+=(--train data/phones/kinyarwanda/test.jsonl) # no published results on this test set
  for entry in $real; do
    manifests+=(--train data/checked/${entry%:*}/train.jsonl)
    repeats+=", ${entry#*:}"
    [[ ! -f data/phones/${entry%:*}/dev.jsonl ]] || manifests+=(--dev data/phones/${entry%:*}/dev.jsonl)
  done
  local licence="$licence, Asterisk's prompts (CC BY-SA 3.0), Fish Fillets NG, Tux Paint, KLettres, KTuberling (GPL 2), Malagasy, Amharic and \
Kinyarwanda speech of AMMI students (MIT), Malayalam Speech Corpus (CC BY-SA 4.0), Kerstin and Nathalie (CC0), audio-cmn (CC BY-SA), \
GCompris voices (public domain, CC BY-SA, GPL), Artikulate (CC BY-SA 3.0)"
  for entry in $cut; do
    manifests+=(--train data/cut/${entry%:*}/train.jsonl)
    repeats+=", ${entry#*:}"
  done
  run adapt "$2" spoken --source "$1" "${manifests[@]}" --set "data.repeats=[$repeats]" "${again[@]}" "${long[@]:2}" "${@:3}"
}
if stage adapt_all_real_speech; then
  cut="" adapt_all_real_speech "$base" exp/multilingual-small-2 --set finetune.steps=10000
fi
second=exp/multilingual-small-2
[[ $base != multilingual-small-2 ]] || second=$base # continues from the shipped weights, without the stages before
cut="malagasy:1 kinyarwanda:1 kerstin:1 nathalie:2 malayalam:3"
if stage remove_mismatches_again; then remove_mismatches "$second"; fi
if stage cut_words; then # one to three words of a sentence, each part as an utterance
  for entry in $cut; do
    name=${entry%:*}
    speechxfer align "$second" data/phones/$name/train.jsonl --out exp/aligned/$name --format json --boundaries ctc --resample --mono
    python -m data_scripts.cut_words data/letters/$name/train.jsonl data/checked/$name/train.jsonl exp/aligned/$name \
      data/cut/$name/train.jsonl
  done
fi
if stage adapt_with_words; then # PROCESSES=1 on a GPU: 11 minutes; stronger augmentation, since epochs are many
  adapt_all_real_speech "$second" exp/$model --set finetune.steps=6000 --set finetune.batch_s=480.0 \
    --set finetune.encoder_lr=1.2e-3 --set finetune.head_lr=1.2e-3 --set "finetune.speed_factors=[0.8, 0.9, 1.0, 1.1, 1.25]" \
    --set finetune.distortion=0.8 --set finetune.spec_augment=2.0
fi
of_language() { # of_language FILE LANGUAGE OUT: the utterances in a language of all manifests of this name; all: in any
  mkdir -p "$(dirname "$3")"
  cat data/phones/*/"$1" | { [[ $2 == all ]] && cat || grep "\"lang\": \"$2"; } > "$3"
}
if stage phone_frequencies; then # its language model: how often the training texts have each phone
  of_language development.jsonl all data/languages/all/development.jsonl
  python -m recipes.multilingual.phone_frequencies exp/$model --train data/spoken/train.jsonl --train data/spoken_words/train.jsonl \
    --dev data/languages/all/development.jsonl
fi
scored=${MODEL:-exp/$model} # MODEL names another model than this recipe's, such as multilingual-small-1
evaluate_all() { # evaluate_all OUT [OPTION...]: all held-out speech, and the table by language
  for set in phones/{speechocean762/test,kathleen/test,debian/unseen,artikulate/unseen,gcompris/unseen,ktuberling/unseen} \
    phones/gcompris/development phones/malayalam/test spoken/unseen; do
    "${launch[@]}" evaluate "$scored" --on data/$set.jsonl --out "$1/$set" --resample --mono \
      --results results.json --row source --split "$set" "${@:2}"
  done
  # The other held-out speech, for the table by language; Kinyarwanda's test set is trained on.
  for set in phones/{ktuberling/development,{amharic,kerstin,malagasy,nathalie,mandarin/words,mandarin/syllables}/{dev,test}} \
    phones/{artikulate,debian,gcompris,kathleen,kinyarwanda,malayalam,speechocean762}/dev; do
    "${launch[@]}" evaluate "$scored" --on data/$set.jsonl --out "$1/$set" --resample --mono "${@:2}"
  done
  python -m recipes.multilingual.by_language "$scored" "$1/phones" --manifests data/phones --out phone_results.json
}
if stage evaluate; then
  evaluate_all "exp/${scored##*/}" --no-lm
  "${launch[@]}" report "$scored" --on data/phones/debian/unseen.jsonl --out "exp/${scored##*/}/report.html" --resample --mono --no-lm
fi
if stage evaluate_lm; then evaluate_all "exp/${scored##*/}-lm"; fi
if stage evaluate_languages; then # each unseen language by itself, its phones estimated from the recordings or known
  for set in {eu,kn,tr}/development el/unseen; do
    language=${set%/*}
    of_language "${set#*/}.jsonl" "$language" data/languages/$set.jsonl
    for option in "--phones auto" "--language $language"; do
      "${launch[@]}" evaluate "$scored" --on data/languages/$set.jsonl --out "exp/${scored##*/}${option% *}/$set" --resample --mono $option
    done
  done
  for option in --phones --language; do
    python -m recipes.multilingual.by_language "$scored" "exp/${scored##*/}$option" --manifests data/languages --out phone_results.json
  done
fi
if stage ship; then
  python - <<'END'
from recipes.shipping import copy_model
limits = (
    "recognises phones in the notation of espeak-ng; trained on synthetic voices and about 300 speakers, 113 of them "
    "learners of English, 58 of Malayalam, and few of any other language; no tone, length, stress or nasality; a source to adapt, not a transcriber"
)
copy_model(
    "exp/multilingual-small-3",
    "../../speechxfer/shipped/multilingual-small-3",
    half=True,
    results="results.json",
    phone_results="phone_results.json",
    limits=limits,
)
END
fi
