"""Memory that is kept is not asked for again, and given back when that is said."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = textwrap.dedent("""
    import resource, psutil, torch
    from isnet.inference.malloc_settings import release_freed_memory, keep_freed_memory
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    megabytes = lambda: psutil.Process().memory_info().rss / 2**20
    def filled(mebibytes):
        before = faults()
        torch.ones(mebibytes * 2**18)
        return faults() - before
    filled(100)
    plain = filled(90)
    keep_freed_memory()
    filled(100)
    kept, held = filled(90), megabytes()
    release_freed_memory()
    print(plain, kept, held - megabytes())
""")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_large_blocks_are_used_again_and_given_back_when_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    plain, kept, returned = map(float, done.stdout.split())
    assert kept < plain / 10
    assert returned > 90
