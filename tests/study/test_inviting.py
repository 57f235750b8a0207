"""Inviting: who reaches the server, who has come how far, links that end."""

import contextlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys

import cv2
import httpx
import numpy as np
import pytest
from answers import answer
from PIL import Image
from skimage import data

from evalkit import cli
from evalkit.errors import StudyError
from evalkit.images import write_image
from evalkit.study import inviting, plan_rating, ratings_store, restore, serve_rating
from evalkit.study.run_folder import open_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with one picture, restored under one condition."""
    folder = tmp_path_factory.mktemp("made")
    write_image(folder / "album" / "cup.png", data.coffee()[100:148, 200:264])
    run = open_run(str(folder / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(folder / "cache"))
        images = run.images(str(folder / "album"))
        restore(run, "lanczos", images, say=lambda _: None)
    return run


@pytest.fixture
def run(made, tmp_path):
    """A copy of it, planned for two."""
    run = open_run(str(shutil.copytree(made.path, tmp_path / "run")))
    plan_rating(run, ["lanczos"], subjects=2)
    return run


class Served:
    """``evalkit rate`` in a process of its own, and all that it has said so far."""

    def __init__(self, run, *options: str) -> None:
        self.run = run
        command = [sys.executable, "-m", "evalkit.cli", "rate", str(run.path)]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *options],
            stdout=subprocess.PIPE,
            text=True,
            # a program that a shell has put behind ignores Ctrl-C, and hands that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("For you alone"):
                break
        self.links = dict(re.findall(r"(?m)^(\S+)  (http\S+/r/\S+/)", self.text))
        (self.owner,) = re.findall(r"\S+/o/\S+/", self.text)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def end(self) -> None:
        for _ in range(6):  # one that comes while the server starts may go under
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        assert self.process.poll() is not None
        self.process.stdout.close()


@pytest.fixture
def served(run):
    """``served(*options)``: the command serves the run; it is ended afterwards."""
    started = []

    def serve(*options: str) -> Served:
        started.append(Served(run, *options))
        return started[-1]

    yield serve
    for each in started:
        each.end()


@pytest.fixture
def command(monkeypatch, capsys):
    """``command(*arguments)``: `evalkit rate` in this process; status, out, err."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evalkit", "rate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


CLIENT = httpx.Client(timeout=60)
"""One for all requests: a context of TLS takes long to make."""


def rate(link: str, n_answers: int, client: httpx.Client = CLIENT) -> None:
    """A simulated subject gives so many answers, all of them 3."""
    client.get(f"{link}view")
    view = client.post(f"{link}event", json={"type": "start"}).json()
    for _ in range(n_answers):
        view = client.post(f"{link}event", json=answer(view, 3)).json()


def subjects(run) -> list[str]:
    return list(ratings_store(run).subjects())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["127.0.0.1", "[::1]"])
def test_on_all_addresses_both_kinds_are_served(run, served, name):
    server = served("--host", "::")
    port = re.search(r":(\d+)/r/", server.links["s01"])[1]
    secret = server.links["s01"].split("/")[-2]
    reply = CLIENT.get(f"http://{name}:{port}/r/{secret}/view")
    assert reply.json()["state"] == "welcome"


def test_it_says_who_reaches_it_and_who_reads_along():
    here, lan = ["http://127.0.0.1:1"], ["http://192.168.1.23:1", "http://[2001::1]:1"]
    (line,) = inviting._remarks(here, "")
    assert "Only this computer" in line
    same, line = inviting._remarks(lan, "")
    assert same == "The same at http://[2001::1]:1"
    assert "Not encrypted" in line
    assert inviting._remarks(["https://192.168.1.23:1"], "") == []
    assert inviting._remarks(here, "https://rate.example") == [
        "https://rate.example must lead here: http://127.0.0.1:1"
    ]
    assert "Not encrypted" in inviting._remarks(here, "http://rate.example")[1]


@pytest.mark.slow
def test_behind_a_proxy_links_have_its_address_with_its_path_or_without(served):
    server = served("--public-url", "https://rate.example/panel/")
    secret = server.links["s01"].removeprefix("https://rate.example/panel/r/")
    assert secret != server.links["s01"]
    (here,) = re.findall(r"must lead here: (\S+)", server.text)
    for prefix in ("/r/", "/panel/r/"):  # taken off by the proxy, or left
        page = CLIENT.get(f"{here}{prefix}{secret}")
        assert "<main>" in page.text
        assert CLIENT.get(f"{here}{prefix}{secret}view").status_code == 200
    assert server.owner.startswith("https://rate.example/panel/o/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of our own for localhost, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("install openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    options += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = [folder / "cert.pem", folder / "key.pem"]
    options += ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(["openssl", "req", *options], check=True, capture_output=True)
    return files


@pytest.mark.slow
def test_it_speaks_https_with_a_certificate_of_ones_own(run, served, certificate):
    server = served("--host", "localhost", "--https", *map(str, certificate))
    assert server.links["s01"].startswith("https://localhost:")
    context = ssl.create_default_context(cafile=certificate[0])
    rate(server.links["s01"], 1, httpx.Client(verify=context, timeout=60))
    assert len(ratings_store(run).scores()) == 1
    assert "Not encrypted" not in server.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", 70_000], "port must be 0 to 65535; found 70000"),
        (["--days", "nan"], "days must be more than 0"),
        (["--days", "inf"], "days must be more than 0"),
        (["--days", 0], "days must be more than 0"),
        (["--public-url", "rate.example"], "expected https://host"),
        (["--public-url", "https://rate.example:port/"], "expected https://host"),
        (["--public-url", "https://rate.example/?q"], "expected https://host"),
        (["--https", "no.pem", "no-key.pem"], "expected a certificate and its key"),
        (["--https", __file__, __file__], "expected a certificate and its key"),
        (["--host", "no such host"], "cannot listen on no such host"),
        (["--host", "192.0.2.77"], "cannot listen on 192.0.2.77"),
        (["--subject", "Ann Smith"], "expected a pseudonym"),
    ],
)
def test_what_is_refused_is_refused_before_anybody_is_added(
    run, command, options, said
):
    status, _, errors = command(run.path, "--subject", "new", *options)
    assert status == 1
    (line,) = errors.splitlines()
    assert said in line
    assert subjects(run) == ["s01", "s02"]


def test_a_port_that_is_taken_adds_nobody(run, command):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, _, errors = command(run.path, "--subject", "new", "--port", port)
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert subjects(run) == ["s01", "s02"]


def test_a_subject_is_added_while_the_server_runs(run, served, command):
    server = served()
    status, lines, _ = command(run.path, "--subject", "late")
    assert status == 0
    (link,) = re.findall(r"(?m)^late  (\S+/r/\S+/)", lines)
    port = re.search(r":(\d+)/r/", server.links["s01"])[1]
    assert f":{port}/r/" in link
    rate(link, 2)
    assert set(ratings_store(run).scores()["subject"]) == {"late"}
    assert "no other was started" in lines


def test_a_run_is_served_once(run, served):
    server = served()
    root = server.links["s01"].partition("/r/")[0]
    with pytest.raises(StudyError, match=f"served already at {re.escape(root)}"):
        serve_rating(run, port=0)


@pytest.mark.slow
def test_a_server_that_was_killed_is_no_server(run, served, command):
    server = served()
    server.process.kill()
    server.process.wait()
    assert "Not served now" in command(run.path, "--status")[1]
    assert served().links.keys() == {"s01", "s02"}


def test_the_status_says_who_has_how_many_and_whether_it_is_enough(
    run, served, command
):
    server = served()
    (total,) = {int(n) for n in re.findall(r"0 of (\d+)", server.text)}
    rate(server.links["s01"], 2)
    _, lines, _ = command(run.path, "--status")
    first, second, both, where = lines.splitlines()
    assert re.fullmatch(
        rf"s01  2 / {total}\s+begun\s+\d{{4}}-\S+ \d\d:\d\d UTC  {total - 2} more",
        first,
    )
    assert re.fullmatch(rf"s02  0 / {total}\s+not begun\s+never.*{total} more", second)
    assert both == "0 of 2 planned sessions are complete: 2 more."
    assert where.startswith("Served at http://127.0.0.1:")
    rate(server.links["s01"], total - 2)
    rate(server.links["s02"], total)
    _, lines, _ = command(run.path, "--status")
    assert "2 of 2 planned sessions are complete: enough." in lines


def test_the_status_of_a_study_counts_what_the_study_plans(run, command):
    (run.path / "study.yaml").write_text("rating: {subjects: 5}", encoding="utf-8")
    assert "0 of 5 planned sessions" in command(run.path, "--status")[1]


def test_without_a_plan_there_is_no_status_and_nothing_is_made(tmp_path, command):
    status, _, errors = command(tmp_path, "--status")
    assert (status, "expected a plan" in errors) == (1, True)
    assert not [*tmp_path.iterdir()]


def test_the_owners_page_shows_how_far_each_is_and_no_score(run, served):
    server = served()
    rate(server.links["s01"], 1)
    page = CLIENT.get(server.owner)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    cells = re.findall(r"<t[dh]>(.*?)</t[dh]>", page.text)
    assert cells[:6] == ["Person", "Rated", "State", "Last seen", "Left", "s01"]
    assert re.fullmatch(r"1 / \d+", cells[6])
    assert 'http-equiv="refresh"' in page.text
    assert "lanczos" not in page.text
    ratings_store(run).add_subject("zoe")  # the page is made anew each time
    assert "zoe" in CLIENT.get(server.owner).text
    chinese = CLIENT.get(server.owner, headers={"Accept-Language": "zh-CN,en;q=0.5"})
    assert '<html lang="zh-Hans">' in chinese.text
    assert "评价进度" in chinese.text
    secret = server.links["s01"].split("/")[-2]
    wrong = re.sub("/o/.*", f"/o/{secret}/", server.owner)
    assert CLIENT.get(wrong).status_code == 404


@pytest.mark.slow
def test_the_owners_address_stays_the_same(run, served):
    first = served()
    first.end()
    assert served().owner.split("/")[-2] == first.owner.split("/")[-2]


def test_a_link_that_is_revoked_dies_at_once_and_the_answers_stay(run, served, command):
    server = served()
    rate(server.links["s01"], 2)
    status, lines, _ = command(run.path, "--revoke", "s01")
    assert (status, lines) == (0, "s01: the link is dead, the answers stay\n")
    assert CLIENT.get(f"{server.links['s01']}view").status_code == 404
    assert len(ratings_store(run).scores()) == 2
    folder = run.path / "rating" / "invitations"
    assert {file.stem for file in folder.iterdir()} == {"s02"}
    assert "link revoked" in command(run.path, "--status")[1]
    _, lines, _ = command(run.path, "--subject", "s01")
    (link,) = re.findall(r"(?m)^s01  (\S+/r/\S+/)", lines)
    assert link != server.links["s01"]
    assert CLIENT.get(f"{link}view").json()["progress"]["done"] == 2


@pytest.mark.slow
def test_a_revoked_link_is_not_renewed_by_the_next_start(run, served, command):
    command(run.path, "--revoke", "s01")
    server = served()
    assert list(server.links) == ["s02"]
    assert "s01  no link: revoked; --subject s01 makes one" in server.text


def test_revoking_nobodys_link_is_told(run, command):
    status, _, errors = command(run.path, "--revoke", "s09")
    assert (status, "s09" in errors) == (1, True)


def test_each_person_has_a_text_and_a_code_that_leads_to_their_link(run, served):
    server = served()
    folder = run.path / "rating" / "invitations"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for subject, link in server.links.items():
        for kind in ("txt", "png", "svg"):
            mode = (folder / f"{subject}.{kind}").stat().st_mode
            assert stat.S_IMODE(mode) == 0o600
        written = (folder / f"{subject}.txt").read_text(encoding="utf-8")
        assert written.count(link) == 2  # in English and in Chinese
        assert written.splitlines()[0] in server.lines
        png = cv2.imread(str(folder / f"{subject}.png"))
        assert read_code(png) == link
    blocks = [line for line in server.lines if set(line) <= set(" █▀▄") and line]
    assert max(map(len, blocks)) < 80
    assert code_of(blocks[: len(blocks) // 2]) == server.links["s01"]


def code_of(lines: list[str]) -> str:
    """What a camera reads off a terminal with light letters on a dark ground."""
    wide = max(map(len, lines))
    light = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    picture = Image.new("L", (wide, 2 * len(lines)))
    for y, line in enumerate(lines):
        for x, block in enumerate(line):
            for half, is_light in enumerate(light[block]):
                picture.putpixel((x, 2 * y + half), 255 * is_light)
    large = picture.resize((8 * wide, 16 * len(lines)), Image.Resampling.NEAREST)
    return read_code(np.asarray(large))


def read_code(picture: np.ndarray) -> str:
    return cv2.QRCodeDetectorAruco().detectAndDecode(picture)[0]


@pytest.mark.slow
def test_the_command_packs_a_session_and_takes_its_answers(run, command, tmp_path):
    status, lines, _ = command(run.path, "--pack", "s03", "--out", tmp_path / "out")
    assert status == 0
    file = tmp_path / "out" / "s03.html"
    assert re.search(rf"s03  {re.escape(str(file))}  \d+\.\d MB", lines)
    assert f"evalkit scores import FILE {run.name}" in lines
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "s03" in subjects(run)
    assert re.search("s03 .*given a file", command(run.path, "--status")[1])
    assert "lanczos" not in file.read_text(encoding="utf-8")
    command(run.path, "--pack", "s03")
    assert (run.path / "rating" / "packs" / "s03.html").is_file()


def test_a_pseudonym_that_is_none_is_not_packed(run, command):
    status, _, errors = command(run.path, "--pack", "new", "--pack", "Ann Smith")
    assert (status, "expected a pseudonym" in errors) == (1, True)
    assert subjects(run) == ["s01", "s02"]
