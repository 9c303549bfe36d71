# Named stages for run.sh: `run.sh ... --from train --to evaluate` runs a part. Sourced, never run.
# A recipe lists its stages' names, calls `stages "$@"` after its own arguments, and guards each part with `if stage NAME`.
# SETTINGS="--set finetune.steps=20" in the environment goes to every training, for a quick look. The stage `forgetting` runs where
# KATHLEEN_DIR names a corpus that the source models know.
from="" to="" started=""
caller=$OLDPWD # where run.sh was called: relative paths in the environment are relative to it
KATHLEEN_DIR=${KATHLEEN_DIR:+$(cd "$caller" && realpath -e "$KATHLEEN_DIR")} || exit 2
with_absolute_paths() { # with_absolute_paths WORD...: options whose values are files or folders, with absolute paths
  local word previous=""
  for word; do
    case "$word" in
      *.symbol_map=* | *.letters=* | *.cache_dir=*) [[ ${word#*=} == /* ]] || word=${word%%=*}=$caller/${word#*=} ;;
      *) [[ $previous != --audio-dir || $word == /* ]] || word=$caller/$word ;;
    esac
    printf "%s " "$word"
    previous=$word
  done
}
SETTINGS=$(with_absolute_paths ${SETTINGS:-})
PREPARE=$(with_absolute_paths ${PREPARE:-})

# What the recipes that compare sources share: SEEDS="1 2 3" trains and scores everything once per seed, SOURCES names the source
# models, KINDS what is scored, and these settings are better for training from scratch.
read -ra seeds <<< "${SEEDS:-1}"
read -ra sources <<< "${SOURCES:-multilingual-small}"
kinds=${KINDS:-scratch frozen finetuned}
from_scratch=(--set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 --set model.dropout=0.0)

# The project's own environment, which `make venv` (or demo, or test) makes; else whatever the caller has activated.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ -x $repository/.venv/bin/speechxfer ]] && PATH=$repository/.venv/bin:$PATH
export PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH} # where `python -m data_scripts.NAME` finds the scripts
command -v speechxfer >/dev/null || { echo "run.sh: speechxfer is not installed; run 'make venv' in $repository first" >&2; exit 2; }

replace_data() { # replace_data NEW OLD RUN: NEW becomes OLD, unless RUN was trained on other data
  if [[ -d $3 && -d $2 ]] && ! diff -rq -x "*.old" "$1" "$2" >/dev/null; then
    rm -rf "$1"
    echo "run.sh: the table differs from the data that $3 was trained on; give another folder than $(dirname "$3"), so that" \
      "the finished run keeps its data" >&2
    exit 2
  fi
  rm -rf "$2" && mv "$1" "$2"
}

stages() {
  while (($#)); do
    case "$1" in
      --from=* | --to=*) printf -v "${1:2:$((${#1} - ${#1#*=} - 3))}" %s "${1#*=}"; shift ;;
      --from | --to) printf -v "${1:2}" %s "${2:?$1 needs a stage}"; shift 2 ;;
      *)
        echo "run.sh: unknown argument $1; expected --from STAGE or --to STAGE (options of the data script go into PREPARE=\"...\"," \
          "settings into SETTINGS=\"--set ...\")" >&2
        exit 2
        ;;
    esac
  done
  local name
  for name in $from $to; do
    [[ " $names " == *" $name "* ]] || { echo "run.sh: no stage $name; the stages are: $names" >&2; exit 2; }
  done
  [[ -n $from ]] || started=yes
}

names_of() { # names_of KIND...: the names of the models of these kinds, such as finetuned-english
  local kind
  for kind; do
    if [[ $kind == scratch ]]; then echo scratch; else printf "$kind-%s\n" "${sources[@]##*/}"; fi
  done
}

adapt_from_each() { # adapt_from_each KIND [OPTION...]: by the recipe's own `run`, as KIND-SOURCE
  local source
  for source in "${sources[@]}"; do run "$1-${source##*/}" adapt --source "$source" "${@:2}"; done
}

scored() { [[ " $kinds " == *" $1 "* ]]; } # scored KIND: whether KINDS names it

compare_finetuned() { # compare_finetuned FOLDER SPLIT: fine-tuned from each source against from scratch, seed by seed
  local name number part
  scored finetuned && scored scratch || return 0
  for name in $(names_of finetuned); do
    for number in "${!seeds[@]}"; do
      part=$((number + 1))/report.json
      ((${#seeds[@]} > 1)) || part=report.json
      speechxfer compare "$1/$name/$2/$part" "$1/scratch/$2/$part"
    done
  done
}

# Decoding with the language models that each run has made of its training transcripts; stage evaluate decodes greedily (--no-lm).
has_lm() { # has_lm RUN...: whether all of them have language models, which they have if these helped on dev
  local run
  for run; do [[ -f $run/model/word.lm || -f $run/model/character.lm ]] || return 1; done
}
evaluate_with_lm() { # evaluate_with_lm FOLDER NAME TEST: a row of the runs FOLDER/NAME-SEED on TEST, compared with greedy decoding
  local split out number part models=("${seeds[@]/#/$1/$2-}")
  has_lm "${models[@]}" || { echo "skipped: $1/$2 decodes greedily, as language models did not help every seed" >&2; return 0; }
  split=$(basename "$3" .jsonl)
  out=$1/$2/$split-lm
  speechxfer evaluate "${models[@]}" --on "$3" --out "$out" --results results.json --row "${2%%-*}"
  for number in "${!seeds[@]}"; do
    part=$((number + 1))/report.json
    ((${#seeds[@]} > 1)) || part=report.json
    speechxfer compare "$out/$part" "$1/$2/$split/$part"
  done
}

average_seeds() { # average_seeds FOLDER NAME DEV TEST: rows of the mean of the runs FOLDER/NAME-SEED, greedy and with language models
  ((${#seeds[@]} > 1)) || { echo "skipped: an average needs several SEEDS" >&2; return 0; }
  [[ -d $1/$2-mean/model ]] || speechxfer average "${seeds[@]/#/$1/$2-}" --dev "$3" --out "$1/$2-mean"
  speechxfer evaluate "$1/$2-mean" --on "$4" --no-lm --results results.json --row averaged
  if has_lm "$1/$2-mean"; then speechxfer evaluate "$1/$2-mean" --on "$4" --results results.json --row averaged; fi
}

report_kinds() { # report_kinds FOLDER MANIFEST [OPTION...]: FOLDER/report.html, a page about the first seed's model of each kind
  local models
  mapfile -t models < <(names_of $kinds)
  models=("${models[@]/#/$1/}")
  speechxfer report "${models[@]/%/-${seeds[0]}}" --on "$2" --out "$1/report.html" --no-lm "${@:3}"
}

# Forgetting: error rates of the source's own task on held-out English of kathleen, in letters for the source `english`, else in phones.
knows_source_speech() {
  [[ -z ${KATHLEEN_DIR:-} ]] || return 0
  echo "skipped: stage forgetting needs KATHLEEN_DIR, the folder of the English corpus that the source models were trained on" >&2
  return 1
}
source_speech() { # source_speech KATHLEEN_DIR: data/source/{letters,phones}/{train,dev,test}.jsonl
  local split
  python -m data_scripts.prepare_kathleen "$1" data/source/letters $PREPARE
  for split in train dev test; do
    python -m data_scripts.phonemize data/source/letters/$split.jsonl data/source/phones/$split.jsonl --voice en-us
  done
}
forgetting() { # forgetting ROW SOURCE OUT MODEL...: the source's error rates before and after go into the models' ROW
  local kind=phones # what the source outputs
  [[ ${2##*/} != english ]] || kind=letters
  speechxfer evaluate "${@:4}" --on data/source/$kind/test.jsonl --out "$3" --as-parent --resample --mono --results results.json \
    --row "$1" --split "kathleen $kind"
}
forgetting_of_finetuned() { # forgetting_of_finetuned FOLDER: of the fine-tuned models in it, from each source
  local source name
  scored finetuned || return 0
  for source in "${sources[@]}"; do
    name=$1/finetuned-${source##*/}
    forgetting finetuned "$source" "$name/source" "${seeds[@]/#/$name-}"
  done
}

render_results() { # the recipe's RESULTS.md, when run.sh ends well
  [[ $? != 0 || ! -f results.json ]] || python -m recipes.rendering .
}
trap render_results EXIT

stage() {
  [[ $1 == "$from" ]] && started=yes
  [[ -n $started && $started != over ]] || return 1
  [[ $1 == "$to" ]] && started=over
  echo "== $1" >&2
}
