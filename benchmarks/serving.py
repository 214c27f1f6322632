"""What the page's server does with many uploads at once: how they end, and its memory before and after.

    python -m benchmarks.serving --model model.onnx data/sample/test

Starts the server, sends photos in rounds of so many at once, and prints a table. Needs Linux, whose /proc says how much
memory a process has.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

from benchmarks.many_photos import resident_mib

PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("--model", required=True, type=Path, help="what polymask export has written")
    parser.add_argument("--at-once", type=int, default=50, help="uploads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="(default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    photos = [path.read_bytes() for path in sorted(args.photos.iterdir()) if path.suffix.lower() in (".jpg", ".png")]
    server = subprocess.Popen([sys.executable, "-m", "web", "--model", args.model, "--port", str(PORT)])
    try:
        wait_until_it_answers()
        upload(photos[0])
        rows = [measure(0, [], server.pid)]
        for number in range(1, args.rounds + 1):
            rows.append(measure(number, [photos[i % len(photos)] for i in range(args.at_once)], server.pid))
    finally:
        server.terminate()
        server.wait()
    print(tabulate(rows, headers="keys", tablefmt="pipe", missingval="0"))


def measure(number: int, photos: Sequence[bytes], process: int) -> dict[str, object]:
    """One round: how many uploads end in which status, in how many seconds; and the memory after it."""
    begin = time.monotonic()
    with ThreadPoolExecutor(max(1, len(photos))) as pool:
        statuses = Counter(pool.map(upload, photos))
    seconds = time.monotonic() - begin
    return {
        "round": number,
        **dict(sorted(statuses.items())),
        "seconds": round(seconds, 1),
        "MiB": round(resident_mib(process)),
    }


def upload(photo: bytes) -> int:
    """The HTTP status of the answer."""
    request = urllib.request.Request(f"{ADDRESS}/api/predict", photo, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def wait_until_it_answers() -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{ADDRESS}/api/model").close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()
