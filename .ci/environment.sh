#!/bin/sh
# Make the project's own environment, .venv, or find it finished.
#
#   sh .ci/environment.sh runtime | dev | all
#
# runtime: what `smimetool` needs, its CA too; dev: what the tests need; all: every extra and dev.
# Uses sh, coreutils and a Python 3.11 or newer with its venv module; no grep, sed or awk,
# for a minimal system has none. Status 2 and one line if something is missing.
#
# Finished means: .venv/.finished names this pyproject.toml, this folder and at least the
# level asked for. It is written last. Whatever a failed run left behind (Debian without
# python3-venv leaves a .venv/bin/python) has no such file and is made anew.
set -u
level=${1:-runtime}
case $level in
    runtime) what='.[ca]' ;;
    dev) what='.[dev]' ;;
    all) what='.[all,dev]' ;;
    *) echo "environment.sh: runtime, dev or all, not '$level'" >&2; exit 2 ;;
esac

fail() {
    rm -rf .venv
    printf '%s\n' "$1" >&2
    exit 2
}

sum=$(cksum < pyproject.toml) || exit 2
stamp="$sum $PWD"
have=none
if [ -f .venv/.finished ] && [ -x .venv/bin/python ]; then
    { read -r done_level; read -r done_stamp; } < .venv/.finished
    # Another folder: the environment was copied or moved, and its scripts point elsewhere.
    case $done_stamp in
        "$stamp") have=$done_level ;;
        *" $PWD") have=older ;;
    esac
fi
case $have:$level in
    all:* | dev:dev | dev:runtime | runtime:runtime) exit 0 ;;
esac

if [ "$have" = none ]; then
    probe='
import sys
name = "%d.%d" % sys.version_info[:2]
try:
    import ensurepip, venv
    fit = "fit"
except ImportError:
    fit = "no-venv"
print("%s %s" % ("old" if sys.version_info < (3, 11) else fit, name))'
    python='' old='' bare=''
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$name" > /dev/null 2>&1 || continue
        answer=$("$name" -c "$probe" 2> /dev/null) || continue
        case $answer in
            fit\ *) python=$name; break ;;
            old\ *) old="$name is ${answer#old }" ;;
            no-venv\ *)
                package=python${answer#no-venv }-venv
                [ "$name" = python3 ] && package=python3-venv
                bare="$name has no working venv module: apt install -y $package" ;;
        esac
    done
    if [ -z "$python" ]; then
        [ -n "$bare" ] && fail "$bare"
        [ -n "$old" ] && fail "$old, and 3.11 or newer is needed: apt install -y python3.11-venv (macOS: brew install python@3.13)"
        fail "no python3 found, 3.11 or newer is needed: apt install -y python3-venv (macOS: brew install python@3.13)"
    fi
    echo "making .venv with $python"
    rm -rf .venv
    if ! "$python" -m venv .venv > /dev/null 2>&1 || ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
        fail "$python cannot make an environment with pip in it: apt install -y python3-venv"
    fi
fi

rm -f .venv/.finished .venv/.finished.new
echo "installing $what into .venv"
PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --editable "$what" ||
    fail "pip could not install $what (see above): is a package index within reach?"
printf '%s\n%s\n' "$level" "$stamp" > .venv/.finished.new && mv .venv/.finished.new .venv/.finished
