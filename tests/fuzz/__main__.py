"""Many broken LabelMe files through the converter; ``checks.py`` says what is checked.

python -m tests.fuzz --mutations 20000              # about 15 minutes
python -m tests.fuzz --first 4711 --mutations 1     # one of them, whose files stay in output/fuzz/case
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from tests.fuzz.checks import check_numbers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=20_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/fuzz"), help="(default: %(default)s)")
    args = parser.parse_args()
    numbers = range(args.first, args.first + args.mutations)
    verdicts = []
    for verdict in tqdm(check_numbers(numbers, args.output.resolve()), total=len(numbers), unit="file"):
        verdicts.append(verdict)
        if verdict.fault:
            tqdm.write(str(verdict))
    outcomes = Counter("FAULT" if verdict.fault else verdict.outcome for verdict in verdicts)
    codes = Counter(code for verdict in verdicts for code in verdict.codes)
    print(tabulate(sorted(codes.items()), headers=("finding", "mutations"), tablefmt="pipe"))
    slowest = max(verdicts, key=lambda verdict: verdict.seconds)
    print(f"\n{len(verdicts)} mutations: {', '.join(f'{count} {name}' for name, count in outcomes.most_common())}")
    print(f"The slowest took {slowest.seconds:.2f} s: {slowest}")
    return any(verdict.fault for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
