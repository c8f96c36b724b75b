"""The program that a polling process runs: targets in on standard input, outcomes out on standard output, both pickled."""

from __future__ import annotations

import gc
import pickle
import sys

from cgminer.poll.rounds import poll_in_batches


def main() -> None:
    targets, policy = pickle.load(sys.stdin.buffer)
    # The process lives for one round and what it makes holds no cycles worth finding.
    gc.disable()
    for batch in poll_in_batches(targets, policy=policy):
        pickle.dump(batch, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
