"""A board in a process of its own, and questions to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from commands import COMMAND
from waiting import PATIENCE


@dataclass
class Board:
    process: subprocess.Popen[str]
    port: int

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()

    def state(self, **query: object) -> dict[str, Any]:
        answer, text = self.ask("/state?" + urlencode(query, doseq=True))
        assert answer.status == 200, text
        return dict(json.loads(text))

    @contextlib.contextmanager
    def game(self, run: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/game?" + urlencode({"run": run}))
            yield connection.getresponse()


@contextlib.contextmanager
def showing(*arguments: object, cwd: Path) -> Iterator[Board]:
    process = subprocess.Popen(
        [*COMMAND, "board", *map(str, arguments), "--port", "0"],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        found = re.search(r"http://[\d.]+:(\d+)/  \(Ctrl-C ends\)", process.stdout.readline())
        assert found is not None, process.communicate()
        yield Board(process, int(found[1]))
    finally:
        process.kill()
        process.communicate()
