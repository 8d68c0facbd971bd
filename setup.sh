#!/bin/sh
# Install the Debian packages that are missing; says nothing when none is.
set -eu

missing=""
need() { # need FILE PACKAGE
    [ -e "$1" ] || missing="$missing $2"
}
need /usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server
need /usr/bin/amqp-publish amqp-tools
need /usr/bin/unshare util-linux
need /usr/bin/bwrap bubblewrap
need /usr/bin/curl curl
need /usr/bin/stdbuf coreutils
need /usr/bin/strace strace
# what counts instructions for `make bench-guard`, and the limit of `make bench ONLY=single`
need /usr/bin/valgrind valgrind
need /usr/bin/cc gcc
# the local cloud
need /usr/bin/podman podman
need /usr/sbin/runc runc
need /usr/lib/podman/netavark netavark
need /usr/lib/podman/aardvark-dns aardvark-dns
need /usr/bin/slirp4netns slirp4netns
need /usr/bin/newuidmap uidmap
need /usr/bin/mmdebstrap mmdebstrap
need /usr/bin/ssh openssh-client
# the browser that tests the console
need /usr/bin/chromium chromium
need /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
[ -n "$missing" ] || exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing Debian packages:$missing"

# We run our own servers: none of the packages may start one of theirs.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod +x $policy
    trap '$sudo rm -f $policy' EXIT
fi
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
    install -y --no-install-recommends $missing >/dev/null
