#!/bin/sh
# Puts OpenSSL 3.5 of Debian 13 beside what the machine has, for the tests that need a foreign
# EdDSA and ML-DSA: unpacked into build/peers, started by build/peers/bin/openssl35. Needs apt-get
# and dpkg; installs nothing, and leaves the machine's own lists alone.
set -eu
cd "$(dirname "$0")/.."
there="$PWD/build/peers"
[ ! -x "$there/bin/openssl35" ] || exit 0
work="$there/openssl35"
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/partial" "$work/root" "$there/bin"
base=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base trixie main" > "$work/sources.list"
: > "$work/status"
cd "$work"
apt() {
    apt-get -qq -o Dir::State::Lists="$work/lists" -o Dir::Etc::sourcelist="$work/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::Cache::archives="$work/cache" \
        -o Dir::State::status="$work/status" -o APT::Sandbox::User=root "$@"
}
apt update
apt download openssl libssl3t64 libc6 zlib1g libzstd1
for one in ./*.deb; do
    dpkg -x "$one" root
done
loader=$(find "$work/root" -name 'ld-linux-*.so.*' | head -n 1)
libraries=$(dirname "$(find "$work/root" -name libcrypto.so.3 | head -n 1)")
cat > "$there/bin/openssl35" <<EOF
#!/bin/sh
export OPENSSL_CONF=/dev/null OPENSSL_MODULES="$libraries/ossl-modules"
exec "$loader" --library-path "$libraries" "$work/root/usr/bin/openssl" "\$@"
EOF
chmod +x "$there/bin/openssl35"
"$there/bin/openssl35" version
