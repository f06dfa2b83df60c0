"""How fast 4,000 chats are grouped, how much memory that takes, and how right the groups of labelled accounts are.

python -m benchmarks.grouping
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

from benchmarks.harness import ROOT, crowded, median_of
from factories import NOW
from labelled_account import LabelledAccount, sandbox_account, score
from protokeep.core.census import CensusChat, ChatContent, ChatRecord
from protokeep.core.chat_links import AUTOMATIC, OFFERED
from protokeep.core.grouping import group_chats

CHATS = 4000
ROUNDS = 3
SEEDS = range(5)
#: Prompts that a census reads of such an account (shared/census.md, 4).
CALLS = 600
HEAD = "| what | goal | figure |\n|---|---|---|"


def prompts_of(words: int, seed: int = 1) -> list[str]:
    """Prompts of about so many words, of which some were edited: a word in fifty is another one."""
    dice = random.Random(seed)
    known = ["".join(dice.choices("abcdefghiklmnoprstuvw", k=dice.randint(3, 9))) for _ in range(6000)]
    weights = [1 / (rank + 3) for rank in range(len(known))]
    prompts: list[str] = []
    while len(prompts) < CHATS:
        text = dice.choices(known, weights, k=max(8, round(dice.gauss(words, words / 3))))
        prompts.append(" ".join(text))
        for _ in range(dice.choice((0, 0, 1, 3))):
            edited = list(text)
            for _ in range(max(1, len(edited) // 50)):
                edited[dice.randrange(len(edited))] = dice.choice(known)
            prompts.append(" ".join(edited))
    return prompts[:CHATS]


def records_of(prompts: list[str]) -> list[ChatRecord]:
    """A chat for each prompt, each with a name of its own, so that prompts alone decide."""
    return [
        ChatRecord(
            CensusChat(f"c{n}", 1, ChatContent.FINISHED, name=prompt[:40], author_id="a", created_at=NOW - n * _APART),
            prompt=prompt,
        )
        for n, prompt in enumerate(prompts)
    ]


_APART = timedelta(minutes=7)


def alone(words: int) -> None:
    """What the child process does: group, and print seconds, CPU seconds, megabytes before and at most, and groups."""
    records = records_of(prompts_of(words))
    before = _peak()
    began, cpu = time.perf_counter(), time.process_time()
    groups = group_chats(records, [], {})
    took, used = time.perf_counter() - began, time.process_time() - cpu
    sys.stdout.write(json.dumps([took, used, before, _peak(), len(groups)]))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(words: int) -> list[list[float]]:
    """The figures of each round, every one in a process of its own, because a peak of memory never falls."""
    command = [sys.executable, "-m", "benchmarks.grouping", str(words)]
    return [json.loads(subprocess.check_output(command, cwd=ROOT)) for _ in range(ROUNDS)]


def rightness() -> list[str]:
    """The scores of the sandbox's labelled accounts: by names alone, as a census reads them, and with every prompt."""
    accounts = [sandbox_account(seed, CHATS) for seed in SEEDS]
    lines = []
    for what, most in (
        ("by names alone", 0),
        (f"with at most {CALLS} prompts read", CALLS),
        ("with every prompt", None),
    ):
        goal = "precision 1.0" if most == CALLS else ""
        scores = [_scores(account, most) for account in accounts]
        for least, column in ((AUTOMATIC, 0), (OFFERED, 1)):
            precision = min(found[column][0] for found in scores)
            recall = statistics.median(found[column][1] for found in scores)
            lines.append(
                f"| {CHATS:,} chats {what}: pairs at >= {least:.2f} | {goal if least == AUTOMATIC else ''} "
                f"| precision {precision:.4f} at least, recall {recall:.2f} |"
            )
    return lines


def _scores(account: LabelledAccount, most: int | None) -> list[tuple[float, float]]:
    if most is None:
        known = [replace(one, prompt=account.prompts[one.chat.chat_id]) for one in account.records]
        groups = group_chats(known, account.products, account.projects)
    else:
        groups, _ = account.grouped(most)
    found = [score(groups, account.labels, least) for least in (AUTOMATIC, OFFERED)]
    return [(one.precision, one.recall) for one in found]


def main() -> None:
    """Measure, and print the table."""
    before = crowded()
    lines = [HEAD]
    for words, goals in ((150, ("<= 2 s", "<= 200 MB")), (400, ("", ""))):
        took, cpu, _, peak, groups = zip(*measured(words), strict=True)
        what = f"{CHATS:,} different prompts of {words:,} words"
        lines.append(f"| grouping {what} ({groups[0]:,.0f} groups) | {goals[0]} | {median_of(took, 2)} s |")
        lines.append(f"| the same, CPU | | {median_of(cpu, 2)} s |")
        lines.append(f"| the same, memory of the process at most | {goals[1]} | {median_of(peak)} MB |")
    lines += rightness()
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"\nMedian (range) of {ROUNDS} processes. The labelled accounts are ")
    sys.stdout.write(f"those of the sandbox with seeds {SEEDS[0]} to {SEEDS[-1]}. {before}\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        alone(int(sys.argv[1]))
    else:
        main()
