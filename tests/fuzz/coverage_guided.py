"""Looks for a file on which a reader fails, by mutations that follow what the reader's code does with them.

python -m tests.fuzz.coverage_guided card --minutes 20      # stops at the first failure, whose file stays in output/

``readers.py`` says what a failure is. This command alone needs atheris, which has no wheels for some systems that the
tests run on, so that it is not in requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

from tests.fuzz.mutations import BYTE_CHANGES, change_number, delete, json_bytes, repeat, replace

CORPORA = Path(__file__).with_name("corpora")

# What is watched while it runs: our code, and parsers that are written in Python.
WATCHED = ["dataset_tools", "polymask", "pickletools", "yaml"]

# Bytes that a reader may allocate.
MEMORY = 2**30

# After which libFuzzer ends a reader that does not return, by the clock.
PATIENCE = 60

# Bytes of a mutated file.
LARGEST = 8_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=sorted(path.name for path in CORPORA.iterdir()))
    parser.add_argument("--minutes", type=float, default=20, help="how long (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/fuzz"), help="(default: %(default)s)")
    args = parser.parse_args()
    try:
        import atheris
    except ImportError:
        parser.error("atheris is not installed. Install it with pip install atheris==3.0.0")
    with atheris.instrument_imports(include=WATCHED):
        from tests.fuzz.readers import READERS, check, prepare

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        mutated = atheris.Mutate(content, most) if rng.random() < 0.5 else mutated_values(rng, content)
        return mutated[:most]

    corpus = args.output / args.reader
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "case"
        prepare(folder)
        limit_memory()
        options = [f"-max_total_time={round(args.minutes * 60)}", f"-timeout={PATIENCE}", "-rss_limit_mb=0"]
        options += [f"-max_len={LARGEST}", f"-artifact_prefix={corpus}-", "-print_final_stats=1"]
        words = [parser.prog, str(corpus), str(CORPORA / args.reader), *options]
        atheris.Setup(words, lambda content: check(READERS[args.reader], content, folder), custom_mutator=mutate)
        atheris.Fuzz()


def mutated_values(rng: random.Random, content: bytes) -> bytes:
    """JSON with some other values, which libFuzzer, that changes bytes, hardly makes; of another file other bytes."""
    try:
        tree = json.loads(content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            rng.choice((delete, replace, replace, repeat, change_number))(rng, tree)
        return json_bytes(rng, tree)
    except Exception:  # not JSON, or nothing in it that this change could change
        return rng.choice(BYTE_CHANGES)(rng, content)


def limit_memory() -> None:
    """Lets the process have MEMORY more than it has now."""
    import resource  # which not every system has

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
