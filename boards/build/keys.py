#!/usr/bin/env python3
"""Development keys for updates, in build/boards/keys, made once: an authority (ca.pem, ca.key), who signs (sign.pem, sign.key), and the
keyring that goes into images (keyring.pem). They say DEVELOPMENT in their names, and a release image refuses them. KEYS=FOLDER
names a folder with keys of your own, of the same names."""
import os
import subprocess
import sys

import board
from debian import WORK, run

DEVELOPMENT = "DEVELOPMENT ONLY"


def folder():
    return os.environ.get("KEYS") or os.path.join(WORK, "keys")


def make(at):
    os.makedirs(at, mode=0o700, exist_ok=True)

    def openssl(*arguments):
        run("openssl", *arguments, cwd=at)
    for name in ("ca", "sign"):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-days", "7300", "-subj", f"/O=Weir/CN=Weir updates, {DEVELOPMENT}", "-addext",
            "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "ca.pem")
    openssl("req", "-new", "-key", "sign.key", "-subj", f"/O=Weir/CN=Weir update signer, {DEVELOPMENT}", "-out", "sign.csr")
    with open(os.path.join(at, "sign.ext"), "w", encoding="utf-8") as f:
        f.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,codeSigning\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", "sign.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7300", "-extfile", "sign.ext",
            "-out", "sign.pem")
    with open(os.path.join(at, "ca.pem"), "rb") as f, open(os.path.join(at, "keyring.pem"), "wb") as to:
        to.write(f.read())
    for name in os.listdir(at):
        os.chmod(os.path.join(at, name), 0o600)


def are_for_development(at):
    return DEVELOPMENT in run("openssl", "x509", "-in", os.path.join(at, "keyring.pem"), "-noout", "-subject")


def ready(release):
    """The folder with the keys. For a release they must be yours."""
    at = folder()
    if not os.path.exists(os.path.join(at, "keyring.pem")):
        if release or os.environ.get("KEYS"):
            raise board.Fault(f"{at} holds no keyring.pem; docs/boards.md says how to make keys")
        make(at)
    if release and are_for_development(at):
        raise board.Fault(f"{at} holds development keys: a release image does not trust them")
    return at


def main():
    print(ready("--release" in sys.argv))
    return 0


if __name__ == "__main__":
    board.or_exit(main)
