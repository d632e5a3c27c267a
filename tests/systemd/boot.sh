#!/bin/bash
# Boots a real systemd in namespaces of its own, on a copy of this machine that forgets everything.
#
#   boot.sh BASE VENV WHEELS    as root; becomes PID 1's parent and ends with it
#
# BASE is an empty folder in which the copy's layers are mounted; VENV is a virtual environment,
# whose packages but genzo appear in the copy as /opt/packages and whose interpreter as /opt/python;
# the folder WHEELS appears as /srv/wheels. Writes go to memory. The network is a loopback interface
# of its own.
set -euo pipefail

if [ "${1:-}" != inside ]; then
  # The caller may be killed: the namespace, and with it everything in it, goes with this process.
  exec unshare --fork --kill-child --pid --mount --propagation private --uts --ipc --cgroup --net \
    bash "$0" inside "$@"
fi
shift
base=$1 venv=$2 wheels=$3
root=$base/root
python=$(basename "$(echo "$venv"/lib/python3*)")

mount -t tmpfs -o size=4g,mode=755 tmpfs "$base"
mkdir -p "$base"/{upper,scratch,packages,scratch2} "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/scratch" "$root"

mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir -p "$root"/dev/{pts,shm,mqueue,hugepages}
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 kmsg:1:11 tty:5:0; do
  IFS=: read -r name major minor <<<"$node"
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

# The environment's packages; genzo itself is installed in the copy.
mkdir -p "$root/opt/packages"
mount -t overlay overlay -o "lowerdir=$venv/lib/$python/site-packages,upperdir=$base/packages,workdir=$base/scratch2" \
  "$root/opt/packages"
rm -rf "$root"/opt/packages/{_editable_impl_genzo.pth,genzo-*.dist-info}
mkdir -p "$root/srv/wheels"
mount --bind "$wheels" "$root/srv/wheels"
mount -o remount,ro,bind "$root/srv/wheels"
# The interpreter may lie in a home that services cannot enter.
interpreter=$(readlink -f "$venv/bin/python")
mkdir -p "$root/opt/python"
mount --bind "${interpreter%/bin/*}" "$root/opt/python"
mount -o remount,ro,bind "$root/opt/python"
if compgen -G "$root/opt/python/lib/libpython3*.so*" >/dev/null && [ "$interpreter" != "${interpreter#/root/}" ]; then
  echo /opt/python/lib >"$root/etc/ld.so.conf.d/00-python.conf"
  chroot "$root" ldconfig
fi
# Nothing of this machine starts in the copy.
rm -rf "$root"/etc/systemd/system/* "$root"/var/log/journal "$root"/etc/fstab \
  "$root"/etc/genzo "$root"/etc/{sysusers,tmpfiles}.d/genzo.conf \
  "$root"/lib/systemd/system-generators/* "$root"/lib/systemd/system/multi-user.target.wants/*
mkdir -p "$root"/etc/systemd/{journald.conf.d,system.conf.d,system-preset}
echo 'disable *' >"$root/etc/systemd/system-preset/00-test.preset"
echo uninitialized >"$root/etc/machine-id"
echo '127.0.0.1 localhost workstation genzo.example' >"$root/etc/hosts"
# What is under test shares the cores with the tests.
printf '[Manager]\nDefaultEnvironment=OMP_NUM_THREADS=1\n' >"$root/etc/systemd/system.conf.d/test.conf"
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/test.conf"
for unit in systemd-udevd.service systemd-modules-load.service systemd-timesyncd.service \
  systemd-resolved.service systemd-networkd.service \
  systemd-remount-fs.service systemd-sysctl.service systemd-random-seed.service \
  systemd-hwdb-update.service systemd-binfmt.service systemd-firstboot.service \
  systemd-pstore.service systemd-udev-trigger.service proc-sys-fs-binfmt_misc.automount \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
  sys-fs-fuse-connections.mount systemd-journal-flush.service systemd-update-utmp.service \
  console-getty.service getty.target ldconfig.service systemd-sysusers.service \
  systemd-tmpfiles-clean.timer systemd-machine-id-commit.service; do
  ln -s /dev/null "$root/etc/systemd/system/$unit"
done
ip link set lo up

exec env -i container=genzo-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" /lib/systemd/systemd --system --unit=multi-user.target \
  --log-target=journal --show-status=false
