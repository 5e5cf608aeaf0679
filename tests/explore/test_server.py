"""Who is answered: pages of this machine, and nobody else."""

import http.client
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.__main__ import main
from statmech_bn.explore import curves
from statmech_bn.explore.state import State

SMALL = State("linear", ("weight",), duration=1.0)


def get(address, path="/", **headers):
    place = urlsplit(address)
    with closing(http.client.HTTPConnection("127.0.0.1", place.port, timeout=120)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_page_is_there_and_needs_no_other_place(explorer):
    status, page = get(explorer)
    assert status == 200
    assert b"statmech_bn explorer" in page
    assert b"bokeh-mathjax" in page
    assert b"cdn." not in page


@pytest.mark.parametrize("path", ["/", "/ws", "/download/explorer.nc"])
def test_another_host_is_refused(explorer, path):
    """A name that somebody made to point to 127.0.0.1 is none of ours."""
    assert get(explorer, path, Host="evil.example:5006")[0] == 403
    assert get(explorer, path, Host="127.0.0.1.evil.example")[0] == 403


def test_another_site_embeds_nothing_but_may_link(explorer):
    strange = {"Sec-Fetch-Site": "cross-site"}
    image = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    frame = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    link = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answers = [get(explorer, **strange, **kind)[0] for kind in (image, frame, link)]
    assert answers == [403, 403, 200]


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), (None, 101)])
def test_a_websocket_comes_from_the_page(explorer, origin, status):
    _, page = get(explorer)
    token = page.split(b'"token":"')[1].split(b'"')[0].decode()
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": f"bokeh, {token}", "Origin": origin or explorer.rstrip("/"),
    }  # fmt: skip
    place = urlsplit(explorer)
    with closing(http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)) as connection:
        connection.request("GET", "/ws", headers=headers)
        with connection.getresponse() as answer:
            assert answer.status == status


def test_a_download_is_what_the_address_says(explorer, tmp_path):
    status, content = get(explorer, f"/download/explorer.nc?{SMALL.address()}")
    assert status == 200
    (tmp_path / "got.nc").write_bytes(content)
    with sbn.open(tmp_path / "got.nc") as tree:
        found = tree["weight/macroscopic"].to_dataset().load()
    xr.testing.assert_identical(found, curves.theory(SMALL)["weight"])


def test_a_bad_download_is_refused(explorer):
    status, message = get(explorer, "/download/explorer.pdf?batch_size=1e9&activation=x.y")
    assert status == 400
    assert b"batch_size: expected" in message
    assert b"activation: expected" in message
    for path in ("/download/other.nc", "/download/../pyproject.toml", "/download/explorer.nc/x"):
        assert get(explorer, path)[0] == 404


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux lists its sockets")
def test_it_listens_on_this_machine_alone(explorer):
    port = urlsplit(explorer).port
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]


def test_a_port_out_of_range_is_named():
    with pytest.raises(SystemExit, match="port: expected an integer"):
        main(["explore", "--port", "70000", "--no-browser"])


def test_without_bokeh_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['bokeh'] = None\n"
        "from statmech_bn.__main__ import main; main(['explore', '--no-browser'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "pip install '.[explore]'" in run.stderr
