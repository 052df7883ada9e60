"""A server of the protocol of Hugging Face's hub, as far as models are pushed and fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import yaml
from local_server import serve

__all__ = ["TOKEN", "Hub", "serve_hub"]

TOKEN = "hf_tests"
"""The token of the one account, `me`."""


class Hub:
    """Content of the server: repositories and their commits, newest last."""

    def __init__(self) -> None:
        self.uri = ""
        self.private: dict[str, bool] = {}
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.messages: list[str] = []
        self.objects: dict[str, bytes] = {}

    def files(self, repository: str) -> dict[str, bytes]:
        return self.commits[repository][-1]

    def commit(self, repository: str, lines: list[dict]) -> str:
        files = dict(self.commits[repository][-1]) if self.commits[repository] else {}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
        self.commits[repository].append(files)
        return self.name(repository, -1)

    def name(self, repository: str, place: int) -> str:
        """The hash of a commit."""
        place %= len(self.commits[repository])
        return hashlib.sha1(f"{repository} {place}".encode()).hexdigest()

    def at(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Hash and files of a revision."""
        for place in range(len(self.commits.get(repository, ()))):
            name = self.name(repository, place)
            last = place == len(self.commits[repository]) - 1
            if revision == name or (revision == "main" and last):
                return name, self.commits[repository][place]
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, content: object = None, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._answer(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    @property
    def _is_me(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_POST(self) -> None:
        hub, body = self.hub, self._body()
        if not self._is_me:
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            repository = f"{asked.get('organization') or 'me'}/{asked['name']}"
            status = 409 if repository in hub.commits else 200
            hub.commits.setdefault(repository, [])
            hub.private.setdefault(repository, asked.get("visibility") == "private")
            self._answer(status, {"url": f"{hub.uri}/{repository}", "error": "exists"})
        elif match := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            if match[1] not in hub.commits:
                return self._refuse(404, "RepoNotFound", "Repository not found")
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith((".pth", ".safetensors")) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]  # fmt: skip
            self._answer(200, {"files": modes})
        elif self.path == "/api/validate-yaml":
            front = json.loads(body)["content"].split("---")[1]
            valid = isinstance(yaml.safe_load(front), dict)
            self._answer(200 if valid else 400, {"errors": [], "warnings": []})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.uri}/upload/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            done = hub.commit(match[1], [json.loads(line) for line in body.splitlines()])
            url = f"{hub.uri}/{match[1]}/commit/{done}"
            self._answer(200, {"success": True, "commitOid": done, "commitUrl": url})
        else:
            self._answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self._answer(200, b"")

    def do_GET(self) -> None:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path):
            private = self.hub.private.get(match[1], True)
            if private and not self._is_me:
                return self._refuse(401, "RepoNotFound", "Repository not found")
            return self._answer(200, {"id": match[1], "private": private, "siblings": []})
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not match:
            return self._answer(404, {"error": self.path})
        repository, revision, name = match.groups()
        if repository not in self.hub.commits or (self.hub.private[repository] and not self._is_me):
            return self._refuse(401, "RepoNotFound", "Repository not found")
        found = self.hub.at(repository, revision)
        if found is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        commit, files = found
        if name not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        etag = f'"{hashlib.sha256(files[name]).hexdigest()}"'
        return self._answer(200, files[name], X_Repo_Commit=commit, ETag=etag)

    do_HEAD = do_GET


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serve an empty hub on this machine."""
    hub = Hub()
    with serve(type("Handler", (_Handler,), {"hub": hub})) as hub.uri:
        yield hub
