"""Safe files: whole or not at all; a folder belongs to one run."""

import errno
import os
import subprocess
import sys

import pytest

from fewlabels.claim import claim_folder, claimed_folder, read_run
from fewlabels.errors import InputError
from fewlabels.files import read_utf8, write_atomically

RUN = {"method": "joint", "seed": 0}


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    for data in (b"long first content", b"short"):
        write_atomically(path, data)
        assert content(tmp_path) == {path.relative_to(tmp_path): data}


def test_written_file_has_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    write_atomically(tmp_path / "a.bin", b"x")
    assert (tmp_path / "a.bin").stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_write_changes_nothing(tmp_path, monkeypatch, call):
    (tmp_path / "a.bin").write_bytes(b"before")
    before = content(tmp_path)
    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(
        InputError, match=r"a\.bin: could not write 1,000 bytes \(No space left on device\); nothing was"
    ):
        write_atomically(tmp_path / "a.bin", b"x" * 1000)
    assert content(tmp_path) == before


def test_write_stopped_halfway_by_the_system_changes_nothing(tmp_path):
    """A real refusal of the kernel, in the middle of the data, through a limit on the size of files."""
    (tmp_path / "a.bin").write_bytes(b"before")
    code = (
        "import resource, sys\n"
        "from fewlabels.errors import InputError\n"
        "from fewlabels.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_atomically(sys.argv[1], b'x' * 100_000)\n"
        "except InputError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "a.bin")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "could not write 100,000 bytes (File too large); nothing was changed" in output
    assert [data for data in content(tmp_path).values()] == [b"before"]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.bin", b"x")
    assert content(tmp_path) == {}


def test_write_refuses_folders_devices_and_absent_folders(tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    for path in (tmp_path, "/dev/null", tmp_path / "absent" / "a.bin", tmp_path / "file" / "a.bin"):
        with pytest.raises(InputError, match="nothing was changed"):
            write_atomically(path, b"x")
    assert [data for data in content(tmp_path).values()] == [b"before"]
    assert os.path.exists("/dev/null") and not os.path.isfile("/dev/null")


def test_text_without_byte_order_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9\r\n")
    assert read_utf8(tmp_path / "a.txt") == "café\r\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b" \n\t\n", "empty file"),
        (b"PAR1\0\0", "binary data"),
        ("a\n".encode("utf-16"), "binary data"),
        (b"one\ntwo\nthr\xe9e\n", r"a\.txt:3: expected UTF-8 text, came byte 0xe9"),
    ],
)
def test_text_that_is_none(tmp_path, data, message):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_utf8(tmp_path / "a.txt")


def test_text_from_nowhere(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_utf8(tmp_path / "absent")
    with pytest.raises(InputError, match="Is a directory"):
        read_utf8(tmp_path)


def test_a_folder_is_claimed_once_and_then_resumed(tmp_path):
    assert claim_folder(tmp_path / "new" / "deep", RUN) is False
    assert claim_folder(tmp_path / "new" / "deep", RUN) is True
    assert read_run(tmp_path / "new" / "deep") == RUN
    assert claim_folder(tmp_path / "tuples", {"columns": ("a", "b")}) is False
    assert claim_folder(tmp_path / "tuples", {"columns": ("a", "b")}) is True


def test_a_folder_of_another_run_is_left_alone(tmp_path):
    claim_folder(tmp_path, RUN)
    before = content(tmp_path)
    for other, named in (
        ({"seed": 1}, "seed=0"),
        ({"method": "supervised"}, "method=joint"),
        ({"label": "y"}, "label=None"),
    ):
        with pytest.raises(InputError, match=rf"holds another run \({named}\): choose another --out or delete it"):
            claim_folder(tmp_path, {**RUN, **other})
    with pytest.raises(InputError, match="holds another run"):
        claim_folder(tmp_path, {"method": "joint"})
    assert content(tmp_path) == before


def test_a_folder_of_foreign_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds files of something else \(thesis\.tex\)"):
        claim_folder(tmp_path, RUN)
    with pytest.raises(InputError, match="came a file"):
        claim_folder(tmp_path / "thesis.tex", RUN)
    with pytest.raises(InputError, match="Not a directory"):
        claim_folder(tmp_path / "thesis.tex" / "inner", RUN)
    assert list(content(tmp_path).values()) == [b"mine"]


def test_remains_of_an_interrupted_write_do_not_block_a_folder(tmp_path):
    (tmp_path / ".fewlabels-0123456789abcdef").write_bytes(b"half")
    assert claim_folder(tmp_path, RUN) is False


@pytest.mark.parametrize("data", [b"{", b"[1]", b"", b"\xff\0"])
def test_a_damaged_run_file_is_reported(tmp_path, data):
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(InputError, match=r"run\.json"):
        claim_folder(tmp_path, RUN)
    assert list(content(tmp_path).values()) == [data]


def test_no_space_for_the_run_file_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match="No space left"):
        claim_folder(tmp_path / "a" / "b", RUN)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_gives_a_new_folder_back(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "empty"):
        with pytest.raises(InputError, match="one class"), claimed_folder(folder, RUN):
            (folder / "checkpoint").mkdir()
            raise InputError("one class")
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_state_worth_resuming_is_kept(tmp_path):
    with pytest.raises(InputError), claimed_folder(tmp_path / "out", RUN):
        (tmp_path / "out" / "state").write_bytes(b"hours")
        raise InputError("no space")
    with pytest.raises(KeyboardInterrupt), claimed_folder(tmp_path / "fresh", RUN):
        raise KeyboardInterrupt
    with claimed_folder(tmp_path / "out", RUN) as resumed:
        assert resumed
    with pytest.raises(InputError), claimed_folder(tmp_path / "fresh", RUN) as resumed:
        raise InputError("again")
    assert resumed and read_run(tmp_path / "fresh") == RUN


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    with claimed_folder(tmp_path / "out", RUN):
        with pytest.raises(InputError, match="out: expected one process at work in it, came a second"):
            with claimed_folder(tmp_path / "out", RUN):
                pass
        assert (tmp_path / "out" / "run.json").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]
    with claimed_folder(tmp_path / "out", RUN) as resumed:
        assert resumed


def test_names_that_are_not_unicode_are_settings_too(tmp_path):
    run = {"data": "caf\udce9 café"}
    claim_folder(tmp_path / "out", run)
    assert "café" in (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    assert claim_folder(tmp_path / "out", run) and read_run(tmp_path / "out") == run
