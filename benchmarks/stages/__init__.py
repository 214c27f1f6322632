"""Each stage of polymask beside its named peer, in turn in one process: ``python -m benchmarks.stages``."""
