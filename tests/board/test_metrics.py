"""metrics.csv while it grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from run_cases import stats

from fastpong.board.metrics import TAIL, GrowingMetrics, read_tail
from fastpong.storage.logs import HEADER, Row
from fastpong.viewing.curves import read_record


def line(episode: int) -> bytes:
    return Row.of(stats(episode)).line()


def test_new_rows_come_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = GrowingMetrics(path, "a run")
    assert metrics.read() is None
    path.write_bytes(HEADER)
    assert metrics.read() is None
    written = HEADER
    for episode in range(1, 30):
        written += line(episode)
        path.write_bytes(written + line(episode + 1)[:7])  # the next one is being written
        record = metrics.read()
        assert record is not None
        assert record.name == "a run"
        assert record.columns["episode"].tolist() == list(range(1, episode + 1))
    path.write_bytes(written)
    whole = read_record(path)
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(record.columns[name], values)


def test_a_resumed_run_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = GrowingMetrics(path, "run")
    path.write_bytes(HEADER + b"".join(map(line, range(1, 11))))
    metrics.read()
    # As long as before, and other rows at its end.
    again = [line(1), *(line(n).replace(b",1", b",2") for n in range(2, 12))]
    path.write_bytes(HEADER + b"".join(again))
    record = metrics.read()
    assert record is not None
    np.testing.assert_array_equal(record.columns["length"], read_record(path).columns["length"])
    path.write_bytes(HEADER + line(1))
    record = metrics.read()
    assert record is not None
    assert record.columns["episode"].tolist() == [1]
    path.unlink()
    assert metrics.read() is None


def test_damaged_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(HEADER + line(1) + b"what,is,this\n\xff\n" + line(2) + b"\n" + line(3))
    record = GrowingMetrics(path, "run").read()
    assert record is not None
    assert record.columns["episode"].tolist() == [1, 2, 3]
    assert [row.episode for row in read_tail(path)] == [1, 2, 3]


def test_a_number_above_all_floats_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(HEADER + line(1) + line(2).replace(b"1002", b"9" * 400) + line(3))
    record = GrowingMetrics(path, "run").read()
    assert record is not None
    assert record.columns["episode"].tolist() == [1, 3]
    assert [row.episode for row in read_tail(path)] == [1, 3]


def test_an_older_file_has_no_column_of_cpu_time(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    lines = [text.rpartition(b",")[0] + b"\n" for text in (HEADER, *map(line, (1, 2, 3)))]
    metrics = GrowingMetrics(path, "run")
    for count in (3, 4):
        path.write_bytes(b"".join(lines[:count]))
        record = metrics.read()
        assert record is not None
        assert record.columns["episode"].tolist() == list(range(1, count))
        assert not record.columns["cpu_seconds"].any()
    assert [row.episode for row in read_tail(path)] == [1, 2, 3]
    # A line of nine values in a file of ten columns is damaged.
    path.write_bytes(HEADER + line(1) + lines[2])
    record = metrics.read()
    assert record is not None
    assert record.columns["episode"].tolist() == [1]


def test_the_tail_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(HEADER + b"".join(map(line, range(1, 2001))) + b"2001,")
    assert path.stat().st_size > 2 * TAIL
    rows = read_tail(path)
    assert len(rows) > 200
    assert [row.episode for row in rows] == list(range(2001 - len(rows), 2001))
    assert read_tail(tmp_path / "missing") == []
