#!/bin/sh
# Puts pyHanko into an environment of its own, for the tests that need a foreign X25519 and X448 in
# CMS: its python is build/peers/bin/pyhanko-python. Needs python3 with venv, and a package index.
set -eu
cd "$(dirname "$0")/.."
there="$PWD/build/peers"
[ ! -x "$there/bin/pyhanko-python" ] || exit 0
rm -rf "$there/pyhanko"
mkdir -p "$there/bin"
"${PYTHON:-python3}" -m venv "$there/pyhanko"
"$there/pyhanko/bin/python" -m pip install --quiet --disable-pip-version-check "pyhanko>=0.38"
# Isolated, so that it sees its own packages and nothing of who calls it.
cat > "$there/bin/pyhanko-python" <<EOF
#!/bin/sh
exec "$there/pyhanko/bin/python" -I "\$@"
EOF
chmod +x "$there/bin/pyhanko-python"
