# boot.sh DIR SOCKETS: boots an overlay of / with systemd, which runs
# DIR/check.sh and powers off. DIR is /check in there, SOCKETS is /target. It
# runs in a mount namespace of its own, so that nothing is left.
set -eu
mkdir "$1/over"
mount -t tmpfs over "$1/over"
mkdir "$1/over/upper" "$1/over/work" "$1/over/root"
mount -t overlay over -o "lowerdir=/,upperdir=$1/over/upper,workdir=$1/over/work" "$1/over/root"
cat >"$1/over/root/etc/systemd/system/check.service" <<'U'
[Unit]
DefaultDependencies=no
Wants=sysinit.target
After=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/bash /check/check.sh
StandardOutput=append:/check/out
StandardError=inherit
TimeoutStartSec=200
ExecStopPost=+/bin/systemctl --no-block --force --force poweroff
U
# Nothing of this machine's is started in there.
find "$1/over/root/etc/systemd/system" -mindepth 2 -name '*.wants' -prune -o -path '*.wants/*' -delete 2>/dev/null || true
# A leftover of this machine's is not what is tested.
rm -rf "$1/over/root/etc/secretless" "$1/over/root/etc/secretless.yml" "$1/over/root/var/lib/secretless"
rm -f "$1/over/root/etc/machine-id" "$1/over/root/var/lib/man-db/auto-update"
exec systemd-nspawn --quiet --directory="$1/over/root" --private-network --register=no --keep-unit \
  --bind="$1:/check" --bind="$2:/target" --console=pipe --boot systemd.unit=check.service </dev/null
