import pyarrow as pa
import pytest

from raysee.errors import StorageError
from raysee.schema import CALLS, FEATURES, SEGMENTS, check, empty

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("count", pa.int32()),
        pa.field("values", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
    ]
)


def table(**changes: pa.Array) -> pa.Table:
    columns = {
        "name": pa.array(["one", "two"]),
        "count": pa.array([1, None], pa.int32()),
        "values": pa.array([[0.5], [1.0, 2.0]], pa.list_(pa.float32())),
    }
    return pa.table({**columns, **changes})


def test_columns_come_in_the_order_of_the_schema_and_no_others() -> None:
    mixed = table().select(["values", "name", "count"]).append_column("more", pa.array([1, 2]))
    checked = check(mixed, SCHEMA)
    assert checked.schema.equals(SCHEMA)
    assert checked.to_pydict() == table().to_pydict()


def test_metadata_of_the_table_is_kept() -> None:
    checked = check(table().replace_schema_metadata({"made": "today"}), SCHEMA)
    assert checked.schema.metadata == {b"made": b"today"}


@pytest.mark.parametrize(
    "count",
    [
        pa.array([1, None], pa.int64()),  # what from_pylist makes of an int
        pa.array([None, None], pa.null()),
    ],
)
def test_the_same_kind_in_another_width_is_cast(count: pa.Array) -> None:
    checked = check(table(count=count), SCHEMA)
    assert checked.schema.equals(SCHEMA)
    assert checked["count"].to_pylist() == count.to_pylist()


def test_a_missing_column_is_named_beside_what_was_found() -> None:
    with pytest.raises(StorageError, match="Columns count are missing; found name, values"):
        check(table().drop_columns(["count"]), SCHEMA)
    with pytest.raises(StorageError, match="found none"):
        check(pa.table({}), SCHEMA)


def test_the_levels_that_earlier_versions_did_not_measure_are_null() -> None:
    row = {
        "clip_id": "a",
        "content_sha256": "0",
        "duration_s": 1.0,
        "sample_rate_hz": 8000,
        "shape": [1],
        "values": [0.0],
    }
    checked = check(pa.Table.from_pylist([row]), FEATURES)
    assert checked.schema.equals(FEATURES)
    assert checked.to_pylist() == [row | {"level_dbfs": None}]
    with pytest.raises(StorageError, match="Columns level_dbfs are missing"):
        check(empty(SEGMENTS).drop_columns(["level_dbfs"]), SEGMENTS)


@pytest.mark.parametrize(
    "change",
    [
        {"name": pa.array([{"a": 1}, {"a": 2}])},
        {"count": pa.array(["x", "y"])},
        {"count": pa.array(["1", "2"])},  # numbers as text are text
        {"count": pa.array([1.5, 2.0])},
        {"count": pa.array([2**31, 1])},  # does not fit
        {"name": pa.array([1, 2])},  # "01" and 1 are not the same speaker
        {"values": pa.array([0.5, 1.0])},
    ],
    ids=lambda change: f"{next(iter(change))} as {next(iter(change.values())).type}",
)
def test_another_type_is_refused(change: dict[str, pa.Array]) -> None:
    with pytest.raises(StorageError, match="expected|what its type cannot"):
        check(table(**change), SCHEMA)


def test_a_null_where_none_may_be_is_counted() -> None:
    with pytest.raises(StorageError, match="Column name holds 1 nulls"):
        check(table(name=pa.array(["one", None])), SCHEMA)


def test_a_null_within_a_list_is_refused() -> None:
    with pytest.raises(StorageError, match="null"):
        check(table(values=pa.array([[0.5, None], [1.0]], pa.list_(pa.float32()))), SCHEMA)


@pytest.mark.parametrize("schema", [SEGMENTS, CALLS])
def test_no_rows_fit_every_schema(schema: pa.Schema) -> None:
    assert empty(schema).num_rows == 0
    assert check(empty(schema), schema).schema.equals(schema)
