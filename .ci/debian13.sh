#!/bin/sh
# Puts OpenSSL 3.5 and Bouncy Castle 1.80 of Debian 13 beside what the machine has, for the tests
# that need a foreign EdDSA, ML-DSA, X25519, ML-KEM or ChaCha20: unpacked into build/peers, started
# by build/peers/bin/openssl35 and build/peers/bin/bouncycastle180 (which needs the machine's java).
# Needs apt-get and dpkg; installs nothing, and leaves the machine's own lists alone.
set -eu
cd "$(dirname "$0")/.."
there="$PWD/build/peers"
[ ! -x "$there/bin/openssl35" ] || [ ! -x "$there/bin/bouncycastle180" ] || exit 0
work="$there/debian13"
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
apt download openssl libssl3t64 libc6 zlib1g libzstd1 libbcprov-java libbcutil-java libbcpkix-java
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
# CLASSES is where compiled programs of the tests are; "jars" names the jars to compile against.
jars=$(find "$work/root/usr/share/java" -name 'bc*-*.jar' | sort | tr '\n' ':')
cat > "$there/bin/bouncycastle180" <<EOF
#!/bin/sh
jars="$jars"
[ "\$1" != jars ] || { echo "\$jars"; exit 0; }
exec java -XX:TieredStopAtLevel=1 -cp "\$jars\${CLASSES:+:\$CLASSES}" "\$@"
EOF
chmod +x "$there/bin/openssl35" "$there/bin/bouncycastle180"
"$there/bin/openssl35" version
