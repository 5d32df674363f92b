#!/usr/bin/env bash
# Proves the README's first screen on a machine that has nothing: makes a bare Debian 12 root,
# enters it with a mount namespace and pivot_root, clones this repository and runs both commands.
#   tests/fresh_machine.sh [--user] [--keep DIR] [COMMAND...]
#     --user   as an ordinary user with sudo instead of root
#     --keep   makes the root in DIR, or uses the one that is there, and leaves it
#     COMMAND  what to run in the clone, instead of the two commands
# Needs root, debootstrap and a package mirror (the one that this machine uses).
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)

user=root keep="" root=""
while [ $# -gt 0 ]; do
  case "$1" in
    --user) user=tester; shift ;;
    --keep) keep=$2; shift 2 ;;
    -*) echo "usage: tests/fresh_machine.sh [--user] [--keep DIR] [COMMAND...]" >&2; exit 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || set -- ./examples/quickstart.sh '&&' ./tests/run.sh
[ "$(id -u)" -eq 0 ] || { echo "fresh_machine.sh needs root for debootstrap" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "Missing package: debootstrap" >&2; exit 1; }

root=${keep:-$(mktemp -d /var/tmp/corvid-fresh.XXXXXX)}
finish() {
  [ -n "$keep" ] || rm -rf --one-file-system "$root"
}
trap finish EXIT
chmod 755 "$root"  # it becomes the root folder of every user inside

mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list* | sed 's/ //; q' || true)
mirror=${mirror:-http://deb.debian.org/debian}

if [ ! -x "$root/usr/bin/git" ]; then
  echo "== a bare Debian 12 in $root"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" "$mirror" \
    >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
  rm -f "$root.log"
  # The mirror's settings of this machine: proxies, certificates, name servers.
  cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
  [ ! -f /etc/apt/apt.conf ] || cp /etc/apt/apt.conf "$root/etc/apt/"
  cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null ||
    true
fi
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

echo "== a clone of $(git -C "$repository" log -1 --format='%h %s')"
rm -rf "$root/srv/corvid.git"
git clone -q --bare "$repository" "$root/srv/corvid.git"

inside=$(cat <<'INSIDE'
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
unset LD_PRELOAD TMPDIR XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
user=$1 command=$2
update-ca-certificates >/dev/null 2>&1 || true
if [ "$user" != root ]; then
  apt-get -q update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends sudo >/dev/null
  id "$user" >/dev/null 2>&1 || useradd -m -s /bin/bash "$user"
  echo "$user ALL=(ALL) NOPASSWD:ALL" >/etc/sudoers.d/"$user"
  as=(setpriv --reuid "$user" --regid "$user" --init-groups env HOME=/home/"$user" USER="$user")
  cd /home/"$user"
else
  as=(env)
  cd /root
fi
rm -rf corvid
chown -R "$user" /srv/corvid.git
"${as[@]}" git clone -q /srv/corvid.git corvid
cd corvid
echo "== as $user: $command"
exec "${as[@]}" CI=true bash -c "$command" </dev/null
INSIDE
)

# The kernel refuses user namespaces, and so the sandbox, to a process in a chroot; pivot_root makes
# the new root a real one.
unshare --mount --pid --fork --propagation private --kill-child bash -c '
  set -euo pipefail
  root=$1
  mount --bind "$root" "$root"
  cd "$root"
  mkdir -p .old
  mount -t proc proc proc
  mount --rbind /dev dev
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  mount --rbind /sys sys
  pivot_root . .old
  cd /
  umount -l /.old
  rmdir /.old
  exec env -i TERM="${TERM:-dumb}" LANG=C.UTF-8 http_proxy="${http_proxy:-}" \
    https_proxy="${https_proxy:-}" bash -c "$2" inside "$3" "$4"
' outside "$root" "$inside" "$user" "$*"
