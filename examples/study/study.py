"""Does pruning unstable channels make networks certifiable? Trains, certifies and tabulates; resumes where it stopped.

    python examples/study/study.py --data DIR           # everything that is not done yet; hours
    python examples/study/study.py --subset             # three runs on embedded data again, under ten minutes
    python examples/study/study.py --tables             # docs/results.md and its plots, from the records

DIR holds ``fly/`` and ``mouse/``, each with train.json, val.json, test.json and images/ in COCO keypoint form; without
it the embedded aircraft remain. A finished run is a JSON file under ``records/`` and is not done again: delete it to do
so. ``--part K/N`` does every N-th run, for several machines. Networks and training progress are kept in ``--cache``;
there ``--subset`` keeps its records too, and prints them beside those that are under ``records/``.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import torch
from recipes import MAIN, RECIPES, SWEEP
from runs import Folders, Run, carry_out, planned, train_base
from subjects import SUBJECTS
from tables import SWEPT, print_beside, write_results

HERE = Path(__file__).parent
SUBSET = ("dense", "usn", "ours")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds fly/ and mouse/")
    parser.add_argument("--subjects", nargs="+", choices=list(SUBJECTS))
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--subset", action="store_true", help="embedded data, three recipes, one seed")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every N-th run, from the K-th on")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-study")
    parser.add_argument("--records", type=Path, default=HERE / "records")
    parser.add_argument("--tables", action="store_true", help="only write docs/results.md from the records")
    return parser.parse_args(given)


def runs_of(chosen: argparse.Namespace) -> list[Run]:
    """Return what is to be done, in order."""
    if chosen.subset:
        return planned(["aircraft-cnn7"], SUBSET, [0])
    present = [name for name, subject in SUBJECTS.items() if subject.folder is None or chosen.data is not None]
    subjects = chosen.subjects or present
    runs = planned(subjects, chosen.recipes or list(MAIN), chosen.seeds)
    if SWEPT in subjects and not chosen.recipes:
        runs += planned([SWEPT], [name for name in SWEEP if name not in MAIN], chosen.seeds)
    part, parts = (int(number) for number in chosen.part.split("/"))
    return runs[part - 1 :: parts]


def begin_worker(parent: int) -> None:
    """Use one thread, and end when the process that started this one has: half a run is no record."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def carry_out_all(runs: Sequence[Run], folders: Folders, jobs: int) -> None:
    """Do the runs that have no record, several at once: base networks first, what is made of another run's last."""
    left = [run for run in runs if not folders.record(run).exists()]
    print(f"{len(runs)} runs, {len(left)} to do", flush=True)
    bases = {
        f"base of {name}": partial(train_base, name, folders) for name in dict.fromkeys(run.subject for run in left)
    }
    own, dependent = (
        {run.name: partial(carry_out, run, folders) for run in left if RECIPES[run.recipe].scratch == scratch}
        for scratch in (False, True)
    )
    started = time.monotonic()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), begin_worker, (os.getpid(),)) as pool:
        for work in (bases, own, dependent):
            futures = {pool.submit(do): name for name, do in work.items()}
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                print(f"{time.monotonic() - started:6.0f} s  {done}/{len(futures)}  {futures[future]}", flush=True)


def main() -> None:
    chosen = arguments()
    folders = Folders(chosen.data, chosen.cache, chosen.records)
    if chosen.subset:
        again = dataclasses.replace(folders, records=chosen.cache / "subset")
        carry_out_all(runs_of(chosen), again, chosen.jobs)
        print_beside(again.records, folders.records)
        return
    if not chosen.tables:
        carry_out_all(runs_of(chosen), folders, chosen.jobs)
    write_results(folders.records)


if __name__ == "__main__":
    main()
