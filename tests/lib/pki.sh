#!/bin/sh
# pki: a certificate authority for development and tests, with a server's and clients' certificates.
#
#   pki.sh DIR [CLIENT...]
#
# DIR gets ca.crt, ca.key, server.crt, server.key (for localhost and 127.0.0.1) and CLIENT.crt, CLIENT.key for each
# name. The authority and the server are made once; a client that is named again gets a new key and certificate,
# put in place by rename. EC P-256; keys have mode 0600; everything is valid for 30 days. Not for production: the
# authority's key lies beside what it signs.
set -eu
umask 077
dir=$1
shift
mkdir -p "$dir"
cd "$dir"
log=$(mktemp ./pki.log.XXXXXX)
trap 'rm -f "$log" "$log".*' EXIT

quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }

new_key() { quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if [ ! -f ca.crt ]; then
    new_key ca.key
    quietly openssl req -x509 -new -key ca.key -sha256 -days 30 -subj "/O=Weir development/CN=Weir development CA" \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out ca.crt
fi

# issue NAME USAGE [SUBJECT ALTERNATIVE NAMES]
issue() {
    new_key "$log.key"
    quietly openssl req -new -key "$log.key" -subj "/O=Weir development/CN=$1" -out "$log.csr"
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=$2"
        [ -z "${3-}" ] || echo "subjectAltName=$3"
    } >"$log.ext"
    quietly openssl x509 -req -in "$log.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 \
        -extfile "$log.ext" -out "$log.crt"
    mv "$log.key" "$1.key"
    mv "$log.crt" "$1.crt"
}

[ -f server.crt ] || issue server serverAuth DNS:localhost,IP:127.0.0.1
for client in "$@"; do
    issue "$client" clientAuth
done
chmod 0600 ./*.key
chmod 0644 ./*.crt
