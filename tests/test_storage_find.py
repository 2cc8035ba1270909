import os
import pathlib
import urllib.request

import pytest

from raysee import storage
from raysee.errors import MissingError, StorageError
from raysee.storage import FileInfo
from raysee.storage_find import list_matching, stat_each


def put(place: str, *names: str) -> None:
    for name in names:
        storage.write_bytes(storage.join(place, *name.split("/")), name.encode())


def names(files: list[FileInfo]) -> list[str]:
    return [storage.read_bytes(file.uri).decode() for file in files]


def test_a_place_without_a_pattern_is_listed_whole(place: str) -> None:
    put(place, "b", "a/c")
    root, files = list_matching(f"{place}/")
    assert (root, files) == (place, storage.list_files(place))


def test_what_is_found_is_what_a_listing_says_of_it(place: str) -> None:
    """Size and tag make a call's identity: a recording that is found another way is the same one."""
    put(place, "b/1", "a/1", "a/2")
    root, files = list_matching(f"{place}/*/1")
    assert root == place
    assert files == [file for file in storage.list_files(place) if file.uri.endswith("/1")]


def test_the_folder_before_the_pattern_is_looked_through(place: str) -> None:
    put(place, "a/b/1", "c/1")
    root, files = list_matching(f"{place}/a/b*/?")
    assert (root, names(files)) == (storage.join(place, "a"), ["a/b/1"])


def test_half_written_files_do_not_fit(place: str) -> None:
    put(place, "a/1", "a/.1.abc.tmp")
    assert names(list_matching(f"{place}/*/*")[1]) == ["a/1"]


def test_brackets_before_a_pattern_are_a_class_unless_they_are_escaped(place: str) -> None:
    put(place, "[ab]/1", "a/1")
    assert names(list_matching(f"{place}/[ab]/*")[1]) == ["a/1"]
    assert names(list_matching(f"{place}/[[]ab]/*")[1]) == ["[ab]/1"]
    assert names(list_matching(f"{place}/[ab]")[1]) == ["[ab]/1"], "which is there by this very name"


def test_a_uri_of_a_file_is_escaped_on_both_sides_of_the_pattern(tmp_path: pathlib.Path) -> None:
    root = storage.normalise(tmp_path / "[x]")
    (tmp_path / "[x]" / "a").mkdir(parents=True)
    for name in ("a/b c", "a/b%20c"):
        (tmp_path / "[x]" / name).write_text(name)
    assert "%5Bx%5D" in root
    assert names(list_matching(f"{root}/*/b%20c")[1]) == ["a/b c"]
    assert names(list_matching(f"{tmp_path}/*/a/b%20c")[1]) == ["a/b%20c"], "a path is as it is written"


@pytest.mark.parametrize("pattern", ["*.wav", "/*.wav", "s3://calls-*/a.wav", "s3://*", "file:///*.wav"])
def test_a_pattern_from_the_beginning_is_refused(pattern: str, s3_server: str) -> None:
    with pytest.raises(StorageError, match="begins with a pattern: name at least a folder or a bucket before it"):
        list_matching(pattern)


def test_two_stars_are_a_part_of_their_own(place: str) -> None:
    put(place, "a/1")
    with pytest.raises(StorageError, match=r"/x\*\*/1 is no pattern: \*\* stands for folders"):
        list_matching(f"{place}/x**/1")


def test_a_pattern_below_nothing_finds_nothing_or_says_so(place: str) -> None:
    if place.startswith("s3://"):  # which has no folders
        assert list_matching(f"{place}/nowhere/*.wav")[1] == []
        return
    with pytest.raises(MissingError, match="nowhere does not exist"):
        list_matching(f"{place}/nowhere/*.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: pathlib.Path) -> None:
    put(storage.normalise(tmp_path), "a/1", "b/1")
    (tmp_path / "b").chmod(0)
    with pytest.raises(StorageError, match="No permission"):
        list_matching(f"{tmp_path}/*/1")
    (tmp_path / "b").chmod(0o700)


def test_each_is_found_or_not_in_its_order(place: str) -> None:
    put(place, *(f"{number}.wav" for number in range(0, 60, 2)))
    uris = [storage.join(place, f"{number}.wav") for number in reversed(range(60))]
    found = list(stat_each(uris))
    assert [file is not None for file in found] == [number % 2 == 0 for number in reversed(range(60))]
    assert sorted(file for file in found if file) == storage.list_files(place)
    assert list(stat_each([])) == []


def test_a_folder_is_no_file(place: str) -> None:
    put(place, "a/1")
    assert list(stat_each([storage.join(place, "a")])) == [None]


def test_a_store_that_refuses_is_not_a_missing_file(bucket: str, s3_server: str) -> None:
    def allow(actions: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        urllib.request.urlopen(
            urllib.request.Request(f"{s3_server}/moto-api/reset-auth", data=actions, headers=headers)
        ).read()

    put(bucket, "a.wav")
    allow(b"0")
    try:
        with pytest.raises(StorageError, match="No permission for"):
            list(stat_each([f"{bucket}/a.wav"]))
    finally:
        allow(b"inf")
