#!/bin/bash
# A cross compiler, an aarch64 C library, an emulator, adb and a Rust toolchain with the aarch64 standard library, on Debian.
# Usage: setup-arm.sh FOLDER (root). rustup and dpkg's architectures stay as they are: rustc-web and the arm64 standard
# library come from Debian's security suite and are unpacked, not installed. Nothing is pinned, because the suite moves.
set -euo pipefail
to=$(mkdir -p "$1" && cd "$1" && pwd)
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user adb >/dev/null
rm -rf "$to/lists" "$to/debs" "$to/tc.new"
mkdir -p "$to/lists/partial" "$to/debs" "$to/tc.new"

# An apt configuration of its own, in which arm64 packages exist: dpkg's multi-arch stays off, because a program that
# runs emulated with a mix of two C libraries hangs in pthread_create.
cat > "$to/apt.conf" <<CONF
#clear APT::Architectures;
APT::Architectures { "amd64"; "arm64"; };
Dir::State::Lists "$to/lists";
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$to/apt.conf
apt-get update -qq
depends() { # the dependencies of the packages "$2" that match $1
    # shellcheck disable=SC2086
    apt-cache depends $2 2>/dev/null | awk -v want="$1" '/Depends:/ && $2 ~ want { print $2 }' | sort -u
}
rust=$(depends '^(libstd-rust-web-[0-9]|libgit2)' "rustc-web cargo-web libstd-rust-web-dev")
libs=$(depends '^(libllvm|libhttp-parser|libmbed)' "$rust")
more=$(depends '^libmbed' "$libs")
cd "$to/debs"
# shellcheck disable=SC2086
apt-get download -qq rustc-web cargo-web libstd-rust-web-dev libstd-rust-web-dev:arm64 $rust $libs $more
for deb in "$to"/debs/*.deb; do dpkg-deb -x "$deb" "$to/tc.new"; done
rm -rf "$to/tc" "$to/lists" "$to/debs"
mv "$to/tc.new" "$to/tc"
LD_LIBRARY_PATH=$to/tc/usr/lib/x86_64-linux-gnu "$to/tc/usr/bin/rustc" --version
