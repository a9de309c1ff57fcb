"""The page `setup`."""

from __future__ import annotations

from sandbox.server import Sandbox


def test_all_in_place(open_page, coast, read_texts, aws_environ):
    """Setup shows the mode, the address, the identity and the endpoints in service."""
    told = read_texts(open_page("setup")).replace("\\", "")
    assert "AWS, with the default credential chain" in told
    assert aws_environ["AWS_ENDPOINT_URL"] in told
    assert "account 123456789012" in told
    ready = next(line for line in told.splitlines() if line.endswith(" in service"))
    assert coast in ready


def test_wrong_keys(open_page, read_texts, aws_environ):
    """With invalid keys, Setup says so and what to check, and shows the rest."""
    # Another spelling of the address: the clients of the right one are made, and keep the keys they were made with.
    url = aws_environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")
    app = open_page("setup", environ={"AWS_ENDPOINT_URL": url, "AWS_SECRET_ACCESS_KEY": "wrong"})
    told = read_texts(app).replace("\\", "")
    assert "rejected the signature" in told
    assert "secret key" in told
    assert "Images" in told
    assert not app.exception


def test_nothing_in_service_leads_to_deploy(open_page, tmp_path, stub_programs):
    """If no endpoint is in service, Setup links to the page that deploys one."""
    with Sandbox(tmp_path, programs=stub_programs) as empty:
        app = open_page("setup", environ=empty.address.environ())
        assert "Deploy a model" in [link.proto.label for link in app.get("page_link")]
