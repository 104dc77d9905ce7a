#!/bin/sh
# make-venv.sh FOLDER [PYTHON]: create a virtual environment with Python 3.11 or newer.
set -eu
folder=$1
recent='import sys; sys.exit(sys.version_info < (3, 11))'

# macOS and older Debian call an old Python python3, so newer names are tried after it.
for python in ${2:-python3 python3.13 python3.12 python3.11}; do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c "$recent" || continue
    "$python" -c 'import ensurepip, venv' 2>/dev/null || { without_venv=$python; continue; }
    "$python" -m venv "$folder"
    exit 0
done

if [ -n "${without_venv:-}" ]; then
    echo "$without_venv cannot make virtual environments; on Debian or Ubuntu: sudo apt install python3-venv" >&2
else
    echo "smalti needs Python 3.11 or newer; name yours with: make env PYTHON=/path/to/python3.12" >&2
fi
exit 2
