# Sourced by .ci/run and .ci/nightly, in the root of the repository: installs what the tests need on a fresh machine
# with Python 3.11, pip and apt, puts it on the PATH, and has `start` and `finish` for things side by side.

# The tests start the command line some hundred times: it is not compiled each time.
unset PYTHONDONTWRITEBYTECODE

work=$(mktemp -d)
export UV_CACHE_DIR=$work/uv UV_NO_PROGRESS=1
jobs_started=()

start() { # NAME COMMAND…: run in the background; `finish` shows what it printed
  local name=$1
  shift
  (
    began=$SECONDS status=0
    "$@" >"$work/$name.log" 2>&1 || status=$?
    echo "$name: $((SECONDS - began)) s" >>"$work/$name.log"
    exit $status
  ) &
  jobs_started+=("$name:$!")
}

finish() { # wait for all that was started; exit if any of it failed
  local job failed=()
  for job in "${jobs_started[@]}"; do
    wait "${job##*:}" || failed+=("${job%%:*}")
    cat "$work/${job%%:*}.log"
  done
  jobs_started=()
  if [ ${#failed[@]} != 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
  fi
}

# Real peers from Debian. Without them the tests that need them are skipped, and say so.
peers() {
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 0
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || true
  apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients libcoap3-bin avahi-daemon \
    avahi-utils dbus iproute2 tshark ser2net qemu-system-arm u-boot-qemu device-tree-compiler >/dev/null || true
}

# As the README says, but with the hashed versions, and by uv, which takes 15 s where pip takes 45.
packages() {
  local install=("$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python")
  python3 -m venv "$work/venv" &&
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check uv &&
    "${install[@]}" --require-hashes -r requirements/ci.txt &&
    "${install[@]}" --no-deps --no-build-isolation -e .
}

start debian peers
start python packages
finish
export PATH=$work/venv/bin:$PATH
