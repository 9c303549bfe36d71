# Named stages for run.sh: `run.sh ... --from train --to evaluate` runs a part. Sourced, never run.
# A recipe lists its stages' names, calls `stages "$@"` after its own arguments, and guards each part with `if stage NAME`.
# SETTINGS="--set finetune.steps=20" in the environment goes to every training, for a quick look.
from="" to="" started="" SETTINGS=${SETTINGS:-}

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

stage() {
  [[ $1 == "$from" ]] && started=yes
  [[ -n $started && $started != over ]] || return 1
  [[ $1 == "$to" ]] && started=over
  echo "== $1" >&2
}
