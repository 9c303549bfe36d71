"""The jobs of recipes/cluster: torchrun and the program accept their command lines, and restarts work as set there."""

import os
import subprocess
from pathlib import Path

import typer
import yaml
from torch.distributed.run import get_args_parser

from speechxfer.cli.program import app
from tests.test_structure import ROOT

CLUSTER = ROOT / "recipes" / "cluster"


def check_command(words: list[str]) -> tuple[object, list[str]]:
    """torchrun's options, and the verb's words after the program's own parser has accepted them."""
    assert words[0] == "torchrun"
    options = get_args_parser().parse_args(words[1:])
    assert options.module and options.training_script == "speechxfer"
    verb, *arguments = options.training_script_args
    typer.main.get_command(app).commands[verb].make_context(verb, list(arguments))
    return options, options.training_script_args


def test_the_job_for_slurm(tmp_path: Path) -> None:
    """Run with the variables of a job, and programs in place of Slurm's that print what they are called with."""
    script = CLUSTER / "slurm.sbatch"
    (tmp_path / "srun").write_text('#!/bin/sh\nenv | grep -E "^(TORCH|OMP)_" >&2\nprintf "%s\\n" "$@"\n')
    (tmp_path / "scontrol").write_text('#!/bin/sh\n[ "$*" = "show hostnames n[4-5]" ] && printf "n4\\nn5\\n"\n')
    for program in ("srun", "scontrol"):
        (tmp_path / program).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "n[4-5]", "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_ID": "77"}
    environment = {**job, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=True)
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in done.stderr.splitlines()
    options, words = check_command(done.stdout.splitlines())
    assert vars(options).items() >= {
        "nnodes": "2", "nproc_per_node": "4", "rdzv_backend": "c10d", "rdzv_endpoint": "n4:29500", "rdzv_id": "77",
        "max_restarts": 3,
    }.items()  # fmt: skip
    assert words[0] == "adapt"


def test_the_job_for_kubernetes() -> None:
    """The fields are those of Kubeflow's API kubeflow.org/v1."""
    job = yaml.safe_load((CLUSTER / "pytorchjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    policy = job["spec"]["elasticPolicy"]
    assert policy["minReplicas"] == policy["maxReplicas"] == worker["replicas"], "a run keeps its number of processes"
    assert policy["rdzvBackend"] == "c10d" and policy["maxRestarts"] > 0
    [container] = worker["template"]["spec"]["containers"]
    assert container["name"] == "pytorch", "the operator describes the pods to the container of this name"
    assert str(container["resources"]["limits"]["nvidia.com/gpu"]) == job["spec"]["nprocPerNode"]
    assert {one["name"]: one["value"] for one in container["env"]}["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] == "1"
    volumes = {one["name"] for one in worker["template"]["spec"]["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    check_command(container["command"])
