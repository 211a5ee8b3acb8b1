"""One table, three forms; and tables from files, refused by name where they are not what is needed."""

import csv

import pytest

from mmsparse.errors import InputError
from mmsparse.visualization.tables import Table, print_tables, read_csv, writable


@pytest.fixture
def table():
    return Table(
        ['method', 'GFLOPs', 'note'], [['dense', 17_582, None], ['sparse | fast', 11.75, 'of "three"']], title='Cost'
    )


def test_markdown_sets_numbers_right_and_keeps_its_columns(table):
    assert table.markdown().splitlines() == [
        '| method | GFLOPs | note |',
        '| --- | --: | --- |',
        '| dense | 17,582 |  |',
        '| sparse \\| fast | 11.75 | of "three" |',
    ]


def test_csv_comes_back_as_it_went(table, tmp_path):
    table.write_csv(tmp_path / 'new/folder/cost.csv')
    assert read_csv(tmp_path / 'new/folder/cost.csv', ['method']) == [
        {'method': 'dense', 'GFLOPs': '17582', 'note': ''},
        {'method': 'sparse | fast', 'GFLOPs': '11.75', 'note': 'of "three"'},
    ]


def test_a_terminal_shows_every_cell(table, capsys):
    print_tables(table)
    out = capsys.readouterr().out
    assert all(text in out for text in ('Cost', 'method', '17,582', 'sparse | fast', 'of "three"'))


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (None, 'cannot be read'),
        ('', 'row, top1 are missing; received an empty file'),
        ('row,accuracy\na,1\n', 'top1 are missing; received row, accuracy'),
        ('row,top1\na\n', 'line 2: received another number of cells'),
        ('row,top1\na,1\nb,1,2\n', 'line 3: received another number of cells'),
        (b'\xff\xfe\x00row', 'cannot be read'),
    ],
)
def test_a_file_that_is_not_what_is_needed_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / 'runs.csv'
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match='runs.csv') as error:
        read_csv(path, ['row', 'top1'])
    assert words in str(error.value)


def test_columns_that_nobody_asked_for_are_kept(tmp_path):
    with (tmp_path / 'a.csv').open('w', newline='') as file:
        csv.writer(file).writerows([['row', 'seed', 'top1'], ['a', '0', '1']])
    assert read_csv(tmp_path / 'a.csv', ['row', 'top1']) == [dict(row='a', seed='0', top1='1')]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    for path in (tmp_path, tmp_path / 'file/below.csv'):
        with pytest.raises(InputError, match='cannot be written'):
            writable(path)
