"""A table's file gives back exactly what was written."""

import random

import numpy as np
import pandas as pd
import pytest

from evalkit import tables
from evalkit.article import _tables
from evalkit.errors import TableError
from evalkit.tables import COUNT, NUMBER, TEXT, TRUTH, Table

TABLE = Table(
    name="t",
    columns={"text": TEXT, "number": NUMBER, "count": COUNT, "truth": TRUTH},
    key=(),
)
WORDS = (
    *("NA", "null", "None", "nan", "NaN", "N/A", "<NA>", "n/a", "#N/A", "-inf", "NULL"),
    *("", " ", "  x ", "007", "1e5", "True", "false", "-1", "+1.5", "-", "2020-01-01"),
    *('"', '""', "a,b;c|d", "x\r", "\r\n", "\n", "x\ny", "\ty", "'", "''x", "\x01\x7f"),
    *(
        "=1+1",
        "@SUM(A1)",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "~x",
        "＝1",
        "相册😀",
        "\ufeffx",
    ),
)


def test_every_text_number_and_truth_comes_back_as_it_was(tmp_path):
    chance = random.Random(0)
    letters = " ,;|\"'\r\n\t=+-@\\#NAnul07.é中😀\x00\x01\u2028"
    texts = ["".join(chance.choices(letters, k=k % 9)) for k in range(2000)]
    rows = [
        {
            "text": text,
            "number": chance.choice((None, np.inf, -np.inf, chance.gauss(0, 1e9))),
            "count": chance.choice((None, 0, -(2**53), 2**53)),
            "truth": chance.choice((None, False, True)),
        }
        for text in (None, *WORDS, *texts)
    ]
    written = TABLE.frame(rows)
    path = TABLE.write(written, tmp_path, "part")
    pd.testing.assert_frame_equal(TABLE.read(path), written, check_exact=True)


@pytest.mark.parametrize(
    "table",
    [
        table
        for room in (tables, _tables)
        for table in vars(room).values()
        if isinstance(table, Table)
    ],
)
def test_every_text_column_of_every_table_survives(table, tmp_path):
    dtypes = table.columns.items()
    rows = [
        {
            n: word if t == TEXT else None
            for n, t in dtypes
            if n not in table.json_columns
        }
        | {n: [word] for n in table.json_columns}
        for word in WORDS
    ]
    written = table.frame(rows)
    pd.testing.assert_frame_equal(table.read(table.write(written, tmp_path)), written)


def test_plain_pandas_reads_it_and_a_spreadsheet_computes_nothing(tmp_path):
    rows = [
        {"text": "相册", "number": 0.1, "count": 3, "truth": True},
        {"text": "=1+1", "truth": False},
        {"text": "-3.5"},
    ]
    path = TABLE.write(TABLE.frame(rows), tmp_path)
    found = pd.read_csv(path)
    assert found["text"].tolist() == ["相册", "'=1+1", "-3.5"]
    assert found["number"].isna().tolist() == [False, True, True]
    assert found.loc[0, ["number", "count", "truth"]].tolist() == [0.1, 3, True]


def test_a_file_of_before_is_read(tmp_path):
    (tmp_path / "t.csv").write_text(
        'text,number,count,truth\nNA,1.5,,True\n,,2,\n"a,b",-inf,3,False\n',
        encoding="utf-8",
    )
    found = TABLE.read(tmp_path / "t.csv")
    assert found["text"].fillna("?").tolist() == ["NA", "?", "a,b"]
    assert found["truth"].tolist() == [True, pd.NA, False]


def test_bytes_that_are_not_utf8_are_written_out(tmp_path):
    frame = TABLE.frame([{"text": "caf\udce9.png"}])
    assert TABLE.read(TABLE.write(frame, tmp_path))["text"][0] == r"caf\udce9.png"


@pytest.mark.parametrize(
    "content",
    [b"", b"text,number,count,truth\nx,y,1,True\n", b"text\n\xe9\n", b"a,b\n1\n"],
)
def test_what_is_no_such_table_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match="t"):
        TABLE.read(path)
