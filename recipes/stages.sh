# Named stages for run.sh: `run.sh ... --from train --to evaluate` runs a part. Sourced, never run.
# A recipe lists its stages' names, calls `stages "$@"` after its own arguments, and guards each part with `if stage NAME`.
# SETTINGS="--set finetune.steps=20" in the environment goes to every training, for a quick look.
from="" to="" started="" SETTINGS=${SETTINGS:-}

# What the recipes that compare sources share: SEEDS="1 2 3" trains and scores everything so often, SOURCES names the source
# models, KINDS what is scored, and these settings are the better ones where nothing is transferred.
read -ra seeds <<< "${SEEDS:-1}"
read -ra sources <<< "${SOURCES:-multilingual-small}"
kinds=${KINDS:-scratch frozen finetuned}
from_scratch=(--set finetune.encoder_lr=1e-3 --set finetune.head_lr=1e-3 --set model.dropout=0.0)

# The project's own environment, which `make venv` (or demo, or test) makes; else whatever the caller has activated.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ -x $repository/.venv/bin/speechxfer ]] && PATH=$repository/.venv/bin:$PATH
command -v speechxfer >/dev/null || { echo "run.sh: speechxfer is not installed; run 'make venv' in $repository first" >&2; exit 2; }

stages() {
  while (($#)); do
    case "$1" in
      --from=* | --to=*) printf -v "${1:2:$((${#1} - ${#1#*=} - 3))}" %s "${1#*=}"; shift ;;
      --from | --to) printf -v "${1:2}" %s "${2:?$1 needs a stage}"; shift 2 ;;
      *) echo "run.sh: unknown argument $1; expected --from STAGE or --to STAGE" >&2; exit 2 ;;
    esac
  done
  local name
  for name in $from $to; do
    [[ " $names " == *" $name "* ]] || { echo "run.sh: no stage $name; the stages are: $names" >&2; exit 2; }
  done
  [[ -n $from ]] || started=yes
}

names_of() { # names_of KIND...: the names of what was trained in these ways, such as finetuned-english
  local kind
  for kind; do
    if [[ $kind == scratch ]]; then echo scratch; else printf "$kind-%s\n" "${sources[@]##*/}"; fi
  done
}

compare_with_scratch() { # compare_with_scratch FOLDER SPLIT: fine-tuned from each source against scratch, seed by seed
  local name number part
  for name in $(names_of finetuned); do
    for number in "${!seeds[@]}"; do
      part=$((number + 1))/report.json
      ((${#seeds[@]} > 1)) || part=report.json
      speechxfer compare "$1/$name/$2/$part" "$1/scratch/$2/$part"
    done
  done
}

stage() {
  [[ $1 == "$from" ]] && started=yes
  [[ -n $started && $started != over ]] || return 1
  [[ $1 == "$to" ]] && started=over
  echo "== $1" >&2
}
