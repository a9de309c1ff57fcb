#!/bin/sh
# Install what pip cannot, on Debian and Ubuntu, and only what is missing.
#   tools/system.sh venv PYTHON | algorithm | chromium
set -eu

has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || find /usr/lib /lib -name "$1*" 2>/dev/null | grep -q .; }

find_chromium() {
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        [ -n "$name" ] && command -v "$name" && return 0
    done
    return 1
}

# install PACKAGE: install it or print how to; never asks for a password
install() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Please install $1 with this system's package manager, then run the same command again." >&2
        return 1
    fi
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            echo "Please run: sudo apt-get install $1    and then the same command again." >&2
            return 1
        fi
        as_root="sudo -n"
    fi
    echo "Installing $1 ..."
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

case "${1:-}" in
venv) # venv needs ensurepip, which Debian packages separately
    "$2" -c 'import ensurepip' 2>/dev/null ||
        install "python$("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    ;;
algorithm) # MXNet needs OpenMP; without it everything on AWS still works
    if [ "$(uname -s)" = Linux ] && ! has_library libgomp.so.1; then
        install libgomp1 || echo "Without libgomp1 the sandbox cannot serve models; everything else works." >&2
    fi
    ;;
chromium)
    find_chromium >/dev/null || install chromium || true
    if ! find_chromium >/dev/null; then
        echo "The browser tests need Chromium or Chrome. Install one of them, or give its path: CHROMIUM=/path/to/chrome make test" >&2
        exit 1
    fi
    ;;
*)
    echo "usage: $0 venv PYTHON | algorithm | chromium" >&2
    exit 2
    ;;
esac
