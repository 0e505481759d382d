"""What `make setup` installs: which build of torch, and what of the lock is left out for it."""

import re
import ssl
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from uv import find_uv_bin

from pages import ROOT, script, text_of

INSTALL = script(".ci/install.py")
LOCK = text_of(ROOT / "requirements.lock")


def chosen(asked="auto", *, installed=None, is_linux=True, has_driver=False, can_reach=True):
    found = INSTALL.choose(
        asked, installed=installed, is_linux=is_linux, has_driver=has_driver, can_reach=lambda: can_reach
    )
    return found[0]


@pytest.mark.parametrize(
    ("build", "case"),
    [
        ("cpu", {}),
        ("cuda", {"can_reach": False}),
        ("cuda", {"has_driver": True}),
        ("cpu", {"asked": "cpu", "has_driver": True}),
        ("cpu", {"asked": "cpu", "can_reach": False}),  # uv says then what it cannot reach
        ("cuda", {"asked": "cuda"}),
        ("default", {"is_linux": False}),
        ("default", {"is_linux": False, "asked": "cuda"}),
        ("cpu", {"installed": "2.15.0+cpu", "can_reach": False}),
        ("cpu", {"installed": "2.15.0+cpu", "has_driver": True}),
        ("cuda", {"installed": "2.15.0"}),
        ("cuda", {"installed": "2.15.0+cu130", "asked": "cuda"}),
    ],
)
def test_the_build_fits_the_machine_what_is_asked_and_what_is_there(build, case):
    assert chosen(**case) == build


@pytest.mark.parametrize(("asked", "installed"), [("cuda", "2.15.0+cpu"), ("cpu", "2.15.0")])
def test_another_build_than_the_installed_one_is_refused_with_what_to_do(asked, installed):
    other = {"cpu": "cuda", "cuda": "cpu"}[asked]
    with pytest.raises(SystemExit, match=rf"^error: \.venv has torch's {other} build; .* rm -r \.venv$"):
        chosen(asked, installed=installed)


def test_the_index_is_not_asked_where_its_answer_changes_nothing():
    for case in ({"has_driver": True}, {"is_linux": False}, {"installed": "2.15.0"}):
        INSTALL.choose("auto", **{"installed": None, "is_linux": True, "has_driver": False} | case, can_reach=None)


def test_what_is_left_out_is_what_torch_alone_needs_and_is_all_of_nvidias():
    parents = parents_of(LOCK)
    left_out = set(INSTALL.cuda_packages(LOCK))
    assert all(parents[name] <= left_out | {"torch"} for name in left_out)
    others = {name for name in parents if name.startswith(("nvidia-", "cuda-", "triton"))} - left_out
    assert others == {"nvidia-ml-py"}  # which reads a driver and brings no library


def parents_of(lock):
    """Package of a lock -> the packages that need it."""
    entries = re.findall(r"^([\w.-]+)==.*\n((?:    #.*\n)+)", lock, re.MULTILINE)
    return {name: set(re.findall(r"#\s+(?:via )?([\w-]+)", re.sub(r"# via\n", "", why))) for name, why in entries}


# --- by uv, from a server that answers for PyTorch's index


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder: wheels in it are on every index that uv asks, through a proxy on loopback with a certificate."""
    write_certificate(tmp_path)
    server = ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    server.daemon_threads = True
    server.folder = tmp_path / "wheels"
    server.folder.mkdir()
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.folder
    server.shutdown()
    thread.join()
    server.server_close()


class Tunnel(BaseRequestHandler):
    """Whatever host is asked for, it is this one."""

    def handle(self):
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += self.request.recv(1)
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with self.server.tls.wrap_socket(self.request, server_side=True) as tunnel:
            Index(tunnel, self.client_address, self.server)


class Index(BaseHTTPRequestHandler):
    """The list of a project's wheels, and the wheels."""

    def do_GET(self):
        name = self.path.replace("%2B", "+").strip("/").rpartition("/")[2]
        found = [path.name for path in self.server.folder.iterdir() if path.name.startswith(f"{name}-")]
        links = "".join(f'<a href="/{each.replace("+", "%2B")}">{each}</a>' for each in found).encode()
        body = (self.server.folder / name).read_bytes() if name.endswith(".whl") else links
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/zip" if name.endswith(".whl") else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, *_):
        """Say nothing."""


def write_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "index")])
    hosts = [x509.DNSName("*.pytorch.org"), x509.DNSName("*.org")]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    no_password = serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))


def write_wheel(folder, name, version):
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_the_cpu_build_of_the_pinned_version_is_taken_without_the_packages_of_cuda(wheels, tmp_path):
    pins = re.findall(r"^(torch|torchvision|triton)==(\S+)", LOCK, re.MULTILINE)
    for name, version in pins[:2]:
        write_wheel(wheels, name, f"{version}+cpu")
    lock = "\n".join(f"{name}=={version}" for name, version in pins)
    (tmp_path / "requirements.lock").write_text(lock)
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    options = ["--requirements", tmp_path / "requirements.lock", *INSTALL.arguments("cpu")]
    done = subprocess.run(
        [find_uv_bin(), "pip", "install", "--dry-run", "--python", tmp_path / "venv", *options],
        input="\n".join(INSTALL.cuda_packages(lock)),
        text=True,
        capture_output=True,
    )
    assert re.findall(r"^ \+ (\S+)", done.stderr, re.MULTILINE) == [f"{name}=={pin}+cpu" for name, pin in pins[:2]], (
        done
    )


def test_the_index_is_taken_if_it_can_be_reached_and_has_the_pinned_version(wheels, monkeypatch):
    write_wheel(wheels, "torch", "2.15.0+cpu")
    assert INSTALL.index_has(["torch==2.15.0"])
    assert not INSTALL.index_has(["torch==2.15.1"])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    assert not INSTALL.index_has(["torch==2.15.0"])
