"""``fastpong board``: the real server, asked as browsers and others ask."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from boards import Board, showing
from commands import complaint, fastpong, rows, training
from waiting import PATIENCE, until

from fastpong.extras import how_to_install

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def board(home: Path, trained: tuple[Path, str]) -> Iterator[Board]:
    """A board of the runs of the module. A file beside them is a secret."""
    (home / "secret.txt").write_text("the secret")
    (trained[0].parent / "link").symlink_to(home)
    with showing(cwd=home) as shown:
        yield shown


def test_the_page_and_its_files(board: Board, home: Path) -> None:
    for path, kind, word in (
        ("/", "text/html", str(home / "runs")),
        ("/board.css", "text/css", "prefers-color-scheme"),
        ("/board.js", "text/javascript", "EventSource"),
    ):
        answer, text = board.ask(path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert word in text
        assert not re.search(r"https?://(?!www.w3.org)", text)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_the_state_of_a_run(board: Board, trained: tuple[Path, str]) -> None:
    played = rows(trained[0])
    state = board.state(run=trained[0].name, axis="episodes")
    (run,) = state["runs"]
    assert run["name"] == trained[0].name
    assert run["training"] is False
    assert run["about"] == "karpathy on PongDeterministic-v4"
    assert run["episodes"] == "3"
    assert run["checkpoint"] == 3
    assert run["mean"] == f"{sum(float(row['return']) for row in played) / 3:+.2f}"
    assert 'data-x="0 3"' in state["charts"]["returns"]
    assert "emulated frames a second" in state["charts"]["throughput"]
    assert board.state()["charts"] == {"returns": "", "throughput": ""}


def test_several_runs_share_a_chart(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    names = ["a", "b", "sweep/c", "<b>bad</b>"]
    for name in [*names[:3], "d"]:
        shutil.copytree(trained[0], tmp_path / name)
    (tmp_path / "d").rename(tmp_path / "<b>bad<")
    with showing(tmp_path, cwd=home) as board:
        assert sorted(run["name"] for run in board.state()["runs"]) == ["<b>bad<", *names[:3]]
        returns = board.state(run=[*names[:3], "<b>bad<", "gone"])["charts"]["returns"]
    assert re.findall(r'<li><i class="(c\d)"></i>([^<]*)<', returns) == [
        ("c0", "a"), ("c1", "b"), ("c2", "sweep/c"), ("c3", "&lt;b&gt;bad&lt;"),
    ]  # fmt: skip
    assert "<b>" not in returns


def test_a_damaged_run_costs_the_others_nothing(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    names = ["nested", "large", "number", "good", "a\udcff", "a\udcfe"]
    runs = {name: Path(shutil.copytree(trained[0], tmp_path / name)) for name in names}
    (runs["nested"] / "config.toml").write_text("x = " + 6000 * "[" + 6000 * "]")
    with (runs["large"] / "metrics.csv").open("a") as file:
        file.write(f"4,0.0,{'9' * 400},1,0.0,1,1,1,1.0,1.0\n")
    (runs["number"] / "checkpoints" / "²2.json").write_text("{}")
    with showing(tmp_path, cwd=home) as board:
        told = board.state(run=["nested", "large", "number", "good", r"a\udcff", r"a\udcfe"])
        with board.game(r"a\udcff") as answer:
            assert "png" in next(m for m in events(answer) if "note" not in m)
    about = {run["name"]: run["about"] for run in told["runs"]}
    assert about.pop("nested") == "settings that cannot be read"
    known = "karpathy on PongDeterministic-v4"
    assert about == dict.fromkeys(["large", "number", "good", r"a\udcff", r"a\udcfe"], known)
    assert all(run["episodes"] == "3" for run in told["runs"])
    assert told["charts"]["returns"].count("<li>") == 6


def test_a_root_that_is_not_utf_8(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    root = tmp_path / "b\udcff"
    shutil.copytree(trained[0], root)
    with showing(root, cwd=home) as board:
        assert r"b\udcff" in board.ask("/")[1]
        assert [run["name"] for run in board.state()["runs"]] == [r"b\udcff"]


def test_colours_are_those_of_the_places_among_the_chosen(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    for name in "abc":
        shutil.copytree(trained[0], tmp_path / name)
    (tmp_path / "b" / "metrics.csv").unlink()
    with showing(tmp_path, cwd=home) as board:
        charts = board.state(run=["gone", "a", "b", "c"])["charts"]
    for chart in charts.values():
        found = re.findall(r'<li><i class="(c\d)"></i>([^<]*)<', chart)
        assert found == [("c1", "a"), ("c3", "c")]


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt", "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt",
        "/runs/../secret.txt", "//secret.txt", "/board.js/../../secret.txt", "/static/board.js",
        "/%00", "/board.css%00", "/game", "/game?run=", "/game?run=..", "/game?run=../secret.txt",
        "/game?run=..%2f", "/game?run=link", "/game?run=link/runs", "/game?run=/etc",
        "/game?run=%2e%2e", "/game?run=a%00b", "/file:///etc/passwd", "/state/", "/" + 3000 * "a",
    ],
)  # fmt: skip
def test_no_path_leads_outside(board: Board, path: str) -> None:
    answer, text = board.ask(path)
    assert answer.status in (307, 404)
    assert "secret" not in text.replace(path, "")
    assert "root:" not in text


@pytest.mark.parametrize("run", ["..", "../..", "/etc", "link", "%2e%2e", "link/runs", "\0"])
def test_unknown_runs_are_left_out_of_charts(board: Board, run: str) -> None:
    assert board.state(run=run)["charts"]["returns"] == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/", "/state", "/game", "/missing"])
def test_nothing_but_reading(board: Board, method: str, path: str) -> None:
    answer, text = board.ask(path, method, Origin="http://evil.example")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "only reads" in text


def test_head_has_no_body_and_plays_nothing(board: Board, trained: tuple[Path, str]) -> None:
    for path in ("/", "/board.js", "/state", "/game?" + urlencode({"run": trained[0].name})):
        answer, text = board.ask(path, "HEAD")
        assert (answer.status, text) == (200, "")
    # The answer has an end: another one follows on the same connection.
    connection = http.client.HTTPConnection("127.0.0.1", board.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        for method, asked in (("HEAD", path), ("GET", "/state")):
            connection.request(method, asked)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2600", "localhost.evil", ""])
def test_another_host_is_refused(board: Board, host: str) -> None:
    for path in ("/", "/state", "/game"):
        answer, text = board.ask(path, Host=host)
        assert answer.status == 403
        assert "expected this machine's address" in text


def test_names_of_this_machine_are_taken(board: Board) -> None:
    for host in ("localhost", f"localhost:{board.port}", "127.0.0.1", "[::1]:8080"):
        assert board.ask("/state", Host=host)[0].status == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"axis": "money"}, "axis: expected one of steps, frames"),
        ({"run": list("abcdefghi")}, "run: expected up to 8, got 9"),
    ],
)
def test_a_wrong_question_is_answered(
    board: Board, query: dict[str, object], expected: str
) -> None:
    answer, text = board.ask("/state?" + urlencode(query, doseq=True))
    assert answer.status == 400
    assert text.startswith(expected)


def test_rubbish_instead_of_http(board: Board) -> None:
    for sent in (b"\x16\x03\x01\x02\n\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", board.port), timeout=PATIENCE) as line:
            line.sendall(sent)
            line.shutdown(socket.SHUT_WR)
            assert not line.recv(100).startswith(b"HTTP/1.1 200")
    assert board.ask("/")[0].status == 200


def events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_a_game_is_played(board: Board, trained: tuple[Path, str]) -> None:
    image = pytest.importorskip("PIL.Image")
    with board.game(trained[0].name) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = events(answer)
        moments = [next(stream) for _ in range(20)]
    pictures = {moment["png"] for moment in moments}
    assert len(pictures) > 10
    for picture in pictures:
        with image.open(io.BytesIO(base64.b64decode(picture))) as read:
            assert read.size == (160, 210)
    assert moments[-1]["agent"] == "karpathy"
    assert moments[-1]["trained"].startswith("3 episodes")
    assert 0 < moments[-1]["up"] < 1


def status(board: Board, run: str) -> int:
    with board.game(run) as answer:
        return answer.status


def test_no_more_games_than_a_few(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    for name in "abcde":
        shutil.copytree(trained[0], tmp_path / name)
    with showing(tmp_path, cwd=home) as board, contextlib.ExitStack() as looked:
        for name in "abcd":
            assert looked.enter_context(board.game(name)).status == 200
        assert status(board, "e") == 503
        assert status(board, "a") == 200
        looked.close()
        until(lambda: status(board, "e") == 200)  # an end is noticed within a picture or two


def test_a_training_is_followed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with showing(cwd=tmp_path) as board:
        assert board.state()["runs"] == []
        with training("--run-dir", "runs/live", "--save-every", 1, cwd=tmp_path) as process:
            first = board.state(run="live")["runs"][0]
            assert first["training"] is True
            until(lambda: board.state(run="live")["runs"][0]["episodes"] != first["episodes"])
            with board.game("live") as answer:
                assert "png" in next(m for m in events(answer) if "note" not in m)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
        assert board.state()["runs"][0]["training"] is False


def test_a_run_without_checkpoint_waits(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    (run / "checkpoints").rename(tmp_path / "later")
    with showing(tmp_path, cwd=home) as board, board.game("run") as answer:
        stream = events(answer)
        assert next(stream) == {"note": "There is no whole checkpoint yet."}
        (tmp_path / "later").rename(run / "checkpoints")
        assert "png" in next(moment for moment in stream if "note" not in moment)


def first_note(board: Board) -> str:
    with board.game("run") as answer:
        return str(next(events(answer)).get("note", ""))


def test_a_damaged_checkpoint_is_named_and_an_older_one_plays(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    *others, newest = sorted((run / "checkpoints").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-5])
    with showing(tmp_path, cwd=home) as board:
        with board.game("run") as answer:
            moment = next(m for m in events(answer) if "note" not in m)
        assert moment["trained"].startswith("2 episodes")
        assert "(00000003.json refused as damaged)" in moment["trained"]
        for other in others:
            other.write_bytes(b"")
        note = until(lambda: "00000002" in (note := first_note(board)) and note)
    assert note.startswith("No checkpoint is whole: 00000003.json, 00000002.json")
    assert note.endswith("refused as damaged.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_a_stream_open(
    home: Path, trained: tuple[Path, str], number: signal.Signals
) -> None:
    with showing(cwd=home) as board, board.game(trained[0].name) as answer:
        next(events(answer))
        board.process.send_signal(number)
        _, errors = board.process.communicate(timeout=PATIENCE)
    assert board.process.returncode == (0 if number == signal.SIGINT else 128 + number)
    assert errors == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Killer:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'uvicorn':\n"
        f"            os.kill(os.getpid(), {number:d})\n"
        "sys.meta_path.insert(0, Killer())\n"
    )
    done = fastpong("board", tmp_path, "--port", 0, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == (0 if number == signal.SIGINT else 128 + number)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_board_writes_nothing(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "runs" / "run"))
    before = {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]}
    with showing(tmp_path / "runs", cwd=tmp_path) as board:
        board.state(run="run")
        with board.game("run") as answer:
            next(events(answer))
    assert {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]} == before


def test_another_address_is_warned_of(home: Path, trained: tuple[Path, str]) -> None:
    with showing("--host", "0.0.0.0", cwd=home) as board:
        assert board.ask("/state")[0].status == 200
        assert board.ask("/state", Host="evil.example")[0].status == 403
        board.process.send_signal(signal.SIGINT)
        _, errors = board.process.communicate(timeout=PATIENCE)
    assert "--host 0.0.0.0: other machines can look at these runs" in errors


def test_what_is_refused(tmp_path: Path) -> None:
    done = fastpong("board", cwd=tmp_path)
    assert "runs: expected a directory of runs, found none" in complaint(done)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fastpong("board", tmp_path, "--port", port, cwd=tmp_path)
    assert f"--port {port}: cannot listen there" in complaint(done)
    done = fastpong("board", tmp_path, "--host", "no.such.host.invalid", cwd=tmp_path)
    assert "--host no.such.host.invalid" in complaint(done)
    assert "65536 is not in the range" in complaint(
        fastpong("board", tmp_path, "--port", 65536, cwd=tmp_path)
    )


def test_without_the_server_library_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    done = fastpong("board", tmp_path, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert how_to_install("board") in complaint(done)


def test_it_runs_at_a_low_priority(board: Board) -> None:
    board.state()
    threads = [int(path.name) for path in Path(f"/proc/{board.process.pid}/task").iterdir()]
    assert all(os.getpriority(os.PRIO_PROCESS, thread) >= 15 for thread in threads)


def test_all_threads_get_a_low_priority() -> None:
    code = (
        "import os, threading, numpy\n"
        "from fastpong.runtime.priority import lower\n"
        "over = threading.Event()\n"
        "threading.Thread(target=over.wait).start()\n"
        "lower()\n"
        "threads = [int(name) for name in os.listdir('/proc/self/task')]\n"
        "print(len(threads), min(os.getpriority(os.PRIO_PROCESS, n) for n in threads))\n"
        "over.set()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    count, lowest = map(int, done.stdout.split())
    assert count >= 2
    assert lowest >= 15


def test_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    with showing(tmp_path, cwd=tmp_path) as board, contextlib.ExitStack() as opened:
        for _ in range(70):
            line = socket.create_connection(("127.0.0.1", board.port), timeout=PATIENCE)
            opened.enter_context(line)
        until(lambda: board.ask("/state")[0].status == 200)
        board.process.send_signal(signal.SIGINT)
        _, errors = board.process.communicate(timeout=PATIENCE)
    assert errors == ""


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_nothing(board: Board, site: str) -> None:
    for path in ("/state", "/game", "/board.js"):
        answer, text = board.ask(path, **{"Sec-Fetch-Site": site})
        assert answer.status == 403
        assert "another site" in text
    for own in ("same-origin", "none"):
        assert board.ask("/state", **{"Sec-Fetch-Site": own})[0].status == 200
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert board.ask("/", **link)[0].status == 200, "a link to the board"
