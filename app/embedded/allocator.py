"""Declare the environment that tunes glibc's allocator for an API or worker process.

By default glibc learns from chunks of 1 MiB to keep tens of MiB in each thread's arena. If it
returned all of it at once, each chunk would be new pages: 256 page faults per MiB and copy, which
was half of the CPU time of a 1 MB payload in API and worker. These settings keep what the next
chunk needs. Other C libraries ignore them. The Dockerfile sets the same ones.
"""

from typing import Final

ALLOCATOR_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1",
    # 2 MiB. Setting it also ends glibc's learning.
    "MALLOC_MMAP_THRESHOLD_": "2097152",
    # 4 MiB: the copies of a payload's chunk that exist at once on its way through a process.
    "MALLOC_TRIM_THRESHOLD_": "4194304",
}
