"""The page of `speechxfer serve` without a browser: what is refused, what survives a restart, and what its commands are."""

import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from speechxfer import InputError
from speechxfer.annotations import Annotation, Interval, Tier, read_annotations, write_annotation
from speechxfer.data import read_manifest
from speechxfer.server import jobs as jobs_module
from speechxfer.server import serve
from speechxfer.server.application import build_application
from speechxfer.server.jobs import Command, Job, Jobs
from speechxfer.server.project import Project, safe_name
from speechxfer.server.security import read_key
from tests.elan_projects import write_elan_project, write_recording

PORT = 8765
OWN = {"Host": f"127.0.0.1:{PORT}", "Origin": f"http://127.0.0.1:{PORT}"}
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> ‮abc‬ שלום 🎤"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, warm_programs: Path) -> None:
    """Commands of jobs start in a fraction of a second."""
    monkeypatch.setattr(jobs_module, "PROGRAM", (str(warm_programs / "python"), "-m", "speechxfer"))


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    yield open_page(folder)


def open_page(folder: Path) -> TestClient:
    """A browser that was opened with the printed address."""
    client = TestClient(
        build_application(Project(folder), port=PORT), base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=True
    )
    client.headers.update(OWN)
    assert client.get(f"/?key={read_key(folder)}", follow_redirects=False).status_code == 303
    return client


def upload(client: TestClient, path: Path, name: str = "") -> Any:
    return client.post("/api/upload", params={"name": name or path.name}, content=path.read_bytes())


def post(client: TestClient, action: str, **body: object) -> dict[str, Any]:
    answer = client.post(f"/api/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def wait_for(jobs: Jobs, number: int, timeout_s: float = 300.0) -> Job:
    until_s = time.monotonic() + timeout_s
    while jobs.get(number).status == "running" and time.monotonic() < until_s:
        time.sleep(0.05)
    return jobs.get(number)


# ----------------------------------------------------------------------------------------------------------- security
def test_only_the_page_itself_in_the_browser_of_its_user_is_answered(client: TestClient, folder: Path) -> None:
    assert client.get("/api/state").status_code == 200
    assert client.get("/api/state", headers={"Host": f"evil.example:{PORT}"}).status_code == 421  # DNS rebinding
    assert client.get("/api/state", headers={"Host": "127.0.0.1:1"}).status_code == 421
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{PORT + 1}"):  # forged by another page
        assert client.post("/api/prepare", json={}, headers={"Origin": origin}).status_code == 403
    without_origin = {name: value for name, value in OWN.items() if name != "Origin"}
    other_user = TestClient(client.app, base_url=f"http://127.0.0.1:{PORT}", headers=without_origin)
    assert other_user.post("/api/prepare", json={}).status_code == 403
    for path in ("/", "/api/state", "/page.js", "/?key=wrong", "/clip"):
        answer = other_user.get(path)
        assert answer.status_code == 403 and "speechxfer serve" in answer.text
    assert (folder / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"short"])
def test_a_key_that_is_not_whole_is_no_key(folder: Path, content: bytes) -> None:
    """Such as after the disk was full; an empty one would let everybody in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_bytes(content)
    (folder / "key").chmod(0o644)
    (folder / "project.json").write_text("{}")
    application = build_application(Project(folder), port=PORT)
    stranger = TestClient(application, base_url=f"http://127.0.0.1:{PORT}", headers=OWN)
    assert stranger.get("/api/state").status_code == 403
    assert len(read_key(folder)) == 32 and (folder / "key").stat().st_mode & 0o077 == 0
    assert open_page(folder).get("/api/state").status_code == 200


def test_cookies_of_other_programs_on_this_computer_do_not_shut_the_page(client: TestClient, folder: Path) -> None:
    """Browsers send one cookie header for all ports."""
    cookies = f'other={{"a": 1}}; speechxfer-{PORT}={read_key(folder)}; x=[1'
    stranger = TestClient(client.app, base_url=f"http://127.0.0.1:{PORT}", headers=OWN | {"Cookie": cookies})
    assert stranger.get("/api/state").status_code == 200


def test_every_answer_has_a_policy_without_inline_scripts(client: TestClient) -> None:
    for path in ("/", "/page.js", "/page.css", "/api/state", "/download/nothing", "/missing"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    page = client.get("/").text
    assert page.count("<script") == 1 and "style=" not in page and "onclick" not in page and "http" not in page


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("../../etc/story.eaf", "story.eaf"),
        ("C:\\tapes\\story.wav", "story.wav"),
        ("..story.wav", "story.wav"),
        ("-rf story.wav", "rf story.wav"),
        ("a\x00b\n\u202ec.wav", "abc.wav"),
        ("e\u0301t\u00e9 \U0001f3a4.wav", "\u00e9t\u00e9 \U0001f3a4.wav"),
        ("é" * 300 + ".wav", "é" * 98 + ".wav"),
    ],
)
def test_names_of_uploads_are_made_safe(given: str, wanted: str) -> None:
    assert safe_name(given) == wanted


@pytest.mark.parametrize("given", ["", "..", ".wav", "story", "story.py", "page.html", "torch.py/", "a.eaf.exe"])
def test_other_kinds_of_files_are_refused(given: str, client: TestClient, folder: Path) -> None:
    answer = client.post("/api/upload", params={"name": given}, content=b"x")
    assert answer.status_code == 400 and "files of this kind are not used" in answer.json()["error"]
    assert not list((folder / "recordings").iterdir())


def test_an_upload_is_whole_new_and_not_empty(client: TestClient, folder: Path, tmp_path: Path) -> None:
    sound = tmp_path / "a.wav"
    write_recording(sound, ["ab"])
    assert upload(client, sound).status_code == 200
    assert upload(client, sound, "../../a.wav").status_code == 200  # the same again
    assert (folder / "recordings" / "a.wav").read_bytes() == sound.read_bytes()
    refused = client.post("/api/upload", params={"name": "a.wav"}, content=b"other")
    assert refused.status_code == 400 and "another recording of this name" in refused.json()["error"]
    assert client.post("/api/upload", params={"name": "b.wav"}, content=b"").status_code == 400
    assert [path.name for path in (folder / "recordings").iterdir()] == ["a.wav"]


def test_a_document_that_is_sent_again_takes_the_place_of_the_older_one_which_is_kept(
    client: TestClient, folder: Path
) -> None:
    for content in (b"0\t1\tone\n", b"0\t1\ttwo\n", b"0\t1\ttwo\n"):
        assert client.post("/api/upload", params={"name": "a.txt"}, content=content).status_code == 200
    assert (folder / "recordings" / "a.txt").read_bytes() == b"0\t1\ttwo\n"
    assert [path.read_bytes() for path in (folder / "replaced").iterdir()] == [b"0\t1\tone\n"]


def test_sound_is_served_of_recordings_only_with_ranges(client: TestClient, folder: Path, tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", ["abcd abcd"])
    upload(client, tmp_path / "a.wav")
    place = {"recording": "recordings/a.wav", "start": "0.25", "end": "0.75"}
    whole = client.get("/clip", params=place)
    (tmp_path / "clip.wav").write_bytes(whole.content)
    assert soundfile.info(tmp_path / "clip.wav").frames == 8000
    part = client.get("/clip", params=place, headers={"Range": "bytes=44-143"})
    assert part.status_code == 206 and part.content == whole.content[44:144]
    for name in ("/etc/passwd", "../key", "key", "recordings/../key", str(tmp_path / "a.wav")):
        refused = client.get("/clip", params=place | {"recording": name})
        assert refused.status_code == 400 and "is no recording of this project" in refused.json()["error"]
    for start in ("nan", "-1", "inf", "x", ""):
        assert client.get("/clip", params=place | {"start": start}).status_code == 400


def test_only_results_can_be_downloaded(client: TestClient, folder: Path) -> None:
    (folder / "exports" / "1").mkdir(parents=True)
    (folder / "exports" / "1" / "report.html").write_text("<p>report</p>")
    (folder / "exports" / "1" / "link").symlink_to(folder / "key")
    assert client.get("/download/exports/1/report.html").headers["Content-Disposition"].startswith("attachment")
    opened = client.get("/download/exports/1/report.html?open=1")
    assert opened.headers["Content-Security-Policy"] == "sandbox allow-scripts"
    zipped = client.get("/download/exports/1")
    assert zipped.status_code == 200 and zipped.content[:2] == b"PK"
    for path in (
        "key",
        "exports/../key",
        "exports/%2e%2e/key",
        "exports",
        "exports/1/link",
        "%2fetc/passwd",
        "jobs/0001",
    ):
        assert client.get(f"/download/{path}").status_code == 400, path


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"data": 3}',
        b'{"data": "data/1", "more": 1}',
        b'{"data":"../.."}',
        b'{"data":"-x"}',
        b"[" * 9999,
    ],
)
def test_bad_requests_are_one_error(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/fix", content=body)
    assert answer.status_code == 400 and "reload the page" in answer.json()["error"]


def test_a_large_request_is_refused(client: TestClient) -> None:
    answer = client.post("/api/correct", content=b" " * ((1 << 20) + 1))
    assert answer.status_code == 400 and "larger than" in answer.json()["error"]


def test_a_port_in_use_and_a_missing_extra_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used, pytest.raises(InputError, match="cannot be opened"):
        serve(tmp_path / "project", port=used.getsockname()[1], open_browser=False)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(InputError, match=r"pip install 'speechxfer\[serve\]'"):
        serve(tmp_path / "other", open_browser=False)
    assert not (tmp_path / "other").exists()


# --------------------------------------------------------------------------------------------------------------- data
def test_a_folder_of_other_things_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="has files that are not of a project"):
        Project(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        Project(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_is_used_in_place(client: TestClient, folder: Path, tmp_path: Path) -> None:
    write_elan_project(tmp_path / "elan", documents=1)
    state = post(client, "add-folder", path=str(tmp_path / "elan"))
    assert state["sources"]["documents"] == [str(tmp_path / "elan" / "story0.eaf")]
    for path in ("", "relative", "/no/such", str(folder), str(tmp_path), str(tmp_path / "elan" / "story0.eaf"), "a\0b"):
        assert client.post("/api/add-folder", json={"path": path}).status_code == 400
    assert post(client, "remove-folder", path=str(tmp_path / "elan"))["sources"]["recording_count"] == 0
    assert len(list((tmp_path / "elan").iterdir())) == 2


def test_the_tier_with_the_most_text_of_each_document_is_chosen(client: TestClient, tmp_path: Path) -> None:
    write_elan_project(tmp_path / "elan", documents=1)
    texts = (Interval(0.0, 1.0, "ab cd ab"),)
    write_recording(tmp_path / "elan" / "b.wav", ["ab cd ab"])
    write_annotation(tmp_path / "elan" / "b.TextGrid", Annotation(Path("b.wav"), 1.0, (Tier("only [one]", texts),)))
    sources = post(client, "add-folder", path=str(tmp_path / "elan"))["sources"]
    assert [tier["pattern"] for tier in sources["tiers"]] == ["tx@*", "ft@*", "only [[]one]"]
    assert sources["chosen"] == ["tx@*", "only [[]one]"]
    assert post(client, "choose", tiers=["ft@*"], language="mdw")["sources"]["chosen"] == ["ft@*"]
    assert post(client, "choose", tiers=["gone"], language="")["sources"]["chosen"] == ["tx@*", "only [[]one]"]


def test_tiers_of_phrases_are_chosen_before_those_of_numbers_and_words(client: TestClient, tmp_path: Path) -> None:
    write_recording(tmp_path / "elan" / "a.wav", ["ab cd ab"])
    times = [(0.0, 1.0), (1.0, 2.0)]
    kinds = {
        "ref": ["story_of_the_old_river_00001", "story_of_the_old_river_00002"],
        "tx": ["ab cd", "cd ab"],
        "wd": ["ab", "cd"],
    }
    tiers = tuple(
        Tier(f"{name}@ana", tuple(Interval(*time, text) for time, text in zip(times, texts, strict=True)))
        for name, texts in kinds.items()
    )
    write_annotation(tmp_path / "elan" / "a.eaf", Annotation(tmp_path / "elan" / "a.wav", 2.0, tiers))
    assert post(client, "add-folder", path=str(tmp_path / "elan"))["sources"]["chosen"] == ["tx@*"]


@pytest.mark.usefixtures("commands")
def test_import_and_check_are_the_commands_that_are_shown(client: TestClient, folder: Path, tmp_path: Path) -> None:
    for path in write_elan_project(tmp_path / "elan"):
        upload(client, path)
    job = post(client, "prepare")["jobs"]["prepare"]
    assert [shlex.split(command)[:2] for command in job["commands"]] == [
        ["speechxfer", name] for name in ("import", "split", "check")
    ]
    assert job["commands"][0] == "speechxfer import recordings --tier 'tx@*' --out data/1/all.jsonl"
    assert wait_for(Jobs(folder), job["number"]).status == "done"
    data = client.get("/api/state").json()["data"]
    assert (
        sum(split["utterances"] for split in data["splits"])
        == 16
        == len(read_manifest(folder / "data" / "1" / "all.jsonl"))
    )
    assert client.get("/api/state").json()["sources"]["untranscribed_count"] == 0


@pytest.mark.usefixtures("commands")
def test_a_document_that_cannot_be_imported_is_named_and_the_others_are_used(
    client: TestClient, folder: Path, tmp_path: Path
) -> None:
    for path in write_elan_project(tmp_path / "elan"):
        upload(client, path)
    (tmp_path / "alone.eaf").write_bytes((tmp_path / "elan" / "story0.eaf").read_bytes().replace(b"story0", b"other"))
    upload(client, tmp_path / "alone.eaf")
    job = wait_for(Jobs(folder), post(client, "prepare")["jobs"]["prepare"]["number"])
    assert job.status == "done"
    data = client.get("/api/state").json()["data"]
    assert sum(split["utterances"] for split in data["splits"]) == 16
    assert [note[: len("not imported: recordings/alone.eaf")] for note in data["notes"]] == [
        "not imported: recordings/alone.eaf"
    ]


@pytest.mark.usefixtures("commands")
def test_a_table_is_imported_by_its_name(client: TestClient, folder: Path, tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", ["ab cd"])
    (tmp_path / "t.tsv").write_text("path\ttext\na.wav\tab cd\n", encoding="utf-8")
    for name in ("a.wav", "t.tsv"):
        upload(client, tmp_path / name)
    job = post(client, "prepare")["jobs"]["prepare"]
    assert job["commands"][0] == "speechxfer import recordings/t.tsv --out data/1/all.jsonl"
    assert "only 1 different sentences" in wait_for(Jobs(folder), job["number"]).message
    assert [row.text for row in read_manifest(folder / "data" / "1" / "all.jsonl")] == ["ab cd"]


@pytest.mark.usefixtures("commands")
def test_what_check_finds_can_be_removed(client: TestClient, folder: Path, tmp_path: Path) -> None:
    files = write_elan_project(tmp_path / "elan", documents=1)
    [annotation] = read_annotations(files[0])
    samples, rate_hz = soundfile.read(files[1], dtype="int16")
    soundfile.write(files[1], np.concatenate([samples, np.zeros(3 * rate_hz, np.int16)]), rate_hz)
    silent = Interval(annotation.end_s + 1.0, annotation.end_s + 2.0, HOSTILE)
    tier = Tier("tx", (*annotation.tiers[0].intervals, silent))
    write_annotation(files[0], Annotation(files[1], annotation.end_s + 3, (tier,)))
    post(client, "add-folder", path=str(tmp_path / "elan"))
    wait_for(Jobs(folder), post(client, "prepare")["jobs"]["prepare"]["number"])
    data = client.get("/api/state").json()["data"]
    assert data["errors"] == 1 and "silence" in {finding["kind"] for finding in data["findings"]}
    job = post(client, "fix", data=data["name"])["jobs"]["fix"]
    assert job["commands"] == [
        "speechxfer check data/1/train.jsonl data/1/dev.jsonl data/1/test.jsonl --resample --mono --fix data/1/clean"
    ]
    assert wait_for(Jobs(folder), job["number"]).status == "done"
    after = client.get("/api/state").json()["data"]
    assert after["fixed"] and after["removed"] == 1


def test_names_that_are_not_utf8_are_not_used_and_counted(client: TestClient, tmp_path: Path) -> None:
    write_elan_project(tmp_path / "elan", documents=1)
    (tmp_path / "elan" / os.fsdecode(b"caf\xe9.wav")).write_bytes((tmp_path / "elan" / "story0.wav").read_bytes())
    sources = post(client, "add-folder", path=str(tmp_path / "elan"))["sources"]
    assert sources["recording_count"] == 1
    assert sources["faults"] == [f"{tmp_path / 'elan'}: 1 file not used, since names are not UTF-8; rename them"]


def test_without_transcripts_the_message_says_what_to_do(client: TestClient, tmp_path: Path) -> None:
    write_recording(tmp_path / "a.wav", ["ab"])
    upload(client, tmp_path / "a.wav")
    answer = client.post("/api/prepare", json={})
    assert answer.status_code == 400 and "there is no transcript yet" in answer.json()["error"]


# --------------------------------------------------------------------------------------------------------------- jobs
def sleeper(seconds: float) -> str:
    line = "counting: step: 1,000 of 9,000, about 8 s left, loss 1.5"
    return f"import time; print({line!r}, flush=True); time.sleep({seconds})"


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(jobs_module, "PROGRAM", (jobs_module.sys.executable, "-c"))
    return Jobs(tmp_path)


def wait_for_text(jobs: Jobs, number: int, text: str) -> Job:
    until_s = time.monotonic() + 60
    while text not in "\n".join(jobs.get(number).log) and time.monotonic() < until_s:
        time.sleep(0.02)
    return jobs.get(number)


def test_a_running_job_is_found_after_a_restart_and_can_be_stopped(jobs: Jobs, tmp_path: Path) -> None:
    number = jobs.start("train", [Command((sleeper(60),)), Command(("print('never')",))]).number
    job = wait_for_text(jobs, number, "\ncounting")
    assert job.status == "running"
    assert job.progress == {"what": "counting: step", "done": 1000, "total": 9000, "left": "8 s"}
    with pytest.raises(InputError, match="running already"):
        jobs.start("train", [Command(("print()",))])
    again = Jobs(tmp_path)  # of a program that was started anew
    assert again.get(number).status == "running"
    again.stop(number)
    stopped = wait_for(again, number)
    assert (stopped.status, stopped.done) == ("stopped", 0)
    assert "KeyboardInterrupt" in "\n".join(stopped.log) and "never" not in "\n".join(stopped.log)[-20:]


def test_a_job_whose_processes_were_killed_is_stopped_and_continues_with_the_command_that_was_killed(
    jobs: Jobs, tmp_path: Path
) -> None:
    first = f"open({str(tmp_path / 'runs')!r}, 'a').write('1')"
    again = f"os.path.exists({str(tmp_path / 'again')!r})"
    second = f"import os, time; print('two', flush=True); {again} or time.sleep(60)"
    number = jobs.start("train", [Command((first,)), Command((second,))]).number
    wait_for_text(jobs, number, "\ntwo")
    session = int((tmp_path / "jobs" / f"{number:04d}" / "pid").read_text())
    os.killpg(session, signal.SIGKILL)  # as when the computer is switched off
    killed = wait_for(jobs, number)
    assert (killed.status, killed.done, killed.code) == ("stopped", 1, None)
    (tmp_path / "again").touch()
    jobs.resume(number)
    assert wait_for(jobs, number).status == "done"
    assert (tmp_path / "runs").read_text() == "1"


def test_a_runner_that_dies_alone_leaves_the_job_running_while_its_command_does(jobs: Jobs, tmp_path: Path) -> None:
    number = jobs.start("train", [Command((sleeper(60),))]).number
    wait_for_text(jobs, number, "\ncounting")
    os.kill(int((tmp_path / "jobs" / f"{number:04d}" / "pid").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    assert jobs.get(number).status == "running"
    with pytest.raises(InputError, match="is running"):
        jobs.resume(number)
    jobs.stop(number)
    assert wait_for(jobs, number).status == "stopped"


def test_a_command_that_ignores_the_first_stop_is_killed_by_the_second(jobs: Jobs) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    number = jobs.start("train", [Command((stubborn,))]).number
    wait_for_text(jobs, number, "\nready")
    jobs.stop(number)
    time.sleep(0.2)
    assert jobs.get(number).status == "running"
    jobs.stop(number)
    assert wait_for(jobs, number).status == "stopped"


def test_a_failed_job_shows_the_error_of_its_command(jobs: Jobs) -> None:
    number = jobs.start(
        "fix", [Command(("import sys; print('speechxfer: a.wav: is damaged; copy it', file=sys.stderr); sys.exit(2)",))]
    ).number
    job = wait_for(jobs, number)
    assert (job.status, job.code, job.message) == ("failed", 2, "a.wav: is damaged; copy it")
    with pytest.raises(InputError, match="there is no job 99"):
        jobs.get(99)


def test_a_code_is_tolerated_only_if_the_result_is_there(jobs: Jobs, tmp_path: Path) -> None:
    crash = Command(("import sys; sys.exit(1)",), 1, "made")
    assert wait_for(jobs, jobs.start("prepare", [crash]).number).status == "failed"
    (tmp_path / "made").touch()
    number = jobs.start("prepare", [crash, Command(("print('next')",))]).number
    assert wait_for(jobs, number).status == "done"
    other = Command(("import sys; sys.exit(3)",), 1, "made")
    assert wait_for(jobs, jobs.start("prepare", [other]).number).status == "failed"


def test_a_job_that_replaces_no_file_starts_again_with_an_empty_folder(jobs: Jobs, tmp_path: Path) -> None:
    make = "import os, sys; os.makedirs('out'); open('runs', 'a').write('1')"
    fail = "import os, sys; sys.exit(os.path.getsize('runs') < 2)"
    number = jobs.start("export", [Command((make,)), Command((fail,))], renew="out").number
    assert wait_for(jobs, number).status == "failed"
    jobs.resume(number)
    assert wait_for(jobs, number).status == "done"
    assert (tmp_path / "runs").read_text() == "11"


def test_commands_are_never_given_to_a_shell(jobs: Jobs, tmp_path: Path) -> None:
    hostile = f"; touch {tmp_path / 'made'} #"
    number = jobs.start("fix", [Command(("import sys; print(sys.argv[1:])", hostile))]).number
    assert repr(hostile) in "\n".join(wait_for(jobs, number).log)
    assert not (tmp_path / "made").exists()


# ------------------------------------------------------------------------------------------------------------- review
def write_transcripts(folder: Path, scores: list[float], texts: list[str]) -> None:
    """What `transcribe --format json` writes of one recording, in a finished job."""
    write_recording(folder / "recordings" / "new.wav", texts)
    intervals = [
        {"start": 2.0 * n, "end": 2.0 * n + 1, "text": text, "score": score}
        for n, (score, text) in enumerate(zip(scores, texts, strict=True))
    ]
    out = folder / "transcripts" / "1"
    out.mkdir(parents=True)
    transcript = {
        "media": "recordings/new.wav",
        "duration": 9.0,
        "tiers": [{"name": "utterances", "intervals": intervals}],
    }
    (out / "new.json").write_text(json.dumps(transcript))
    job = folder / "jobs" / "0001"
    job.mkdir(parents=True)
    about = {"model": "models/1", "transcripts": "transcripts/1"}
    (job / "job.json").write_text(json.dumps({"kind": "transcribe", "about": about, "program": [], "commands": []}))
    (job / "state.json").write_text(json.dumps({"done": 0, "code": 0}))


def suggested(client: TestClient) -> list[tuple[str, float]]:
    return [(one["text"], one["confidence"]) for one in client.get("/api/suggestions").json()["utterances"]]


def test_the_least_certain_utterance_is_first_and_a_correction_becomes_training_data(
    client: TestClient, folder: Path
) -> None:
    write_transcripts(folder, [0.9, 0.2, 0.5], ["ab cd", "cc dd", "ba ba"])
    assert suggested(client) == [("cc dd", 0.2), ("ba ba", 0.5), ("ab cd", 0.9)]
    first, second, _ = client.get("/api/suggestions").json()["utterances"]
    post(client, "correct", transcripts="transcripts/1", id=first["id"], text=f"  {HOSTILE}\n")
    post(client, "skip", transcripts="transcripts/1", id=second["id"])
    [corrected] = read_manifest(folder / "corrected.jsonl")
    assert (corrected.text, corrected.offset, corrected.duration) == (HOSTILE, 2.0, 1.0)
    assert corrected.audio_filepath == folder / "recordings" / "new.wav"
    client = open_page(folder)  # all of it is on disk
    assert suggested(client) == [("ab cd", 0.9)]
    post(client, "undo")
    assert suggested(client) == [("cc dd", 0.2), ("ab cd", 0.9)]
    assert not (folder / "corrected.jsonl").exists()
    for text in ("", " \n", "a" * 5001):
        refused = client.post("/api/correct", json={"transcripts": "transcripts/1", "id": first["id"], "text": text})
        assert refused.status_code == 400
    assert client.post("/api/skip", json={"transcripts": "../..", "id": "x"}).status_code == 400


def test_hostile_texts_are_data_of_json_only(client: TestClient, folder: Path) -> None:
    write_transcripts(folder, [0.1], [HOSTILE[:3].replace("<", "a").replace("s", "b").replace("c", "d")])
    path = folder / "transcripts" / "1" / "new.json"
    path.write_text(path.read_text().replace('"text": "', '"text": "' + "<script>alert(1)</script>"))
    answer = client.get("/api/suggestions")
    assert (
        answer.headers["Content-Type"] == "application/json" and answer.headers["X-Content-Type-Options"] == "nosniff"
    )
    assert "<script>alert(1)</script>" in answer.json()["utterances"][0]["text"]
    script = (Path(jobs_module.__file__).parent / "static" / "page.js").read_text()
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert unsafe not in script
