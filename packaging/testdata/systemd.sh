# Runs as root in a container with systemd (boot.sh). Each part begins with a
# line "== NAME"; the last line is "== passed".
set -eu
export LC_ALL=C
step() { printf '== %s\n' "$*"; }
fail() {
  printf 'FAILED: %s\n' "$*"
  systemctl status --no-pager --full secretless.service || true
  journalctl --no-pager -n 60 -o cat -u secretless.service || true
  exit 1
}
trap '[ $? = 0 ] || fail "line $LINENO"' EXIT
is() { [ "$1" = "$2" ] || fail "got '$1', want '$2'"; }
refused() { if "$@"; then fail "not refused: $*"; fi; }
show() { systemctl show -P "$1" "${2:-secretless.service}"; }
# until_is PROPERTY VALUE: systemd takes note of a message a moment after it was sent.
until_is() {
  local n
  for n in $(seq 100); do
    [ "$(show "$1")" != "$2" ] || return 0
    sleep 0.1
  done
  fail "$1 is '$(show "$1")', want '$2'"
}
conffile='/etc/secretless.yml'

step 'install: a user, files, nothing started'
dpkg -i /check/old.deb
is "$(getent passwd secretless | cut -d: -f6-)" /var/lib/secretless:/usr/sbin/nologin
is "$(stat -c '%a %U:%G' /usr/bin/secretless $conffile /etc/secretless | paste -sd' ')" '755 root:root 644 root:root 755 root:root'
is "$(systemctl is-enabled secretless || true)" disabled
is "$(systemctl is-active secretless || true)" inactive
secretless version
secretless-broker -version
man -w secretless-serve secretless-broker 5 secretless.yml
dpkg --verify secretless

step 'units: systemd-analyze finds no mistake and little exposure'
systemd-analyze verify --man=no secretless.service secretless@one.service
cp /usr/share/doc/secretless/examples/secretless-orders.socket /etc/systemd/system/
systemctl daemon-reload
systemd-analyze verify --man=no secretless-orders.socket
# 10 is no sandbox at all; in tenths. What is left: it uses the network.
systemd-analyze security --offline=true --threshold=20 secretless.service | tail -1
systemd-analyze security --offline=true --threshold=20 secretless@one.service | tail -1

step 'an unconfigured broker fails once, with the reason'
refused systemctl start secretless
is "$(show ExecMainStatus)" 2
is "$(show NRestarts)" 0
journalctl --no-pager -o cat -u secretless | grep -q "$conffile:.*service"

step 'configured: ready, in its sandbox'
ip link set lo up 2>/dev/null || true
useradd --no-create-home app
useradd --no-create-home other
install -m 600 /check/password /etc/secretless/orders-db-password
mkdir -p /etc/systemd/system/secretless.service.d
cp /usr/share/doc/secretless/examples/credential.conf /etc/systemd/system/secretless.service.d/
configure() { # [MORE]
  cat >$conffile <<Y
version: "2"
services:
  socket:
    connector: pg
    listenOn: unix:///run/secretless/.s.PGSQL.5432
    socket: { mode: "0666" }
    allow: { users: [app] }
    credentials: &to
      host: /target
      port: $(cat /check/port)
      username: $(cat /check/user)
      password: { from: systemd, get: orders-db-password }
  network:
    connector: pg
    listenOn: tcp://127.0.0.1:5432
    allow: { users: [app] }
    credentials: *to
  activated:
    connector: pg
    listenOn: systemd://orders
    allow: { users: [app] }
    credentials: *to
$*
audit: { to: "file:///var/log/secretless/audit.jsonl" }
Y
}
configure
systemctl daemon-reload
systemctl enable --now secretless-orders.socket
systemctl start secretless
is "$(show ActiveState)" active
is "$(show StatusText)" '3 services'
pid=$(show MainPID)
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
is "$(status Uid | cut -f1)" "$(id -u secretless)"
is "$(status CapEff) $(status CapBnd)" '0000000000000000 0000000000000000'
is "$(status NoNewPrivs) $(status Seccomp)" '1 2'
is "$(stat -c '%a %U' /run/secretless /var/lib/secretless /var/log/secretless | paste -sd' ')" '755 secretless 700 secretless 700 secretless'
secretless health
refused runuser -u app -- cat /run/credentials/secretless.service/orders-db-password

step 'brokers over a unix socket, TCP and a socket of systemd, and tells users apart'
ask() { # USER HOST…: a session without a password
  local who=$1 host=$2
  shift 2
  runuser -u "$who" -- env -i PATH="$PATH" "$@" psql -w -X -h "$host" -p 5432 -d app -U anybody -Atc 'select current_user'
}
for host in /run/secretless 127.0.0.1 /run/orders; do
  is "$(ask app $host)" "$(cat /check/user)"
  refused ask other $host
done
[ "$(grep -c '"opened"' /var/log/secretless/audit.jsonl)" -ge 3 ]

step 'executables of other users need the drop-in, and work with it'
sed -i 's/allow: { users: \[app\] }/allow: { users: [app], executables: [PSQL] }/' $conffile
sed -i "s|PSQL|$(readlink -f /usr/lib/postgresql/*/bin/psql | tail -1)|" $conffile
systemctl reload secretless
refused ask app /run/secretless
refused ask app 127.0.0.1
cp /usr/share/doc/secretless/examples/allow-executables.conf /etc/systemd/system/secretless.service.d/
systemctl daemon-reload
systemctl restart secretless
for host in /run/secretless 127.0.0.1 /run/orders; do is "$(ask app $host)" "$(cat /check/user)"; done
refused runuser -u app -- python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/secretless/.s.PGSQL.5432")
s.sendall(bytes([0,0,0,8,4,210,22,47]))
raise SystemExit(s.recv(1) == b"")' 2>/dev/null
rm /etc/systemd/system/secretless.service.d/allow-executables.conf
configure
systemctl daemon-reload
systemctl restart secretless

step 'reload: takes a good file, fails on a bad one and goes on'
pid=$(show MainPID)
configure '  more: { connector: pg, listenOn: "unix:///run/secretless/more", credentials: *to }'
systemctl reload secretless
until_is StatusText '4 services'
configure '  more: { connector: nonsense }'
refused systemctl reload secretless
is "$(ask app /run/secretless)" "$(cat /check/user)"
is "$(show MainPID) $(show ActiveState)" "$pid active"
kill -HUP "$pid" # without the check beforehand
until_is StatusText '4 services; the last reload failed and changed nothing, see the log'
is "$(ask app /run/secretless)" "$(cat /check/user)"
configure

step 'the watchdog restarts a broker that hangs'
printf '[Service]\nWatchdogSec=2s\n' >/etc/systemd/system/secretless.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart secretless
pid=$(show MainPID)
sleep 3 # it answers: nothing happens
is "$(show MainPID) $(show NRestarts)" "$pid 0"
kill -STOP "$pid"
until_is NRestarts 1
until_is ActiveState active
is "$(ask app /run/secretless)" "$(cat /check/user)"
journalctl --no-pager -o cat -u secretless | grep -q 'Watchdog timeout'
rm /etc/systemd/system/secretless.service.d/watchdog.conf
systemctl daemon-reload

step 'socket activation: a connection starts the broker'
systemctl stop secretless
is "$(show ActiveState) $(show Result)" 'inactive success'
[ ! -e /run/secretless ]
is "$(ask app /run/orders)" "$(cat /check/user)"
is "$(show ActiveState)" active

step 'a second broker from the template'
cat >/etc/secretless/two.yml <<Y
version: "2"
services:
  two:
    connector: pg
    listenOn: unix:///run/secretless-two/.s.PGSQL.5432
    socket: { mode: "0666" }
    credentials: { host: /target, port: $(cat /check/port), username: $(cat /check/user), password: { from: env, get: TWO } }
admin: { health: "unix:///run/secretless-two/health" }
Y
mkdir -p /etc/systemd/system/secretless@two.service.d
printf '[Service]\nEnvironment=TWO=%s\n' "$(cat /check/password)" >/etc/systemd/system/secretless@two.service.d/password.conf
systemctl daemon-reload
systemctl enable --now secretless@two
[ -L /etc/systemd/system/multi-user.target.wants/secretless@two.service ]
is "$(ask other /run/secretless-two)" "$(cat /check/user)"
secretless health -f /etc/secretless/two.yml

step 'upgrade: keeps the edited file, restarts what runs'
pid=$(show MainPID)
cp $conffile /check/edited
DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /check/new.deb
cmp $conffile /check/edited
is "$(dpkg-query -W -f '${Version}' secretless)" 999.0.0
is "$(show ActiveState)" active
[ "$(show MainPID)" != "$pid" ] || fail 'not restarted'
is "$(ask app /run/secretless)" "$(cat /check/user)"

step 'remove keeps the configuration, purge nothing'
dpkg -r secretless
is "$(systemctl is-active secretless secretless@two | paste -sd' ')" 'inactive inactive'
[ ! -e /usr/bin/secretless ]
[ ! -L /etc/systemd/system/multi-user.target.wants/secretless@two.service ]
cmp $conffile /check/edited
dpkg -P secretless
[ ! -e $conffile ] && [ ! -e /var/lib/secretless ] && [ ! -e /var/lib/secretless-two ] && [ ! -e /var/log/secretless ]

step 'rpm: installs with its user, and goes'
userdel secretless
rpm --force-debian --nodeps -i /check/new.rpm
id secretless >/dev/null
rpm -V --nodeps secretless # systemd is Debian's
systemctl enable secretless@two
[ -L /etc/systemd/system/multi-user.target.wants/secretless@two.service ]
rpm -e --nodeps secretless
[ ! -e /usr/bin/secretless ]
[ ! -L /etc/systemd/system/multi-user.target.wants/secretless@two.service ]

step 'no secret in the journal'
refused journalctl --no-pager -o cat -b --grep "$(cat /check/password)" -q

trap - EXIT
step passed
