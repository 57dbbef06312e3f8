#!/bin/bash
# What booting a Linux on an emulated CPU with AVX-512 takes, on Debian. Usage: setup-avx512.sh FOLDER (root)
# Installed: the emulator Bochs, a boot loader, a tool that writes CD images. Unpacked into FOLDER only: a kernel, busybox.
set -euo pipefail
to=$(mkdir -p "$1" && cd "$1" && pwd)
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends bochs bochs-term isolinux syslinux-common genisoimage >/dev/null
rm -rf "$to/new" && mkdir "$to/new" && cd "$to/new"
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
apt-get download -qq "$kernel" busybox-static
for deb in *.deb; do dpkg-deb -x "$deb" .; done
cp boot/vmlinuz-* "$to/vmlinuz"
cp bin/busybox "$to/busybox"
rm -rf "$to/new"
