"""Which cells of the paper's tables a file of results fills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean

from mmsparse.analysis.vtab import DATASETS, GROUPED, PLAIN, over_tasks, task_of
from mmsparse.engine.hooks.result import method_name, plain
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean
from mmsparse.visualization.result_file import Result, check_protocol, described

USUAL = 'sparse_tuning/vitb_cifar100'  # what stands for a row that names no config


def config_of_row(row: dict) -> str:
    """Return the config that stands for a row, below configs/."""
    return row.get('config', USUAL)


def fill(results: Sequence[Result], tables: Sequence[dict]) -> tuple[dict[tuple[str, str, str], float], list[str]]:
    """Return the mean score over the seeds of each cell (table, row, data set), and a sentence on what fills none.

    A result belongs to the rows whose config, taken as it is, bears the name of its method, and to a row that it names
    itself: 'V: d'. The cell of VTAB-1K is the plain mean over its tasks; beside it stands that of the groups.

    Args:
        results: of several methods, data sets and seeds.
        tables: those of paper_tables.yml.

    Raises:
        InputError: runs of different protocols on one data set; a row that a table does not have; nothing that fills a
            cell.
    """
    check_protocol(results)
    by_mean, remarks = over_tasks(results)
    found, rows = defaultdict(list), _rows(tables)
    for result in [*(result for result in results if not task_of(result)), *by_mean]:
        grouped = result.dataset == DATASETS[GROUPED]
        data = DATASETS[PLAIN] if grouped else result.dataset
        places = [
            (table, row, dataset)
            for table, row, names, datasets in rows
            if result.method in names
            for dataset in datasets
            if plain(dataset) == plain(data)
        ]
        if grouped:
            places = [(table, row, GROUPED) for table, row, _ in places]
        if not places:
            remarks.append(_unknown(result, rows))
        for place in places:
            found[place].append(result.score)
    if results and not found:
        raise InputError(f'no cell of the paper is filled: {" ".join(remarks)}')
    return {place: mean(scores) for place, scores in found.items()}, list(dict.fromkeys(remarks))


def _rows(tables: Sequence[dict]) -> list[tuple[str, str, tuple[str, ...], list[str]]]:
    """Table, row, the names of methods that fill it, and the data sets."""
    rows = []
    for table in tables:
        for row in table['rows']:
            names = [f'{table["table"]}: {row["row"]}']
            if not row.keys() & {'adapter', 'sparsifier', 'absent'}:
                names.append(method_name(config_of_row(row), 'CIFAR-100'))
            rows.append((table['table'], row['row'], tuple(names), table['datasets']))
    return rows


def _unknown(result: Result, rows: list) -> str:
    methods = {name for _, _, names, _ in rows for name in names}
    datasets = {data for *_, own in rows for data in own}
    about = described(result)
    if result.method not in methods:
        hint = did_you_mean(result.method, methods, most=2)
        return f'{about}: no row of the paper is called {result.method}.{hint or " Rows are named as in V: d."}'
    near = did_you_mean(result.dataset, datasets, most=1)
    mine = sorted({data for _, _, names, own in rows if result.method in names for data in own})
    return f'{about}: its rows have the data sets {", ".join(mine)}.{near}'
