#!/bin/sh
# tidy: the house rules that a program can check. Silent and 0 when all is well.
fail=0
say() { echo "$1"; fail=1; }

# Who may include whom; every project include is written from the root.
allow() {
    bad=$(grep -rnE '^#include "' "$1" --include='*.[ch]' 2>/dev/null | grep -vE "\"($2)[/.]")
    [ -z "$bad" ] || { echo "$bad" | sed 's/$/   <- not allowed here/'; fail=1; }
}
allow pipeline  'pipeline'
allow hal       'hal|pipeline'
allow storage   'storage|hal|pipeline'
allow firmware  'firmware|storage|hal|pipeline'
allow simulator 'simulator|firmware/gateway|firmware/config|firmware/json_arena|storage|hal|pipeline'

# A library's header stands in one file (sqlite3: in storage/ and the world's faulty disk), never in a header.
bad=$(grep -rnE '^#include <(sqlite3|mosquitto|MQTT[A-Za-z]*|cjson/|uv|microhttpd|yaml|gpiod|zlib|mbedtls/)' \
    pipeline hal storage firmware simulator --include='*.h')
[ -z "$bad" ] || say "$bad   <- a library's header in a header"
once() {
    files=$(grep -rlE "^#include <$1" pipeline hal storage firmware simulator --include='*.c' | grep -vE "$2")
    [ -z "$files" ] || say "<$1 belongs in $2, not in: $files"
}
once 'mosquitto' '^(firmware/tap/|simulator/)'
once 'MQTTAsync' '^(firmware/uplink/|simulator/)'
once 'sqlite3'   '^(storage/|simulator/(faulty_vfs|cloud_|report))'
once 'cjson/'    '^(pipeline/codec/codec_json|pipeline/inventory|firmware/json_arena|simulator/)'
once 'microhttpd' '^firmware/api/http'
once 'systemd' '^firmware/update/'
once 'yaml'      '^firmware/config/'
once 'gpiod'     '^hal/linux/'
once 'mbedtls/(ssl|x509|pk)' '^firmware/listener/tls'

# Functions of at most 60 lines, lines of at most 100 columns, files of at most 500, no leftovers.
for f in $(find pipeline hal storage firmware simulator -name '*.[ch]'); do
    awk -v f="$f" '
        length > 100          { print f ":" FNR ": over 100 columns"; bad = 1 }
        /FIXME|XXX|TODO/      { print f ":" FNR ": leftover " $0; bad = 1 }
        /^\{/                 { start = FNR }
        /^\}/ && start        { if (FNR - start > 61) { print f ":" start ": function over 60 lines"; bad = 1 } start = 0 }
        END { if (FNR > 500) { print f ": over 500 lines"; bad = 1 } exit bad }' "$f" || fail=1
done
exit $fail
