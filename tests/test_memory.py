"""Freed memory is kept by the process: what is allocated again needs no new pages of the system."""

import platform
import resource

import pytest
import torch

from speechxfer.runtime import keep_freed_memory

BLOCK = 20 * 2**20
ROUNDS = 5


def page_faults_of_allocating_again() -> int:
    torch.ones(BLOCK, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        blocks = [torch.ones(BLOCK, dtype=torch.uint8) for _ in range(4)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the options are those of glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    assert keep_freed_memory()
    pages = 4 * BLOCK // resource.getpagesize()
    assert page_faults_of_allocating_again() < 3 * pages  # not in every round
