"""``python -m speechxfer``, the form that torchrun starts: ``torchrun --nproc-per-node 2 -m speechxfer adapt ...``."""

from speechxfer.cli import main

if __name__ == "__main__":
    main()
